"""The errors that ptdiff raises beside ValueError and OSError; each message is one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class UnknownName(ValueError, KeyError):
    """A name that is not in its catalog; the message contains the nearest right one."""

    def __str__(self) -> str:
        # a KeyError would show its message in quotation marks
        return str(self.args[0])


class DataError(ValueError):
    """Data that cannot be read, or that lacks something; the command line has an exit code of its own for it."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn errors of reading data, OSError and ValueError, into DataError; the message begins with ``what``."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(f"{what}: {error}") from error


class Unsupported(RuntimeError):
    """Something this modality or this machine cannot do; the message says what to do instead."""


class PluginError(Exception):
    """A modality that is registered but cannot be used; the message says why and where it comes from."""


class RunError(Exception):
    """A folder that is not a run, or a run that cannot be used; the message says why."""


class CheckpointError(Exception):
    """A checkpoint that cannot be written or read; the message says why."""


class Diverged(Exception):
    """Training without a finite loss and gradient for many steps in a row.

    rate: the share of the learning rate at the time, 1 before the first rollback.
    """

    def __init__(self, message: str, rate: float) -> None:
        super().__init__(message)
        self.rate = rate


def check_format(found: Any, newest: int, what: str) -> None:
    """ValueError if a file's ``format`` is not a whole number from 1 to ``newest``, the newest that is read.

    >>> check_format(3, newest=2, what="config.yaml")
    Traceback (most recent call last):
    ValueError: config.yaml has format 3, and this ptdiff reads formats up to 2: update ptdiff
    """
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"{what}: format is a whole number from 1 to {newest}, not {found!r}")
    if found > newest:
        raise ValueError(f"{what} has format {found}, and this ptdiff reads formats up to {newest}: update ptdiff")
