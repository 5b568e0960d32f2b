"""The rate of training, and a message if it becomes much slower."""

from __future__ import annotations

from collections import deque

WINDOW = 20.0
"""Seconds of training over which the rate is measured."""
SLOW = 1 / 3
"""Fraction of the expected rate below which a message is due."""


class Pace:
    """The rate of training over the last ``WINDOW`` seconds, compared with the expected one.

    ``expected``: steps per second measured by a trial before training; None takes the rate of the first ``WINDOW``
    seconds, without the first step, which includes warming up.
    """

    def __init__(self, expected: float | None = None) -> None:
        self.expected = expected
        # (steps done, seconds of training), starting with the newest pair older than the window
        self.seen: deque[tuple[int, float]] = deque()
        self.remarked = False

    @property
    def rate(self) -> float | None:
        """Steps per second in the window; None before two steps."""
        if len(self.seen) < 2:
            return None
        (before, then), (done, now) = self.seen[0], self.seen[-1]
        return (done - before) / (now - then) if now > then else None

    def see(self, done: int, seconds: float) -> None:
        """Record that ``done`` steps were done after ``seconds`` of training."""
        if self.seen and done <= self.seen[-1][0]:
            # training has returned to a checkpoint
            self.seen.clear()
        self.seen.append((done, seconds))
        while len(self.seen) > 2 and seconds - self.seen[1][1] >= WINDOW:
            self.seen.popleft()
        if self.expected is None and seconds - self.seen[0][1] >= WINDOW:
            self.expected = self.rate

    def remark(self) -> str | None:
        """A message the first time that training is slow, otherwise None."""
        if self.remarked or self.expected is None or self.rate is None:
            return None
        if self.seen[-1][1] - self.seen[0][1] < WINDOW or self.rate > SLOW * self.expected:
            return None
        self.remarked = True
        return (
            f"training has slowed to {self.rate:.3g} steps/s from {self.expected:.3g} at first: "
            "is the machine busy with something else?"
        )
