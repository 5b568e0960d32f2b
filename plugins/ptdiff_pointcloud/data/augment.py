"""Augmented point clouds: turned about the up axis, mirrored, scaled, jittered.

Row i of a batch is a function of (seed, id of the sample) alone, and the seed of a training step is a function of (seed
of the run, step): what was stopped goes on bit for bit, and a sample is the same alone or in a batch.  +Y is up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.modality.data import Condition, Samples
from ptdiff.noise import Stream, mix, normal, uniform

_TURN, _JITTER = 0x7475726E, 0x6A697474  # what keeps these numbers apart from others of the same seed


@dataclass(frozen=True)
class Augmentation:
    """rotate: any angle about the up axis; mirror: x to -x for every other sample; scale: by a factor that is
    log-uniform between 1 / (1 + scale) and 1 + scale; jitter: Gaussian noise of this deviation on the coordinates."""

    rotate: bool = False
    mirror: bool = False
    scale: float = 0.0
    jitter: float = 0.0

    @property
    def idle(self) -> bool:
        return not (self.rotate or self.mirror or self.scale or self.jitter)

    def __call__(self, x: Tensor, ids: Tensor, seed: int, channels: Sequence[str]) -> Tensor:
        """Clouds (b, n, c) of ``channels`` with the samples' ``ids`` (b,), augmented; normals turn with their points,
        colors stay."""
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
            # one sample at a time, products and sums apart: no rounding depends on the batch
            cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
            x, z = x * cos + z * sin, z * cos - x * sin
        factor = math.exp((2 * size - 1) * math.log1p(self.scale))
        return torch.stack([x, y, z], dim=-1) * factor


@dataclass(frozen=True)
class Augmented:
    """Training samples, augmented anew for every seed."""

    plain: Samples
    how: Augmentation
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.plain)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Samples ``ids`` of the set, each moved by its own numbers."""
        x, cond = self.plain.batch(ids, seed)
        return self.how(x, ids, seed, self.channels), cond
