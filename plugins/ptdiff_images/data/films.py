"""Films, images with time in front of height: stills of any source that move, and frames of films as images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ptdiff.modality.data import Condition, Data, Samples
from ptdiff.noise import Stream, mix, uniform
from ptdiff_datasets.images.moving import corners, films

_WAY = 0x776179  # what keeps the numbers of a way apart from others of the same seed


@dataclass(frozen=True)
class Motion:
    """Films of so many ``frames``; ``velocity``: pixels that a still moves from one to the next, 2 where None."""

    frames: int
    velocity: float | None = None

    @property
    def speed(self) -> float:
        return 2.0 if self.velocity is None else self.velocity


@dataclass(frozen=True)
class MovingSamples:
    """Stills that move over a black ground of ``side`` pixels, another way for every seed."""

    stills: Samples
    motion: Motion
    side: int

    def __len__(self) -> int:
        return len(self.stills)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Films (b, channels, frames, side, side) in [0, 1], and the conditions of their stills."""
        x, cond = self.stills.batch(ids, seed)
        room = self.side - x.shape[-2], self.side - x.shape[-1]
        way = uniform(mix(seed, _WAY), Stream.DATA, ids, 0, (3,)).numpy()
        at = corners(way, self.motion.frames, self.motion.speed, room)
        return torch.from_numpy(films(x.numpy(), at, self.side)), cond


def moving(data: Data, motion: Motion, side: int | None) -> Data:
    """The images of ``data`` (not measured) as films.

    side: pixels of the ground, twice those of a still unless set.
    ValueError where the stills have no room.
    """
    channels, *still = data.shape
    side = 2 * max(still) if side is None else side
    if side <= max(still):
        raise ValueError(
            f"stills of {still[0]} x {still[1]} pixels need a larger ground to move over than {side} x {side}"
        )

    def moved(samples: Samples | None) -> Samples | None:
        return None if samples is None else MovingSamples(samples, motion, side)

    way = f"move {motion.speed:g} pixels a frame through films of {motion.frames} frames of {side} x {side} pixels"
    summary = {**data.summary, "text": f"{data.summary['text']}\n  they {way}"}
    shape = (channels, motion.frames, side, side)
    return replace(data, shape=shape, train=moved(data.train), val=moved(data.val), summary=summary)


@dataclass(frozen=True)
class FrameSamples:
    """Of each film one frame, as an image."""

    films: Samples

    def __len__(self) -> int:
        return len(self.films)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Images (b, channels, height, width) and the conditions of their films."""
        x, cond = self.films.batch(ids, seed)
        return frame_each(x, ids), cond


def frame_each(x: Tensor, ids: Tensor | None = None) -> Tensor:
    """One frame of each film x (n, channels, frames, height, width): of film i that of number i modulo frames."""
    rows = torch.arange(len(x))
    return x[rows, :, (rows if ids is None else ids) % x.shape[2]]


def frames_of(data: Data) -> Data:
    """Films as a set of images, one frame of each, measured; images as they are."""
    if len(data.shape) == 3:
        return data
    train, val = (None if samples is None else FrameSamples(samples) for samples in (data.train, data.val))
    channels, _, height, width = data.shape
    return replace(data, shape=(channels, height, width), train=train, val=val).measured(keep=(0,))
