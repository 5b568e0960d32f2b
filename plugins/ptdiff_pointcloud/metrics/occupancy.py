"""Jensen-Shannon divergence of occupancy grids: where sets of clouds have their points (Achlioptas et al. 2018).

The grid has 28 nodes per side on the cube [-1/2, 1/2]^3, of which those within 1/2 of the center count; every point is
assigned to the nearest. P and Q are the fractions of the points of either set at each node:

    JSD(P, Q) = H((P + Q) / 2) - (H(P) + H(Q)) / 2,        H the entropy in bits; 0 if equal, 1 if apart.

Points outside the ball are assigned to nodes at its rim, which papers do without notice.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

SIDE = 28


def ball_of(clouds: Tensor) -> tuple[Tensor, float]:
    """Return center (3,) of the bounding box of all clouds (n, m, 3), and the smallest radius that contains them."""
    points = clouds.reshape(-1, 3).double()
    center = (points.amin(0) + points.amax(0)) / 2
    return center, float((points - center).norm(dim=1).max())


def counts(clouds: Tensor) -> Tensor:
    """Count the points of each cloud (n, m, 3) at each node, float32 (n, nodes)."""
    from scipy.spatial import cKDTree

    line = np.linspace(-0.5, 0.5, SIDE)
    nodes = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= 0.5]
    tree = cKDTree(nodes)
    out = torch.zeros(len(clouds), len(nodes))
    for row, cloud in zip(out, clouds.double().cpu().numpy(), strict=True):
        place = tree.query(cloud, workers=torch.get_num_threads())[1]
        row += torch.from_numpy(np.bincount(place, minlength=len(nodes)))
    return out


def outside(clouds: Tensor) -> float:
    """Fraction of the points outside the ball."""
    return float((clouds.double().norm(dim=-1) > 0.5).double().mean())


def divergence(p: Tensor, q: Tensor) -> float:
    """JSD in bits between the counts of two sets, (nodes,) each."""
    p, q = p.double() / p.double().sum(), q.double() / q.double().sum()
    return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2


def _entropy(p: Tensor) -> float:
    # x log x is 0 at 0
    return -float(torch.special.xlogy(p, p).sum()) / math.log(2)
