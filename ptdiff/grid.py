"""Time grids: which noise levels a solver visits.

A grid of n steps is n + 1 levels from the noisiest, at t = 1, down to the clean level (alpha(0), 0).  The step into
the clean level replaces x by alpha E[x_0|x] and needs no evaluation there, so no grid ever evaluates a denoiser at
sigma = 0.

rho = sigma / alpha, the noise-to-signal ratio.  Spacings that are stated in rho run over [RATIO_MIN, RATIO_MAX] where
the process goes further: beyond, unit-variance data is noise to 1e-4, or clean to 1e-5 of its variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ptdiff.process import Level, Process

RATIO_MIN, RATIO_MAX = 0.002, 80.0


def _uniform(process: Process, n: int) -> Tensor:
    """Equal steps of time."""
    return torch.linspace(1, 0, n, dtype=torch.float64)


def _quadratic(process: Process, n: int) -> Tensor:
    """Equal steps of the root of time (Song et al. 2021, DDIM, appendix D.2)."""
    return torch.linspace(1, 0, n, dtype=torch.float64) ** 2


def _ratios(process: Process, ratio: Callable[[float, float], Tensor]) -> Tensor:
    ends = process.level(torch.tensor([0.0, 1.0], dtype=torch.float64)).angle
    low = max(float(torch.tan(ends[0])), RATIO_MIN)
    high = min(float(torch.tan(ends[1])), RATIO_MAX)
    return process.time(torch.atan(ratio(high, low)))


def _log_snr(process: Process, n: int) -> Tensor:
    """Equal steps of log-SNR (Lu et al. 2022, section 3.3)."""
    return _ratios(process, lambda high, low: torch.logspace(math.log10(high), math.log10(low), n, dtype=torch.float64))


def _karras(process: Process, n: int, power: float = 7.0) -> Tensor:
    """Equal steps of rho^(1/7) (Karras et al. 2022, eq. 5)."""
    return _ratios(
        process,
        lambda high, low: torch.linspace(high ** (1 / power), low ** (1 / power), n, dtype=torch.float64) ** power,
    )


SPACINGS: dict[str, Callable[[Process, int], Tensor]] = {
    "uniform": _uniform,
    "quadratic": _quadratic,
    "log-snr": _log_snr,
    "karras": _karras,
}


def grid(process: Process, steps: int, spacing: str = "uniform") -> Level:
    """The ``steps + 1`` levels of a grid, float64: noisiest first, the clean level (alpha(0), 0) last.

    A process that reaches sigma = 0 spends its last point there; one that stops at sigma_min (VE) spaces all ``steps``
    noisy levels down to sigma_min and then appends the clean level, as EDM does.

    >>> from ptdiff.process import Flow
    >>> grid(Flow(), 4).sigma.tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if steps < 1:
        raise ValueError(f"a grid needs at least one step, not {steps}")
    zero = torch.zeros(1, dtype=torch.float64)
    space = SPACINGS[spacing]
    points = space(process, max(steps, 2))
    if steps == 1:
        points = points[:1]
    elif float(process.sigma(points[-1:])) == 0:
        points = space(process, steps + 1)[:-1]
    level = process.level(points)
    return Level(torch.cat([level.alpha, process.alpha(zero)]), torch.cat([level.sigma, zero]))
