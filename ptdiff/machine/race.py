"""A race between ways to compute the same thing, for the fastest on this machine in its present state.

The ways are timed in turns, so that a busy moment slows all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median_low
from typing import Literal

import torch

Precision = Literal["32", "bf16"]
WORDS: dict[Precision, str] = {"32": "float32", "bf16": "bfloat16"}

ROUNDS = 12
"""The most measurements of each way."""
HOPELESS = 4.0
"""A way that first takes this many times longer than another is not measured again."""
SURE, BEHIND = 4, 1.15
"""After this many measurements a way that is slower than the best by this factor leaves the race."""
CLOSE = 1.03
"""Of all ways within this factor of the fastest, the plainest wins: float32, few threads."""


@dataclass(frozen=True)
class Way:
    """A way to compute a step: the precision, the number of threads, the number of parts of a batch side by side."""

    precision: Precision = "32"
    threads: int = 1
    shards: int = 1

    @property
    def plainness(self) -> tuple[bool, int, int]:
        """A key for sorting, plainest first."""
        return self.precision != "32", self.threads, self.shards


def race(
    ways: Sequence[Way], measure: Callable[[Way], float], until: float, now: Callable[[], float] = time.perf_counter
) -> dict[Way, float]:
    """Typical seconds of each way; ways that are clearly slower drop out early.

    measure: way -> seconds of one step.   until: the time on the clock ``now`` at which to stop.
    """
    first = {}
    for way in ways:
        # includes one-time preparation: too coarse to count, fine enough to drop ways that are several times slower
        first[way] = measure(way)
        if now() > until:
            break
    if len(ways) == 1:
        return {ways[0]: min(first[ways[0]], measure(ways[0]))}
    alive = [way for way in first if first[way] <= HOPELESS * min(first.values())]
    times: dict[Way, list[float]] = {way: [] for way in alive}
    for turn in range(ROUNDS):
        for way in alive[turn % len(alive) :] + alive[: turn % len(alive)]:
            if now() > until and turn > 0:
                break
            times[way].append(measure(way))
        if turn + 1 >= SURE:
            best = min(typical(times[way]) for way in alive)
            alive = [way for way in alive if typical(times[way]) <= best * BEHIND]
        if len(alive) == 1 or now() > until:
            break
    return {way: typical(each) for way, each in times.items() if each}


def typical(values: Sequence[float]) -> float:
    """The lower median: a step that was interrupted now and then says nothing of the way it was computed."""
    return median_low(values)


def plainest(seconds: dict[Way, float]) -> Way:
    """The plainest of the ways that are about as fast as the fastest."""
    best = min(seconds.values())
    return min((way for way, mean in seconds.items() if mean <= CLOSE * best), key=lambda way: way.plainness)


def doubling(most: int) -> list[int]:
    """1, 2, 4 … and ``most``: the numbers of threads worth trying.

    >>> doubling(6)
    [1, 2, 4, 6]
    """
    return sorted({*(2**k for k in range(most.bit_length())), most})


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads inside the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
