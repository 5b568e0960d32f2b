"""Brownian paths addressed by (seed, sample, time): one path for any number of steps.

    W(0) = 0,   W(b) - W(a) ~ N(0, (b - a) I),   independent over disjoint intervals        time = SNR = (alpha/sigma)^2

In SNR time the noise of the reverse SDE has independent increments, and pure noise is time 0.  Every number of a path
is a function of (seed, sample, time) alone, by Levy's construction:

    octaves   [2^k, 2^(k+1)] from 2^FLOOR on, and [0, 2^FLOOR]: independent increments
    cells     CELLS equal parts of an octave, by halving: W(middle) given both ends is normal about their mean
    leaf      W(time) given both ends of its cell: one more normal number, addressed by the time

Levels in different cells have exactly the law of a Brownian motion; two levels inside one cell are refused.  Times are
rounded to 2^-30 of their octave, so that levels that differ only by rounding share their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ptdiff.noise import Stream, mix, normal
from ptdiff.solvers.table import Table

CELLS = 2**10
FLOOR = -20
_FINE = 2**20
_KEPT = 24


class _Place(NamedTuple):
    """A time: ``fine`` parts of a cell of an octave; octave FLOOR - 1 is [0, 2^FLOOR]."""

    octave: int
    cell: int
    fine: int

    @staticmethod
    def of(time: float) -> _Place:
        octave = max(math.frexp(time)[1] - 1, FLOOR - 1) if time > 0 else FLOOR - 1
        begin, width = _octave(octave)
        cell, fine = divmod(round((time - begin) / width * CELLS * _FINE), _FINE)
        return _Place(octave + 1, 0, 0) if cell == CELLS else _Place(octave, cell, fine)

    @property
    def time(self) -> float:
        begin, width = _octave(self.octave)
        return begin + width * (self.cell + self.fine / _FINE) / CELLS


def _octave(octave: int) -> tuple[float, float]:
    # start of an octave, and its length
    return (0.0, 2.0**FLOOR) if octave < FLOOR else (2.0**octave, 2.0**octave)


@dataclass(frozen=True, eq=False)
class BrownianPath:
    """The Brownian paths of the samples ``ids`` (b,), each of ``shape``, for one seed.

    The most recent nodes are cached, because the neighboring interval needs many of them; no number depends on the
    cache.
    """

    seed: int
    ids: Tensor
    shape: tuple[int, ...]

    def noise(self, table: Table) -> Callable[[int], Tensor]:
        """The numbers of ``table.draws``, for :func:`ptdiff.solvers.trajectory`.

        Draws of the path are its increments; the numbers of a fresh draw k are addressed by (seed, sample, k).
        """
        draws = table.draws

        def numbers(k: int) -> Tensor:
            if draws[k].fresh is None:
                return self.increment(*draws[k].span)
            return normal(self.seed, Stream.FRESH, self.ids, k, self.shape)

        return numbers

    def increment(self, start: float, end: float) -> Tensor:
        """(W(end) - W(start)) / sqrt(end - start), float32 (b, *shape), for times 0 <= start < end < inf.

        Raises ValueError for other times, and for two times inside one cell.
        """
        if not 0 <= start < end < math.inf:
            raise ValueError(
                f"an increment of a Brownian path needs SNR 0 <= start < end < inf, not {start:.6g} to {end:.6g}"
            )
        first, last = _Place.of(start), _Place.of(end)
        if first[:2] == last[:2] and (first.fine or not last.fine):
            raise ValueError(
                f"levels with SNR {start:.9g} and {end:.9g} are closer than 1/{CELLS} of an octave, too close for a "
                "Brownian path: use fewer steps, or independent noise"
            )
        value = self._inside(last) - self._inside(first)
        for octave in range(first.octave, last.octave):
            value = value + self._whole(octave)
        return (value / math.sqrt(last.time - first.time)).float()

    def _inside(self, place: _Place) -> Tensor:
        """W(time) minus W at the start of its octave, float64."""
        return self._recall(("inside", *place), lambda: self._bridge(place))

    def _bridge(self, place: _Place) -> Tensor:
        octave, cell, fine = place
        width = _octave(octave)[1]
        low, high, node = 0, CELLS, 1
        left, right = torch.zeros((), dtype=torch.float64, device=self.ids.device), self._whole(octave)
        while (cell, fine) != (low, 0) and high - low > 1:
            middle = (low + high) // 2
            # given both ends, the variance of the middle is a quarter of their distance
            std = math.sqrt(width * (high - low) / CELLS / 4)
            at = (left + right) / 2 + self._number(octave, node) * std
            if cell < middle:
                high, right, node = middle, at, 2 * node
            else:
                low, left, node = middle, at, 2 * node + 1
        if fine == 0:
            return left
        share = fine / _FINE
        leaf = normal(mix(self.seed, octave, cell), Stream.PATH_LEAF, self.ids, fine, self.shape)
        return left + (right - left) * share + leaf * math.sqrt(width / CELLS * share * (1 - share))

    def _whole(self, octave: int) -> Tensor:
        return self._number(octave, 0) * math.sqrt(_octave(octave)[1])

    def _number(self, octave: int, node: int) -> Tensor:
        # 0 is the whole octave, followed by a heap of middles: 1 of the octave, 2 and 3 of its halves, …
        step = (octave - FLOOR + 1) * CELLS + node
        return self._recall(("node", step), lambda: normal(self.seed, Stream.PATH, self.ids, step, self.shape)).double()

    def _recall(self, key: tuple[str | int, ...], make: Callable[[], Tensor]) -> Tensor:
        # most recently used last
        value = self._kept.pop(key, None)
        self._kept[key] = make() if value is None else value
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        return self._kept[key]

    @cached_property
    def _kept(self) -> dict[tuple[str | int, ...], Tensor]:
        return {}
