"""What commands say and how they end: messages on stderr, results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

BAD_DATA, DIVERGED = 3, 4


class Failure(Exception):
    """A command cannot go on: a line for the user, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def fail(message: str, code: int) -> NoReturn:
    """Print the error and leave."""
    console().print(f"[bold red]error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
    sys.exit(code)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def console() -> Console:
    """The terminal for people: stderr, so that stdout holds results alone."""
    from rich.console import Console

    return Console(stderr=True)


def say(line: str) -> None:
    """A line for people."""
    console().print(_plain(line), highlight=False, soft_wrap=True)


def show_json(value: Any) -> None:
    """A result for machines."""
    import json

    print(json.dumps(value, indent=1))


def show_table(headings: list[str], rows: list[list[str]]) -> None:
    """A result for people, on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(_plain, row))
    Console().print(table)


@contextmanager
def bad_data(what: str) -> Iterator[None]:
    """Errors of reading data inside end the command with the exit code for bad data."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise Failure(f"{what}: {error}", BAD_DATA) from error


@contextmanager
def progress(unit: str) -> Iterator[Progress]:
    """A progress bar with rate and remaining time; where there is no terminal, nothing."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit + " [dim]{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
    )
    shown = console()
    with Progress(*columns, console=shown, disable=not shown.is_terminal, transient=True) as bar:
        yield bar


def counter(bar: Progress, description: str) -> Callable[[int, int], None]:
    """A ``progress(done, total)`` callback that moves a new task of ``bar``."""
    task = bar.add_task(description, total=None, note="")

    def move(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return move
