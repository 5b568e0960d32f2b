"""Find the fastest of several ways to compute the same thing on this machine in its present state.

They are timed in turns, so that a busy moment slows all of them equally.
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
"""Maximum number of measurements of each way."""
HOPELESS = 4.0
"""A way whose first measurement is this many times slower than the fastest is dropped at once."""
SURE, BEHIND = 4, 1.15
"""After SURE measurements, ways that are slower than the best by the factor BEHIND are dropped."""
CLOSE = 1.03
"""Among all ways within this factor of the fastest, the plainest wins: float32, few threads."""


@dataclass(frozen=True)
class Way:
    """A way to compute a step.

    ``precision``: of the network.
    ``threads``: number of CPU threads of torch.
    ``shards``: number of parts of a batch that are computed in parallel.
    """

    precision: Precision = "32"
    threads: int = 1
    shards: int = 1

    @property
    def plainness(self) -> tuple[bool, int, int]:
        """Sort key, plainest first."""
        return self.precision != "32", self.threads, self.shards


def race(
    ways: Sequence[Way], measure: Callable[[Way], float], until: float, now: Callable[[], float] = time.perf_counter
) -> dict[Way, float]:
    """Typical seconds per step of each way; ways that are clearly slower are dropped early and may be missing.

    ``measure``: returns the seconds of one step.
    ``until``: time on the clock ``now``, in seconds, at which to stop.
    """
    first = {}
    for way in ways:
        # includes one-time preparation: too inaccurate to count, but good enough to drop ways that are far slower
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
    """The lower median, which occasional interruptions of a step do not affect."""
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
