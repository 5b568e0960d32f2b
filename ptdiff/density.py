"""Densities: at which noise levels a denoiser is trained.

A density turns uniform numbers u in (0, 1) into noise levels.  Only the ratio of a level matters to a denoiser, so a
density may be stated in the time t of a process or, whatever the process, in the noise-to-signal ratio rho = sigma /
alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.process import Level, Process


class Density(Protocol):
    """u in (0, 1), float64 (b,), to levels (b,) by the inverse distribution function."""

    def levels(self, u: Tensor, process: Process) -> Level: ...


@dataclass(frozen=True)
class Uniform:
    """t uniform on [0, 1] (Ho et al. 2020)."""

    def levels(self, u: Tensor, process: Process) -> Level:
        return process.level(u)


@dataclass(frozen=True)
class LogitNormal:
    """logit(t) ~ N(mean, std^2) (Esser et al. 2024, eq. 19)."""

    mean: float = 0.0
    std: float = 1.0

    def levels(self, u: Tensor, process: Process) -> Level:
        return process.level(torch.sigmoid(self.mean + self.std * torch.special.ndtri(u)))


@dataclass(frozen=True)
class LogNormal:
    """log rho ~ N(mean, std^2) (Karras et al. 2022, table 1; their -1.2 for sigma_data 0.5 is -0.5 for unit
    variance)."""

    mean: float = -0.5
    std: float = 1.2

    def levels(self, u: Tensor, process: Process) -> Level:
        return _at_ratio(torch.exp(self.mean + self.std * torch.special.ndtri(u)))


@dataclass(frozen=True)
class LogUniform:
    """log rho uniform (Tyszkiewicz et al. 2023, GECCO)."""

    low: float = 0.002
    high: float = 80.0

    def levels(self, u: Tensor, process: Process) -> Level:
        return _at_ratio(self.low * (self.high / self.low) ** u)


def _at_ratio(ratio: Tensor) -> Level:
    angle = torch.atan(ratio)
    return Level(torch.cos(angle), torch.sin(angle))


DENSITIES: dict[str, type[Density]] = {
    "uniform": Uniform,
    "logit-normal": LogitNormal,
    "log-normal": LogNormal,
    "log-uniform": LogUniform,
}


def stratified(offset: Tensor, count: int) -> Tensor:
    """``count`` evenly spread numbers in (0, 1), shifted by ``offset`` in (0, 1): each uniform, jointly low-
    discrepancy.

    (Kingma et al. 2021, appendix I.1.)  Float64 (count,), or (m, count) for offsets (m, 1).
    """
    u = torch.remainder(offset + torch.arange(count, dtype=torch.float64, device=offset.device) / count, 1.0)
    return u.clamp(min=math.ulp(0.5) / 2, max=1 - math.ulp(0.5))
