"""Who watches a run."""

from __future__ import annotations

from typing import Any


class Observer:
    """Sees a run from outside: subclass it and override what you want to see."""

    def say(self, line: str) -> None:
        """A line worth reading."""

    def begin(self, what: str) -> None:
        """What starts now and may take a while: "first step", "validation", "preview", "checkpoint"."""

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        """After every optimiser step: steps done, the share of the run, the seconds spent on it.

        It is called in the hot loop and must be quick.  On a GPU the step may still be under way: nothing waits for it.
        """

    def report(self, values: dict[str, Any]) -> None:
        """The values of a line of metrics.jsonl."""
