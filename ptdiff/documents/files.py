"""Paths as users type them; regular files up to a size, as bytes and text."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path


def expanded(path: Path | str) -> Path:
    """The path with ~ and ~user replaced by their home folders; one of an unknown user is left as it is."""
    # Path.expanduser raises RuntimeError for an unknown user
    return Path(os.path.expanduser(path))  # noqa: PTH111


def opened(path: Path) -> BufferedReader:
    """Open a regular file for reading in binary; a pipe is refused without waiting for a writer.

    Raises OSError if the file cannot be read or is a folder, a device, a pipe or a socket.
    """
    # without O_NONBLOCK, a pipe waits for a writer; checked when it is open, so that nobody can exchange it
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(f"{path} is a {'folder' if stat.S_ISDIR(mode) else 'device or a pipe'}, not a file")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, most: int) -> bytes:
    """The contents of a file of at most ``most`` bytes; raises ValueError for a larger one."""
    with opened(path) as file:
        data = file.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{path} has {os.fstat(file.fileno()).st_size:,} bytes; at most {most:,} are read")
        return data


def read_text(path: Path, most: int) -> str:
    """The text of a file in UTF-8 with at most ``most`` bytes; raises ValueError for anything else."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from None
