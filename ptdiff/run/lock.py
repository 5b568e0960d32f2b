"""File locks that only one process at a time can hold."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO


def held(path: Path) -> IO[str]:
    """Open a file, which is created if it does not exist, and lock it until it is closed.

    Raises BlockingIOError if another process has locked it.
    """
    file = path.open("w", encoding="utf-8")
    try:
        _lock(file.fileno())
    except (BlockingIOError, PermissionError) as error:
        file.close()
        # Windows raises PermissionError
        raise BlockingIOError(*error.args) from None
    return file


def _lock(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
