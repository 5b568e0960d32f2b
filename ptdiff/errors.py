"""Exceptions of ptdiff in addition to ValueError and OSError; each message is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UnknownName(ValueError, KeyError):
    """An unknown name; the message suggests the nearest known one."""

    def __str__(self) -> str:
        # KeyError would put its message in quotation marks
        return str(self.args[0])


class DataError(ValueError):
    """Data that cannot be read or is incomplete; the command line exits with code 3."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn OSError and ValueError into DataError; the message begins with ``what``."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(f"{what}: {error}") from error


class Unsupported(RuntimeError):
    """An operation that this modality or machine does not support; the message says what to do instead."""


class PluginError(Exception):
    """A registered modality that cannot be used; the message says why, and where it is defined."""


class RunError(Exception):
    """A folder that is not a run, or a run that cannot be used; the message says why."""


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read; the message says why."""


class Diverged(Exception):
    """Training had no finite loss and gradient for many steps in a row.

    ``rate``: the factor on the learning rate at that time, 1 before the first rollback.
    """

    def __init__(self, message: str, rate: float) -> None:
        super().__init__(message)
        self.rate = rate


def check_format(found: Any, newest: int, what: str) -> None:
    """Raise ValueError if the ``format`` of a file is not a whole number from 1 to ``newest``.

    ``what``: name of the file in the message.

    >>> check_format(3, newest=2, what="config.yaml")
    Traceback (most recent call last):
    ValueError: config.yaml has format 3, and this ptdiff reads formats up to 2: update ptdiff
    """
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"{what}: format must be a whole number from 1 to {newest}, not {found!r}")
    if found > newest:
        raise ValueError(f"{what} has format {found}, and this ptdiff reads formats up to {newest}: update ptdiff")
