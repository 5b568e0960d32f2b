"""Exact flow maps, for certificates and pictures.

``IntegratedMap`` integrates the flow of any denoiser by extrapolation of the midpoint rule, with steps of order 10
that divide the way from t to s.  ``GaussianMap`` is a closed form that shares no code with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.flow_map.walk import wide
from ptdiff.modality.data import Condition
from ptdiff.process import Level

SMALLEST = 1e-6
"""Below this angle between t and s, F is the velocity at t: dividing by sin(t - s) would lose more digits."""

MIDPOINTS = (2, 4, 6, 8, 10)
"""Numbers of midpoint steps whose results are extrapolated; n numbers give order 2 n."""


def velocity(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
    """v(x, t) = (cos(t) x - E[x_0 | x]) / sin(t), (b, …), at angles t (b,) above zero."""
    level = Level(torch.cos(t), torch.sin(t))
    return (wide(level.alpha, x) * x - denoiser(x, level, cond)) / wide(level.sigma, x)


def _from_end(x: Tensor, end: Tensor, t: Tensor, s: Tensor) -> Tensor:
    # F of a map that walks from x to end
    gap = wide(t - s, x)
    return (torch.cos(gap) * x - end) / torch.sin(gap)


@dataclass(frozen=True)
class IntegratedMap:
    """The flow map of ``denoiser`` for any t and s > 0, by ``steps`` steps of order 10, each of 35 calls."""

    denoiser: Denoiser
    steps: int = 12

    def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
        near = (t - s).abs() < SMALLEST
        here = velocity(self.denoiser, x, t, cond)
        if bool(near.all()):
            return here
        far = _from_end(x, self.end(x, t, s, cond), t, torch.where(near, t - 1, s))
        return torch.where(wide(near, x), here, far)

    def end(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
        """X_{t->s}(x), (b, …)."""
        step = (s - t) / self.steps
        for k in range(self.steps):
            x = self._step(x, t + k * step, step, cond)
        return x

    def _step(self, x: Tensor, t: Tensor, step: Tensor, cond: Condition) -> Tensor:
        # Gragg 1965; Bulirsch and Stoer 1966: the error of the midpoint rule is a series in the square of its step
        table: list[Tensor] = []
        for j, count in enumerate(MIDPOINTS):
            part, size = step / count, wide(step / count, x)
            before, now = x, x + size * velocity(self.denoiser, x, t, cond)
            for k in range(1, count):
                before, now = now, before + 2 * size * velocity(self.denoiser, now, t + k * part, cond)
            row = [(before + now + size * velocity(self.denoiser, now, t + step, cond)) / 2]
            for i, less in enumerate(reversed(MIDPOINTS[:j])):
                row.append(row[i] + (row[i] - table[i]) / ((count / less) ** 2 - 1))
            table = row
        return table[-1]


@dataclass(frozen=True)
class GaussianMap:
    """The flow map of normal data with independent elements, in closed form.

    With r(t)^2 = cos(t)^2 std^2 + sin(t)^2, the standardized state (x - cos(t) mean) / r(t) is constant along the flow.
    """

    data: Gaussian

    def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
        mean, std = self.data.mean.to(x), self.data.std.to(x)
        near = t == s
        there = torch.where(near, t - 1, s)
        before, after = wide(t, x), wide(there, x)
        spread = [torch.hypot(torch.cos(angle) * std, torch.sin(angle)) for angle in (before, after)]
        end = torch.cos(after) * mean + spread[1] / spread[0] * (x - torch.cos(before) * mean)
        # on the diagonal: the derivative of the end with respect to s, at s = t
        slope = torch.sin(before) * torch.cos(before) * (1 - std.square()) / spread[0].square()
        here = slope * (x - torch.cos(before) * mean) - torch.sin(before) * mean
        return torch.where(wide(near, x), here, _from_end(x, end, t, there))
