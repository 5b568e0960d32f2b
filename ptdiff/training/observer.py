"""The interface for watching a run."""

from __future__ import annotations

from typing import Any


class Observer:
    """Base class for watching a run from outside: subclass it and override the events of interest."""

    def say(self, line: str) -> None:
        """Called with a line worth reading."""

    def begin(self, what: str) -> None:
        """Called when something starts that may take a while: "first step", "validation", "preview", "checkpoint"."""

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        """Called after every optimizer step: steps done, share of the run completed, seconds spent on it.

        This is in the hot loop and must be fast.  On a GPU the step may still be under way: nothing waits for it.
        """

    def report(self, values: dict[str, Any]) -> None:
        """Called with the values of each line of metrics.jsonl."""
