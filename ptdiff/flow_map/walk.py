"""Flow maps: X_{t->s}(x), the point at level s of the probability flow through x at level t.

On the unit circle, where a level is an angle theta in [0, pi/2],

    x_theta = cos(theta) x_0 + sin(theta) eps          v(x, theta) = E[cos(theta) eps - sin(theta) x_0 | x]
    dx / dtheta = v(x, theta)                          the probability flow
    X_{t->s}(x) = cos(t - s) x - sin(t - s) F(x, t, s)

F(x, t, s) is a flow map as this package states it.  On the diagonal, F(x, t, t) = v(x, t), the target of ``velocity``
prediction: a trained denoiser is a flow map for infinitesimal steps.  X_{t->t}(x) = x holds for any F.  (Flow maps:
Boffi et al. 2025, "Flow map matching with stochastic interpolants"; the angle: Lu and Song 2025, "Simplifying,
stabilizing and scaling continuous-time consistency models".)

t, s: angles of the levels from and to which a map walks, (b,), s <= t.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.modality.data import Condition


class FlowMap(Protocol):
    """F(x, t, s), (b, …), for x (b, …) of unit variance at the angles t (b,), and angles s (b,) to walk to."""

    def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor: ...


def wide(angle: Tensor, x: Tensor) -> Tensor:
    """The angles (b,) with trailing axes, so that they broadcast against ``x`` (b, …)."""
    return angle.reshape(-1, *(1,) * (x.ndim - 1))


def arrive(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """X_{t->s}(x), (b, …), in one call of the map."""
    gap = wide(t - s, x)
    return torch.cos(gap) * x - torch.sin(gap) * flow_map(x, t, s, cond)


def walk(
    flow_map: FlowMap,
    x: Tensor,
    angles: Sequence[float],
    cond: Condition | None = None,
    noise: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """Walk ``x`` (b, …) through ``angles``, decreasing, with one call of the map for each step; returns the last x.

    ``noise``: from the number of a step to standard normal numbers (b, …).  Given it, each step goes to data and adds
    new noise for its level (multistep consistency sampling, Song et al. 2023, algorithm 1); otherwise the walk is
    deterministic.

    Raises ValueError unless the angles decrease and lie in [0, pi/2].
    """
    if any(not 0 <= s < t <= torch.pi / 2 for t, s in pairwise(angles)):
        raise ValueError(f"the angles of a walk must decrease and lie in [0, pi/2], not {', '.join(map(str, angles))}")
    cond = {} if cond is None else cond
    for step, (t, s) in enumerate(pairwise(angles)):
        start = x.new_full((len(x),), t)
        if noise is None:
            x = arrive(flow_map, x, start, x.new_full((len(x),), s), cond)
        else:
            clean = arrive(flow_map, x, start, x.new_zeros(len(x)), cond)
            x = clean if s == 0 else torch.cos(x.new_tensor(s)) * clean + torch.sin(x.new_tensor(s)) * noise(step)
    return x
