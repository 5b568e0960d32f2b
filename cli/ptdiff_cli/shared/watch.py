"""The progress bar of training."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from ptdiff.training.observer import Observer
from ptdiff_cli.shared.terminal import console, printable

SECONDS = 0.25
"""Seconds between two updates of the bar."""


class Watch(Observer):
    """A progress bar with activity, steps, loss, rate, remaining and elapsed time.

    Without a terminal it prints lines: before and after the first step, after 10 seconds, then every 30 seconds.
    """

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.console = console()
        self.bar = Progress(
            TextColumn("[bold]train"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
            refresh_per_second=4,
        )
        self.task = self.bar.add_task("train", total=1.0, text="starting")
        self.loss = ""
        self.first: tuple[int, float, float] | None = None  # the first tick, from which the rate is measured
        self.last = (0, 0.0, 0.0)
        self.began = self.due = self.shown = 0.0

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.first is not None:
            self._show()
        self.bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    def begin(self, what: str) -> None:
        """Show the current activity."""
        if self.console.is_terminal:
            self.bar.update(self.task, text=f"{self._text()}  {what} …" if self.first else f"{what} …")
        elif self.first is None:
            self.say(f"train {what} …")

    def report(self, values: dict[str, Any]) -> None:
        """Show the loss of ``values``; None means that it is not finite."""
        self.loss = "loss not finite" if values["loss"] is None else f"loss {values['loss']:.4f}"

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        """Update the bar: steps done, fraction in [0, 1] of the run, and seconds of training."""
        now, self.last = time.monotonic(), (done, fraction, seconds)
        if self.first is None:
            # the first step includes the warm-up, so the rate is measured from its end
            self.first, self.began, self.due = self.last, now, now
        if self.console.is_terminal:
            if now - self.shown >= SECONDS:
                self.shown = now
                self._show()
        elif now >= self.due:
            self.due = self.began + 10 if now < self.began + 10 else now + 30
            self.say(f"train {self._text()}")

    def _show(self) -> None:
        self.bar.update(self.task, completed=min(1.0, self.last[1]), text=self._text())

    def _text(self) -> str:
        assert self.first is not None
        done, fraction, seconds = self.last
        steps, share, spent = done - self.first[0], fraction - self.first[1], seconds - self.first[2]
        said = [f"{min(1.0, fraction):.0%}", f"step {done}", self.loss]
        if steps and spent > 0:
            said.append(f"{steps / spent:.3g} steps/s")
        if share > 0:
            said.append(f"{_clock(spent / share * max(0.0, 1 - fraction))} left")
        return "  ".join(filter(None, said))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
