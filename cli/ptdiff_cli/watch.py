"""The progress bar of training."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from ptdiff.config import Config
from ptdiff.training.callbacks import Observer
from ptdiff_cli.terminal import console


class Watch(Observer):
    """A bar with steps, loss, rate and remaining time; without a terminal, a line every half minute."""

    def __init__(self, config: Config) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.console = console()
        self.batch = config.training.batch
        self.bar = Progress(
            TextColumn("[bold]train"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            refresh_per_second=4,
        )
        self.task = self.bar.add_task("train", total=1.0, text="starting")
        self.loss = ""
        self.began: tuple[int, float, float] | None = None
        self.last_line = time.monotonic()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def report(self, values: dict[str, Any]) -> None:
        self.loss = "loss not finite" if values["loss"] is None else f"loss {values['loss']:.4f}"

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        if self.began is None:
            # the first step pays for warming up: the rate is measured from its end
            self.began = (done, fraction, seconds)
        steps, share, spent = done - self.began[0], fraction - self.began[1], seconds - self.began[2]
        rate = f"{steps * self.batch / spent:.0f}/s" if spent > 0 else ""
        left = f"{_clock(spent / share * max(0.0, 1 - fraction))} left" if share > 0 else ""
        text = f"{min(1.0, fraction):4.0%}  step {done}  {self.loss}  {rate}  {left}"
        self.bar.update(self.task, completed=min(1.0, fraction), text=text)
        if not self.console.is_terminal and time.monotonic() - self.last_line >= 30:
            self.last_line = time.monotonic()
            self.say(f"train {' '.join(text.split())}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
