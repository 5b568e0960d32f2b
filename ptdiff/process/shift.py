"""Shifted processes: another process with its noise-to-signal ratio multiplied.

rho = sigma / alpha; a shift s makes it s rho, which subtracts 2 log s from the log-SNR.  Data with more elements per
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
    """Shift of a process tuned for ``tuned_at`` elements to data of ``points`` elements: sqrt(points / tuned_at).

    (Hoogeboom et al. 2023, eq. 3, in terms of side lengths; Esser et al. 2024, eq. 23.)

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
    """The base process with its noise-to-signal ratio multiplied by a shift (simple diffusion, SD3).

    The log-SNR falls by 2 log shift (Hoogeboom et al. 2023, section 3.1); with base flow the ratios are those of Esser
    et al. 2024, eq. 23.
    ``base``: the process to shift.  ``shift``: factor, positive.
    ``scale``: normalization of the levels, with r of the base ("base"), r = 1 ("unit") or alpha + sigma = 1 ("flow"); a
    denoiser does not notice it.
    """

    base: Process = field(default_factory=Flow)
    shift: float = 2.0
    scale: Scale = "base"

    def __post_init__(self) -> None:
        check_positive(shift=self.shift)

    def level(self, t: Tensor) -> Level:
        """The shifted level at times ``t``."""
        return _shifted(self.base.level(t), self.shift, self.scale)

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale at times ``t``."""
        return self.level(t).alpha

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale at times ``t``."""
        return self.level(t).sigma

    @property
    def chain_steps(self) -> int | None:
        """Number of steps of the base, None in continuous time."""
        return self.base.chain_steps


@dataclass(frozen=True)
class Interpolated(Process):
    """The base process with a shift that changes log-linearly from data_shift at t = 0 to noise_shift at t = 1.

    Hoogeboom et al. 2023, section 3.1, "interpolated": the noise of one resolution for coarse structure, of another for
    detail.  ``scale`` as in :class:`Shifted`.
    """

    base: Process = field(default_factory=Flow)
    data_shift: float = 1.0
    noise_shift: float = 2.0
    scale: Scale = "base"

    def __post_init__(self) -> None:
        check_positive(data_shift=self.data_shift, noise_shift=self.noise_shift)
        if self.noise_shift < self.data_shift:
            raise ValueError(f"noise_shift must be at least data_shift {self.data_shift}, not {self.noise_shift}")

    def level(self, t: Tensor) -> Level:
        """The shifted level at times ``t``."""
        shift = torch.exp(math.log(self.data_shift) * (1 - t) + math.log(self.noise_shift) * t)
        return _shifted(self.base.level(t), shift, self.scale)

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale at times ``t``."""
        return self.level(t).alpha

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale at times ``t``."""
        return self.level(t).sigma

    @property
    def chain_steps(self) -> int | None:
        """Number of steps of the base, None in continuous time."""
        return self.base.chain_steps
