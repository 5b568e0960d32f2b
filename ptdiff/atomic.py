"""Files that appear whole or not at all: written beside their place, brought to the disk, then renamed."""

from __future__ import annotations

import os
import sys
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
    part = temporary(path.parent).with_suffix(path.suffix.lower())
    try:
        yield part
        flush(part)
        part.replace(path)
        # the file is on the disk, its name is not until the folder is
        flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


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
