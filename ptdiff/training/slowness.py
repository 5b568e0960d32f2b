"""How fast training is, and whether it has become much slower than it was."""

from __future__ import annotations

from collections import deque

WINDOW = 20.0
"""Seconds of training over which a rate is measured."""
SLOW = 1 / 3
"""The share of the first rate that is worth a remark."""


class Pace:
    """The rate of training: that of the beginning, or one measured before, and that of the last ``WINDOW`` seconds.

    expected: steps per second that a trial before training measured; None takes the first ``WINDOW`` seconds for it,
    the first step not counted, as it pays for warming up.
    """

    def __init__(self, expected: float | None = None) -> None:
        self.expected = expected
        # (steps done, seconds of training) from the newest that is older than the window on
        self.seen: deque[tuple[int, float]] = deque()
        self.remarked = False

    @property
    def rate(self) -> float | None:
        """Steps per second lately; None before two steps were seen."""
        if len(self.seen) < 2:
            return None
        (before, then), (done, now) = self.seen[0], self.seen[-1]
        return (done - before) / (now - then) if now > then else None

    def see(self, done: int, seconds: float) -> None:
        """So many steps were done after so many seconds of training."""
        if self.seen and done <= self.seen[-1][0]:
            # back at a checkpoint
            self.seen.clear()
        self.seen.append((done, seconds))
        while len(self.seen) > 2 and seconds - self.seen[1][1] >= WINDOW:
            self.seen.popleft()
        if self.expected is None and seconds - self.seen[0][1] >= WINDOW:
            self.expected = self.rate

    def remark(self) -> str | None:
        """A line the first time that training is slow."""
        if self.remarked or self.expected is None or self.rate is None:
            return None
        if self.seen[-1][1] - self.seen[0][1] < WINDOW or self.rate > SLOW * self.expected:
            return None
        self.remarked = True
        return (
            f"training has slowed to {self.rate:.3g} steps/s from {self.expected:.3g} at first: "
            "is the machine busy with something else?"
        )
