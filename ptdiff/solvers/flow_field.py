"""The probability flow as a vector field, for external solvers of ordinary differential equations.

    dx/dt = alpha'(t) E[x_0 | x] + sigma'(t) E[eps | x],     E[eps | x] = (x - alpha E[x_0 | x]) / sigma

with t the time of the process: 0 is data, 1 is noise (Song et al. 2021, eq. 13; Lipman et al. 2023, theorem 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.grid import RATIO_MIN
from ptdiff.modality.data import Condition
from ptdiff.process import Level, Process


def velocity(
    denoiser: Denoiser, process: Process, cond: Condition | None = None
) -> Callable[[float | Tensor, Tensor], Tensor]:
    """The field f(t, x) = dx/dt for x (b, …) and t in [0, 1], a number, () or (b,): ``func`` of torchdiffeq.

    At sigma = 0 the flow is singular, and near it sigma' may be infinite.  Below the time with sigma / alpha = 0.002,
    f(t, x) is evaluated at that time and finite everywhere; there, data is clean to 1e-5 of its variance.
    """
    given = {} if cond is None else cond
    cleanest = process.time(torch.tensor(math.atan(RATIO_MIN), dtype=torch.float64))

    def field(t: float | Tensor, x: Tensor) -> Tensor:
        at = torch.maximum(torch.as_tensor(t, dtype=torch.float64, device="cpu").clamp(max=1), cleanest)
        level, slope = (_moved(v, x) for v in rates(process, at))
        wide, by = level.like(x), slope.like(x)
        x0 = denoiser(x, level, given)
        return by.alpha * x0 + by.sigma * ((x - wide.alpha * x0) / wide.sigma)

    return field


def rates(process: Process, t: Tensor) -> tuple[Level, Level]:
    """The level at times ``t`` and its derivative (alpha', sigma'), by automatic differentiation, shaped like ``t``."""
    with torch.inference_mode(False), torch.enable_grad():
        at = t.detach().clone().requires_grad_()
        level = process.level(at)
        alpha, sigma = (
            torch.autograd.grad(v.sum(), at, retain_graph=True)[0] if v.requires_grad else torch.zeros_like(v)
            for v in (level.alpha, level.sigma)
        )
    return Level(level.alpha.detach(), level.sigma.detach()), Level(alpha, sigma)


def _moved(level: Level, x: Tensor) -> Level:
    return Level(level.alpha.to(x), level.sigma.to(x))
