"""Augmented point clouds: rotated about the up axis, mirrored, scaled, jittered.

Row i of a batch is a function of (seed, id of the sample) alone, and the seed of a training step is a function of (seed
of the run, step): a stopped run continues bit for bit, and a sample is the same alone or in a batch. +Y is up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.modality.data import Condition, Split
from ptdiff.noise import Stream, mix, normal, uniform

_TURN, _JITTER = 0x7475726E, 0x6A697474  # separate these random numbers from others of the same seed


@dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation.

    rotate: random rotation about the up axis. mirror: x to -x for half of the samples. scale: by a factor that is
    log-uniform between 1 / (1 + scale) and 1 + scale. jitter: standard deviation of Gaussian noise on the coordinates.
    """

    rotate: bool = False
    mirror: bool = False
    scale: float = 0.0
    jitter: float = 0.0

    @property
    def idle(self) -> bool:
        """True if nothing is changed."""
        return not (self.rotate or self.mirror or self.scale or self.jitter)

    def __call__(self, x: Tensor, ids: Tensor, seed: int, channels: Sequence[str]) -> Tensor:
        """Augment clouds (b, n, c) of ``channels``, of the samples ``ids`` (b,); normals turn with their points."""
        draws = uniform(mix(seed, _TURN), Stream.DATA, ids, 0, (3,)).tolist()
        out = x.clone()
        for at, name in enumerate(channels):
            if name == "colors":
                continue
            part = slice(3 * at, 3 * at + 3)
            for row, (turn, side, size) in zip(out, draws, strict=True):
                row[:, part] = self._moved(row[:, part], turn, side, size if name == "xyz" else 0.5)
        if self.jitter:
            noise = normal(mix(seed, _JITTER), Stream.DATA, ids, 0, (x.shape[1], 3))
            out[..., :3] = out[..., :3] + self.jitter * noise
        return out

    def _moved(self, points: Tensor, turn: float, side: float, size: float) -> Tensor:
        x, y, z = points.unbind(-1)
        if self.mirror and side < 0.5:
            x = -x
        if self.rotate:
            # one sample at a time, products and sums separate, so that no rounding depends on the batch
            cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
            x, z = x * cos + z * sin, z * cos - x * sin
        factor = math.exp((2 * size - 1) * math.log1p(self.scale))
        return torch.stack([x, y, z], dim=-1) * factor


@dataclass(frozen=True)
class Augmented:
    """Training samples, augmented differently for every seed."""

    plain: Split
    how: Augmentation
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.plain)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return the samples ``ids``, each augmented by its own random numbers."""
        x, cond = self.plain.batch(ids, seed)
        return self.how(x, ids, seed, self.channels), cond
