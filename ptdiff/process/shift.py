"""Processes with more noise at every time: the noise-to-signal ratio of another process, multiplied.

rho = sigma / alpha; a shift s makes it s rho, which takes 2 log s from the log-SNR.  Data with more elements of one
signal (pixels of an image, points of a cloud) averages noise away and needs a shift above 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ptdiff.process.continuous import Flow, check_positive
from ptdiff.process.level import Level, Process

Scale = Literal["base", "unit", "flow"]


def shift_for(points: int, tuned_at: int) -> float:
    """The shift for data of ``points`` elements of a process that suits ``tuned_at``: sqrt(points / tuned_at).

    (Hoogeboom et al. 2023, eq. 3, there side lengths; Esser et al. 2024, eq. 23.)

    >>> shift_for(2048, tuned_at=512)
    2.0
    """
    check_positive(points=points, tuned_at=tuned_at)
    return math.sqrt(points / tuned_at)


def _shifted(level: Level, shift: float | Tensor, scale: Scale) -> Level:
    alpha, sigma = level.alpha, level.sigma * shift
    if scale == "flow":
        factor = 1 / (alpha + sigma)
    else:
        factor = (level.scale if scale == "base" else 1) / torch.hypot(alpha, sigma)
    return Level(alpha * factor, sigma * factor)


@dataclass(frozen=True)
class Shifted(Process):
    """The base process with shift times its noise-to-signal ratio: log-SNR less 2 log shift (Hoogeboom, SD3).

    Hoogeboom et al. 2023, section 3.1; over flow it has the ratios of Esser et al. 2024, eq. 23.
    scale: r of the base, r = 1 (unit) or alpha + sigma = 1 (flow); a denoiser does not see the difference.
    """

    base: Process = field(default_factory=Flow)
    shift: float = 2.0
    scale: Scale = "base"

    def __post_init__(self) -> None:
        check_positive(shift=self.shift)

    def level(self, t: Tensor) -> Level:
        return _shifted(self.base.level(t), self.shift, self.scale)

    def alpha(self, t: Tensor) -> Tensor:
        return self.level(t).alpha

    def sigma(self, t: Tensor) -> Tensor:
        return self.level(t).sigma

    @property
    def chain_steps(self) -> int | None:
        return self.base.chain_steps


@dataclass(frozen=True)
class Interpolated(Process):
    """The base process with a shift that goes from data_shift at t = 0 to noise_shift at t = 1, log-linearly.

    Hoogeboom et al. 2023, section 3.1, "interpolated": coarse structure as at one resolution, detail as at another.
    scale as in :class:`Shifted`.
    """

    base: Process = field(default_factory=Flow)
    data_shift: float = 1.0
    noise_shift: float = 2.0
    scale: Scale = "base"

    def __post_init__(self) -> None:
        check_positive(data_shift=self.data_shift, noise_shift=self.noise_shift)
        if self.noise_shift < self.data_shift:
            raise ValueError(
                f"noise_shift {self.noise_shift} must not lie below data_shift {self.data_shift}: noise might not grow"
            )

    def level(self, t: Tensor) -> Level:
        shift = torch.exp(math.log(self.data_shift) * (1 - t) + math.log(self.noise_shift) * t)
        return _shifted(self.base.level(t), shift, self.scale)

    def alpha(self, t: Tensor) -> Tensor:
        return self.level(t).alpha

    def sigma(self, t: Tensor) -> Tensor:
        return self.level(t).sigma

    @property
    def chain_steps(self) -> int | None:
        return self.base.chain_steps
