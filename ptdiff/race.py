"""Ways to compute the same thing, and which of them is the quickest on this machine as it is now.

They are measured in turns, so that a busy moment harms all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Precision = Literal["32", "bf16"]
WORDS: dict[Precision, str] = {"32": "float32", "bf16": "bfloat16"}

ROUNDS = 12
"""Measurements of each way, at most."""
CLOSE = 1.03
"""Of ways within this factor of the quickest the plainest is taken: float32, few threads."""


@dataclass(frozen=True)
class Way:
    """How a step is computed: in which arithmetic, with how many threads, in how many parts of a batch side by side."""

    precision: Precision = "32"
    threads: int = 1
    shards: int = 1

    @property
    def plainness(self) -> tuple[bool, int, int]:
        """The less, the plainer."""
        return self.precision != "32", self.threads, self.shards


def race(
    ways: Sequence[Way], measure: Callable[[Way], float], until: float, now: Callable[[], float] = time.perf_counter
) -> dict[Way, float]:
    """Mean seconds of each way; ways that are clearly slower are left out after fewer measurements.

    measure: way -> seconds of one step.   until: the moment, by the clock ``now``, to stop at.
    """
    first = {}
    for way in ways:
        # what is prepared once is not counted, but tells apart what differs by factors
        first[way] = measure(way)
        if now() > until:
            break
    if len(ways) == 1:
        return {ways[0]: min(first[ways[0]], measure(ways[0]))}
    alive = [way for way in first if first[way] <= 4 * min(first.values())]
    times: dict[Way, list[float]] = {way: [] for way in alive}
    for turn in range(ROUNDS):
        for way in alive[turn % len(alive) :] + alive[: turn % len(alive)]:
            if now() > until and turn > 0:
                break
            times[way].append(measure(way))
        best = min(_mean(times[way]) for way in alive)
        alive = [way for way in alive if _mean(times[way]) <= best * (1 + 0.6 / (turn + 1))]
        if len(alive) == 1 or now() > until:
            break
    return {way: _mean(each) for way, each in times.items() if each}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def plainest(seconds: dict[Way, float]) -> Way:
    """The plainest of the ways that are about as quick as the quickest."""
    best = min(seconds.values())
    return min((way for way, mean in seconds.items() if mean <= CLOSE * best), key=lambda way: way.plainness)


def doubling(most: int) -> list[int]:
    """1, 2, 4 … and ``most``: the numbers of threads worth trying.

    >>> doubling(6)
    [1, 2, 4, 6]
    """
    return sorted({*(2**k for k in range(most.bit_length())), most})
