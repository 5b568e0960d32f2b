"""File locks that only one process at a time can hold."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import IO

from ptdiff.run.links import locking

PATIENCE = 0.5
"""Seconds to wait for a lock: a process that only looks whether a run exists has it for some milliseconds."""


def held(path: Path) -> IO[str]:
    """Open a file, which is created if it does not exist, and lock it until it is closed; its contents are unchanged.

    Raises BlockingIOError if another process keeps it locked for PATIENCE seconds, and another OSError if it is a link
    or no regular file.
    """
    file, end = locking(path), time.monotonic() + PATIENCE
    while True:
        try:
            _lock(file.fileno())
            return file
        except (BlockingIOError, PermissionError) as error:
            # Windows raises PermissionError
            if time.monotonic() > end:
                file.close()
                raise BlockingIOError(*error.args) from None
            time.sleep(0.02)


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
