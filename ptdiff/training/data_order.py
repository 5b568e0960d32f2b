"""The order of the data: a pure function of (seed, step), so that resuming needs no loader state.

The samples of all epochs, each a permutation addressed by (seed, epoch), form one sequence; step s takes the samples at
places s batch … (s + 1) batch - 1.

Order 2 shuffles up to ``WHOLE`` samples as order 1 does, and more of them by a keyed bijection of the places, which
needs no memory: a list of ten million shuffled ids would take 80 MB for each epoch that is in use.  Runs of versions
that only had order 1 keep it (``training.order`` in config.yaml).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff.noise import Stream, mix

Order = Literal[1, 2]

WHOLE = 1 << 16
"""Most samples that order 2 shuffles in memory: half a megabyte."""

ROUNDS = 8
"""Rounds of the Feistel network; four make it a pseudorandom permutation (Luby and Rackoff 1988)."""


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    generator = np.random.Generator(np.random.Philox(key=mix(seed, int(Stream.ORDER), epoch)))
    return generator.permutation(count)


def sample_ids(seed: int, step: int, batch: int, count: int, order: Order = 2) -> Tensor:
    """Ids (batch,) int64 of the samples that step ``step`` trains on, from a data set of ``count``."""
    places = np.arange(step * batch, (step + 1) * batch, dtype=np.int64)
    epochs, inside = np.divmod(places, count)
    ids = np.empty(batch, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        if order == 1 or count <= WHOLE:
            ids[here] = _permutation(seed, int(epoch), count)[inside[here]]
        else:
            ids[here] = shuffled(inside[here], count, mix(seed, int(Stream.ORDER), int(epoch)))
    return torch.from_numpy(ids)


def shuffled(places: npt.NDArray[np.int64], count: int, key: int) -> npt.NDArray[np.int64]:
    """The ids (n,) at ``places`` (n,) of the permutation ``key`` of 0 … count - 1, without the whole permutation.

    A balanced Feistel network permutes the numbers of an even count of bits, at most 4 ``count`` of them; an id that is
    too large goes through it again until it is not (cycle walking: Black and Rogaway 2002).
    """
    half = ((count - 1).bit_length() + 1) // 2
    keys = [mix(key, number) for number in range(ROUNDS)]
    ids = _feistel(places.astype(np.uint64), half, keys)
    while (outside := ids >= count).any():
        ids[outside] = _feistel(ids[outside], half, keys)
    return ids.astype(np.int64)


def _feistel(numbers: npt.NDArray[np.uint64], half: int, keys: list[int]) -> npt.NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = numbers >> bits, numbers & mask
    for key in keys:
        left, right = right, left ^ (_scrambled(right ^ np.uint64(key)) & mask)
    return (left << bits) | right


def _scrambled(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    # the finalizer of splitmix64 (Steele, Lea and Flood 2014); integers of an array wrap around
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
