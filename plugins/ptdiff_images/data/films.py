"""Videos, images with a time axis before height: moving stills of any source, and frames of videos as images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ptdiff.modality.data import Condition, Data, Split
from ptdiff.noise import Stream, mix, uniform
from ptdiff_datasets.images.moving import corners, films

_WAY = 0x776179  # separates the random numbers of a path from others of the same seed


@dataclass(frozen=True)
class Motion:
    """Settings of moving stills: ``frames`` per video, and ``velocity`` in pixels per frame, 2 if None."""

    frames: int
    velocity: float | None = None

    @property
    def speed(self) -> float:
        """Pixels per frame."""
        return 2.0 if self.velocity is None else self.velocity


@dataclass(frozen=True)
class MovingSamples:
    """Stills moving over a black background of ``side`` pixels, along another path for every seed."""

    stills: Split
    motion: Motion
    side: int

    def __len__(self) -> int:
        return len(self.stills)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return videos (b, channels, frames, side, side) in [0, 1], and the conditions of their stills."""
        x, cond = self.stills.batch(ids, seed)
        room = self.side - x.shape[-2], self.side - x.shape[-1]
        way = uniform(mix(seed, _WAY), Stream.DATA, ids, 0, (3,)).numpy()
        at = corners(way, self.motion.frames, self.motion.speed, room)
        return torch.from_numpy(films(x.numpy(), at, self.side)), cond


def moving(data: Data, motion: Motion, side: int | None) -> Data:
    """Turn the images of ``data`` (not measured) into videos.

    side: pixels of the background, by default twice those of a still. ValueError if the stills have no room to move.
    """
    channels, *still = data.shape
    side = 2 * max(still) if side is None else side
    if side <= max(still):
        raise ValueError(f"stills of {still[0]} x {still[1]} pixels need a background larger than {side} x {side}")

    def moved(samples: Split | None) -> Split | None:
        return None if samples is None else MovingSamples(samples, motion, side)

    way = f"move {motion.speed:g} pixels per frame through videos of {motion.frames} frames of {side} x {side} pixels"
    summary = {**data.summary, "text": f"{data.summary['text']}\n  they {way}"}
    shape = (channels, motion.frames, side, side)
    return replace(data, shape=shape, train=moved(data.train), val=moved(data.val), summary=summary)


@dataclass(frozen=True)
class FrameSamples:
    """One frame of each video, as an image."""

    films: Split

    def __len__(self) -> int:
        return len(self.films)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return images (b, channels, height, width) and the conditions of their videos."""
        x, cond = self.films.batch(ids, seed)
        return frame_each(x, ids), cond


def frame_each(x: Tensor, ids: Tensor | None = None) -> Tensor:
    """Take one frame of each video x (n, channels, frames, height, width): of video i, frame number i modulo frames."""
    rows = torch.arange(len(x))
    return x[rows, :, (rows if ids is None else ids) % x.shape[2]]


def frames_of(data: Data) -> Data:
    """Turn videos into a measured set of images, one frame of each; images stay as they are."""
    if len(data.shape) == 3:
        return data
    train, val = (None if samples is None else FrameSamples(samples) for samples in (data.train, data.val))
    channels, _, height, width = data.shape
    return replace(data, shape=(channels, height, width), train=train, val=val).measured(keep=(0,))
