"""Guidance: Denoiser -> Denoiser, so that it composes with every solver and with itself.

w is the guidance scale; w = 1 is no guidance (the convention of EDM2 and diffusers).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ptdiff.data import Condition
from ptdiff.denoiser import Denoiser
from ptdiff.process import Level


@dataclass(frozen=True)
class ClassifierFree:
    """D_u + w (D_c - D_u), D_u with the empty condition (Ho and Salimans 2022, eq. 6, there w - 1).

    Two calls of the denoiser for one; one call where w is 1 or nothing is given to guide by.
    """

    denoiser: Denoiser
    scale: float

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        given = self.denoiser(x, level, cond)
        if self.scale == 1 or not cond:
            return given
        free = self.denoiser(x, level, {})
        return free + (given - free) * self.scale
