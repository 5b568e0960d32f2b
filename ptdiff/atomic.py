"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed.

Renaming replaces whatever has the name, so only regular files are replaced: links are followed, and devices, pipes and
folders are refused.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path``, with its suffix, to write to; on leaving it replaces ``path`` at once.

    Readers see the old file or the new one, never a part.  After an error the old file is still there, and nothing
    else is.
    """
    path = regular(path)
    part = temporary(path.parent).with_suffix(path.suffix.lower())
    try:
        yield part
        flush(part)
        part.replace(path)
        # the file is on the disk, its name is not until the folder is
        flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def regular(path: Path) -> Path:
    """The file that writing to ``path`` replaces, with links followed; it need not exist.

    Raises OSError, without its number, for a folder, a device, a pipe or a socket.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    # asked of the path itself: /dev/stdout leads to a pipe that has no path of its own
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a device or a pipe, not a file")
    return path.resolve()


def check_writable(path: Path, size: int = 0) -> None:
    """Find out before long work whether ``path`` can be written; nothing is left behind.

    path: a file, or a folder if it exists as one or has no suffix; folders above it may be missing.
    size: bytes that it will take, as far as known.

    Raises OSError, without its number, for a node that is not a regular file, a place that cannot be written to, and a
    disk without that much space.
    """
    folder = path if path.is_dir() or (not path.suffix and not path.exists()) else regular(path).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"{path} cannot be written: {folder} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from None
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(f"{path} needs {size:,} bytes, and {folder} has {free:,} bytes free")


def write_atomic(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``, in UTF-8, at once."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def temporary(folder: Path) -> Path:
    """A new path in ``folder`` whose name begins with ".tmp-": an interrupted write leaves nothing else behind."""
    return folder / f".tmp-{uuid.uuid4().hex}"


def flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if sys.platform == "win32":
        # there a folder cannot be opened, and a file must be opened for writing
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
