"""Distances between two sets of images by the features that a network extracts.

x (n, d) are the features of generated images, y (m, d) those of the reference; float64.

* Fréchet distance (Heusel et al. 2017): |mu_x - mu_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^1/2) of the Gaussians with the
  means and covariances of the sets. It is biased upward, more so for fewer images: compare at equal n.
* Kernel distance (Bińkowski et al. 2018): the unbiased estimate of the squared maximum mean discrepancy with the kernel
  (x.y / d + 1)^3, over the whole sets at once; it can be negative.
* Precision, recall (Kynkäänniemi et al. 2019): the fraction of generated images within the manifold of the reference,
  and vice versa; a manifold is the union of balls around its images, each reaching to the k-th nearest neighbor.

Pairs are processed in blocks, so that memory grows with n and not with its square.

Intervals of the distances resample the generated images. Precision and recall are means of one answer per image; their
Wilson intervals remain valid if all answers agree. The sampling error of the manifold itself is not included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ptdiff.metrics import Score, bootstrap, interval, resampled

NEIGHBORS = 3

BLOCK = 2**22
"""Number of pairs processed at a time: 32 MiB."""


def compare_features(
    samples: Tensor, reference: Tensor, training: Tensor, name: str, seed: int = 0
) -> dict[str, Score]:
    """Compute all four scores, ``fid_<name>`` …, of features (n, d); the floor takes ``training`` for the samples.

    ValueError for too few images.
    """
    n = min(len(samples), len(reference), len(training))
    if n <= NEIGHBORS:
        raise ValueError(f"feature distances need more than {NEIGHBORS} images of each kind, not {n}")
    x, y, z = (s[:n].double() for s in (samples, reference, training))
    frechet, kernel = Frechet(y), Kernel(y)

    def distance(rows: Tensor) -> float:
        return frechet(x[rows])

    value = distance(torch.arange(n))
    low, high = bootstrap(distance, n, seed=seed)
    scores = {f"fid_{name}": Score(value, max(0.0, low), high, frechet(z))}
    # the set itself, then resampled sets
    copies = torch.cat([torch.ones(1, n), resampled(n, 100, seed)])
    value, low, high = interval(kernel(x, copies))
    scores[f"kid_{name}"] = Score(value, low, high, float(kernel(z)))
    shares, floors = precision_recall(x, y), precision_recall(z, y)
    for share, right, floor in zip(("precision", "recall"), shares, floors, strict=True):
        scores[f"{share}_{name}"] = share_of(right, float(floor.double().mean()))
    return scores


class Frechet:
    """Fréchet distance to the reference y (m, d), whose share of the work is done once."""

    def __init__(self, y: Tensor) -> None:
        self.mean, rows = _centered(y)
        self.trace = rows.square().sum()
        values, vectors = torch.linalg.eigh(rows.T @ rows)
        self.root = vectors * values.clamp(min=0).sqrt() @ vectors.T

    def __call__(self, x: Tensor) -> float:
        """Return the distance of x (n, d), at least 0."""
        mean, rows = _centered(x)
        # C_x = rows' rows: C_x C_y, root C_x root and rows C_y rows' have the same eigenvalues, except zeros
        turned = rows @ self.root
        square = turned @ turned.T if len(rows) < len(self.root) else turned.T @ turned
        cross = torch.linalg.eigvalsh(square).clamp(min=0).sqrt().sum()
        gap = (mean - self.mean).square().sum()
        return float((gap + rows.square().sum() + self.trace - 2 * cross).clamp(min=0))


def _centered(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of x (n, d), and rows R (n, d) such that R'R is its covariance."""
    mean = x.mean(dim=0)
    return mean, (x - mean) / math.sqrt(len(x) - 1)


class Kernel:
    """Squared maximum mean discrepancy to the reference y (m, d), whose share of the work is done once."""

    def __init__(self, y: Tensor) -> None:
        self.y = y
        self.within = _within(y, torch.ones(1, len(y), dtype=y.dtype))

    def __call__(self, x: Tensor, copies: Tensor | None = None) -> Tensor:
        """Return the estimate (rounds,) with item i of x (n, d) repeated ``copies[r, i]`` times; by default once.

        copies: (rounds, n). An item is paired neither with itself nor with its copies.
        """
        times = torch.ones(1, len(x), dtype=x.dtype) if copies is None else copies.to(x.dtype)
        across = sum(times[:, rows] @ _kernel(x[rows], self.y).sum(dim=1) for rows in _blocks(x, self.y))
        return _within(x, times) + self.within - 2 * across / (times.sum(dim=1) * len(self.y))


def _within(x: Tensor, times: Tensor) -> Tensor:
    """Mean kernel (rounds,) over pairs of different items of x (n, d), repeated ``times`` (rounds, n)."""
    total = torch.zeros(len(times), dtype=x.dtype)
    for rows in _blocks(x, x):
        kernels = _kernel(x[rows], x)
        kernels[torch.arange(len(rows)), rows] = 0
        total += ((times[:, rows] @ kernels) * times).sum(dim=1)
    return total / (times.sum(dim=1).square() - times.square().sum(dim=1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _blocks(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Split the rows of x so that their pairs with all of y fill a block."""
    return iter(torch.split(torch.arange(len(x)), max(1, BLOCK // len(y))))


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Fréchet distance between features x (n, d) and y (m, d), two or more of each."""
    return Frechet(y)(x)


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Kernel distance between features x (n, d) and y (m, d), two or more of each."""
    return float(Kernel(y)(x))


def precision_recall(x: Tensor, y: Tensor, neighbors: int = NEIGHBORS) -> tuple[Tensor, Tensor]:
    """Mark the x (n, d) in the manifold of y (m, d) and the y in that of x: bool (n,) and (m,)."""
    reach_x, reach_y = _radii(x, neighbors), _radii(y, neighbors)
    precise, recalled = [], torch.zeros(len(y), dtype=torch.bool)
    for rows in _blocks(x, y):
        between = torch.cdist(x[rows], y)
        precise.append((between <= reach_y).any(dim=1))
        recalled |= (between <= reach_x[rows, None]).any(dim=0)
    return torch.cat(precise), recalled


def _radii(x: Tensor, neighbors: int) -> Tensor:
    # each is its own nearest neighbor
    return torch.cat([torch.cdist(x[rows], x).kthvalue(neighbors + 1, dim=1).values for rows in _blocks(x, x)])


def share_of(right: Tensor, floor: float) -> Score:
    """Fraction of true answers (n,), with Wilson's interval (1927)."""
    n, share, z = len(right), float(right.double().mean()), 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Score(share, max(0.0, middle - half), min(1.0, middle + half), floor)
