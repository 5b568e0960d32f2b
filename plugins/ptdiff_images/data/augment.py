"""Augmented images: mirrored, rotated, and non-leaky augmentations whose parameters condition the network.

A network that is given the change of each image learns to generate unchanged ones: samples are drawn with the labels at
zero, or without them (Karras et al. 2022, appendix F.2, after Karras et al. 2020). Each change happens with the same
probability, independently of the others; a ~ N(0, 1), phi ~ U(-pi, pi). The content is changed as follows:

    flip     mirrored left to right, half of the time           label 0 or 1
    scale    enlarged by 2^(a / 5)                              label a
    turn     by phi                                             labels cos(phi) - 1, sin(phi)
    stretch  by 2^(a / 5) along phi, by its inverse across      labels a cos(2 phi), a sin(2 phi)
    shift    by a1 / 8 of the width, a2 / 8 of the height       labels a1, a2
    brightness  a / 5 added to all channels                     label a

The labels of a stretch use the double angle, which tells a stretch from its opposite (the paper uses the single angle).
Rotated and moved images are resampled by bicubic interpolation, clipped to [0, 1], and mirrored beyond their edges. Row
i of a batch is a function of (seed, id of the sample) alone, and the seed of a training step is a function of (seed of
the run, step).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ptdiff.modality.data import Condition, Data, Split
from ptdiff.noise import Stream, mix, normal, uniform

AUGMENT_LABELS = (
    "flip",
    "scale",
    "turn_cos",
    "turn_sin",
    "stretch_cos",
    "stretch_sin",
    "shift_x",
    "shift_y",
    "brightness",
)
"""The columns of ``cond["augment"]``, float32 (b, 9): how an image was changed; zeros for an unchanged image."""

_CHOICE, _AMOUNT = 0x63686F69, 0x616D6F75  # separate these random numbers from others of the same seed
_SIZE, _SHIFT, _LIGHT = math.log(2) / 5, 1 / 8, 1 / 5

Matrix = tuple[float, ...]


@dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation.

    flip: mirror half of the images. rotate: rotate by up to this many degrees either way. The network sees neither.
    labeled: probability of each change that the network is conditioned on.
    """

    flip: bool = False
    rotate: float = 0.0
    labeled: float = 0.0

    @property
    def idle(self) -> bool:
        """True if nothing is changed."""
        return not (self.flip or self.rotate or self.labeled)

    def __call__(self, x: Tensor, ids: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Change images (b, channels, height, width) in [0, 1] of the samples ``ids`` (b,); also returns labels (b, 9).

        Images that are unchanged or only mirrored keep their values bit for bit.
        """
        choices = uniform(mix(seed, _CHOICE), Stream.DATA, ids, 0, (11,)).tolist()
        amounts = normal(mix(seed, _AMOUNT), Stream.DATA, ids, 0, (5,)).tolist()
        # one sample at a time, in Python, so that no rounding depends on the batch
        plans = [self._plan(u, a) for u, a in zip(choices, amounts, strict=True)]
        labels = torch.tensor([plan.label for plan in plans], dtype=torch.float32).reshape(-1, len(AUGMENT_LABELS))
        x = torch.where(torch.tensor([plan.mirrored for plan in plans])[:, None, None, None], x.flip(-1), x)
        moved = [row for row, plan in enumerate(plans) if plan.moved]
        if moved:
            x[moved] = _resampled(x[moved], [plans[row] for row in moved])
        return x + _LIGHT * labels[:, -1, None, None, None], labels

    def _plan(self, u: list[float], a: list[float]) -> _Plan:
        told = [gate < self.labeled for gate in u[:6]]
        mirrored = told[0] and u[6] < 0.5
        scale, bend = a[0] if told[1] else 0.0, a[1] if told[3] else 0.0
        turn, along = (2 * math.pi * v - math.pi if here else 0.0 for v, here in ((u[7], told[2]), (u[8], told[3])))
        shift = (a[2], a[3]) if told[4] else (0.0, 0.0)
        light = a[4] if told[5] else 0.0
        untold = math.radians(self.rotate) * (2 * u[9] - 1)
        # where a pixel comes from: the last change is undone first
        inverse = _product(_rotation(untold - turn), _stretch(math.exp(-_SIZE * bend), along))
        factor = math.exp(-_SIZE * scale)
        label = (
            float(mirrored),
            scale,
            math.cos(turn) - 1,
            math.sin(turn),
            bend * math.cos(2 * along),
            bend * math.sin(2 * along),
            *shift,
            light,
        )
        moved = bool(self.rotate) or any(told[1:5])
        inverse = tuple(factor * entry for entry in inverse)
        return _Plan(mirrored != (self.flip and u[10] < 0.5), moved, inverse, shift, label)


@dataclass(frozen=True)
class _Plan:
    """Changes of one image: whether it is mirrored and moved, the matrix from a pixel to its source, and its labels.

    The matrix applies to positions minus the shift, both relative to the center.
    """

    mirrored: bool
    moved: bool
    inverse: Matrix  # row by row
    shift: tuple[float, float]
    label: tuple[float, ...]


def _rotation(angle: float) -> Matrix:
    return math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)


def _stretch(factor: float, along: float) -> Matrix:
    """Stretch by ``factor`` in the direction ``along`` and by its inverse across it."""
    return _product(_product(_rotation(along), (factor, 0.0, 0.0, 1 / factor)), _rotation(-along))


def _product(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
    )


def _resampled(x: Tensor, plans: list[_Plan]) -> Tensor:
    """Resample images (k, channels, height, width) as their plans say."""
    height, width = x.shape[-2:]
    across = torch.arange(width, dtype=torch.float32)[None, None, :] - (width - 1) / 2
    down = torch.arange(height, dtype=torch.float32)[None, :, None] - (height - 1) / 2
    inverse = torch.tensor([plan.inverse for plan in plans], dtype=torch.float32)[:, :, None, None]
    shift = torch.tensor([plan.shift for plan in plans], dtype=torch.float32)[:, :, None, None] * _SHIFT
    across, down = across - shift[:, 0] * width, down - shift[:, 1] * height
    column = inverse[:, 0] * across + inverse[:, 1] * down
    row = inverse[:, 2] * across + inverse[:, 3] * down
    places = torch.stack([column * (2 / width), row * (2 / height)], dim=-1)
    read = functional.grid_sample(x, places, mode="bicubic", padding_mode="reflection", align_corners=False)
    return read.clamp(0, 1)


@dataclass(frozen=True)
class Augmented:
    """Training samples, changed differently for every seed; ``cond["augment"]`` says how, if the network sees it."""

    plain: Split
    how: Augmentation

    def __len__(self) -> int:
        return len(self.plain)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return the samples ``ids``, each changed by its own random numbers; all frames of a video alike."""
        x, cond = self.plain.batch(ids, seed)
        changed, labels = self.how(x.flatten(1, -3), ids, seed)
        return changed.reshape(x.shape), {**cond, "augment": labels} if self.how.labeled else cond


def augmented(data: Data, how: Augmentation) -> Data:
    """Augment the training samples of ``data``; held-out samples stay as they are."""
    return data if how.idle or data.train is None else replace(data, train=Augmented(data.train, how))
