"""Output and errors of commands: messages go to stderr, results to stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

BAD_DATA, DIVERGED = 3, 4


class Failure(Exception):
    """An error that ends a command: a line for the user, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def fail(message: str, code: int) -> NoReturn:
    """Print the error and exit with ``code``."""
    from rich.text import Text

    line = Text("error: ", style="bold red", end="")
    console().print(line + _plain(" ".join(message.split())), highlight=False, soft_wrap=True)
    sys.exit(code)


def printable(text: str) -> str:
    r"""``text`` with visible escapes in place of everything that could control the terminal.

    Names of files, classes, runs and columns come from strangers, and so do parts of error messages: an escape sequence
    may change the window title, hide lines or type commands, and marks of text direction may reverse a name.

    >>> printable("chair\x1b[2J\u202egnp.exe")
    'chair\\x1b[2J\\u202egnp.exe'
    """
    return "".join(c if c.isprintable() or c in _LAYOUT else c.encode("unicode_escape").decode() for c in text)


_LAYOUT = frozenset("\n\t\u00a0\u202f\u3000\u200d")
"""Characters that are harmless but not printable for Python: ends of lines, special spaces, joiners of emoji."""


def _plain(text: str) -> Text:
    from rich.text import Text

    # rich replaces [bold] and :smile: in a string, but not in a Text
    return Text(printable(text))


def console() -> Console:
    """The console for messages, on stderr, so that stdout has only results."""
    from rich.console import Console

    return Console(stderr=True)


def say(line: str) -> None:
    """Print a message on stderr."""
    console().print(_plain(line), highlight=False, soft_wrap=True)


def show(text: str = "") -> None:
    """Print a result on stdout."""
    print(printable(text), flush=True)


def show_json(value: Any) -> None:
    """Print a result as JSON on stdout."""
    import json

    # escapes everything that is not ASCII
    show(json.dumps(value, indent=1))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a result as a table on stdout; long cells are wrapped."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(_plain(heading), overflow="fold")
    for row in rows:
        table.add_row(*map(_plain, row))
    Console().print(table)


Columns = Mapping[str, Sequence[str]]
"""Columns of words, all of equal length, by heading."""


def show_side_by_side(corner: str, names: Sequence[str], *parts: Columns) -> None:
    """Print a comparison of named things; each part has columns with one word for each of them.

    ``corner``: heading of the names.  One line for each thing if that fits the terminal, else one column for each, else
    one table for each part, split further if it is still too wide.  No word is cut.
    """
    whole = {heading: words for part in parts for heading, words in part.items()}
    upright = [[corner, *names], *([heading, *words] for heading, words in whole.items())]
    lines = [list(line) for line in zip(*upright, strict=True)]
    if _fits(upright):
        show_table(lines[0], lines[1:])
    elif _fits(lines):
        show_table(upright[0], upright[1:])
    elif len(parts) > 1:
        for part in parts:
            show_side_by_side(corner, names, part)
    else:
        # as many columns as fit, but at least one
        count = next((n for n in range(len(whole), 1, -1) if _fits(upright[: n + 1])), 1)
        show_table([line[0] for line in upright[: count + 1]], [line[: count + 1] for line in lines[1:]])
        rest = list(whole.items())[count:]
        if rest:
            show_side_by_side(corner, names, dict(rest))


def _fits(columns: Sequence[Sequence[str]]) -> bool:
    """True if a table of these columns fits the terminal."""
    from rich.cells import cell_len
    from rich.console import Console

    # one space at each edge, three between columns
    return sum(max(map(cell_len, column)) + 3 for column in columns) - 1 <= Console().width


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Show an activity: as a status on a terminal, otherwise as one line."""
    shown = console()
    if shown.is_terminal:
        with shown.status(_plain(f"{what} …")):
            yield
    else:
        say(what + " …")
        yield


@contextmanager
def progress(unit: str) -> Iterator[Progress]:
    """Show a progress bar with elapsed and remaining time; nothing without a terminal.  ``unit``: of the counts."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
    )
    shown = console()
    with Progress(*columns, console=shown, disable=not shown.is_terminal, transient=True) as bar:
        yield bar


def counter(bar: Progress, description: str) -> Callable[[int, int], None]:
    """A ``progress(done, total)`` callback that updates a new task of ``bar``."""
    task = bar.add_task(printable(description), total=None, note="")

    def move(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return move


@contextmanager
def counted(unit: str, description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar for one task; yields a ``progress(done, total)`` callback."""
    with progress(unit) as bar:
        yield counter(bar, description)
