"""A progress bar on the terminal while a folder is read."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ptdiff.modality import Progress

_PATIENCE = 1.0  # seconds before it appears


@contextmanager
def bar(text: str) -> Iterator[Progress | None]:
    """Yield ``report(done, total)`` for long work, or None if stderr is not a terminal; the bar vanishes at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Bar(*columns, console=Console(stderr=True), transient=True)
    task, started = shown.add_task(text, total=None), time.monotonic()

    def report(done: int, total: int) -> None:
        shown.update(task, completed=done, total=total)
        if not shown.live.is_started and time.monotonic() - started >= _PATIENCE:
            shown.start()

    try:
        yield report
    finally:
        if shown.live.is_started:
            shown.stop()
