"""Atomic writes: a file is written next to its target, flushed to the disk, then renamed."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the suffix of ``path`` to write to; it replaces ``path`` when the block ends.

    Readers see the old file or the new one, never a part of it.  After an error, only the old file is left.
    """
    part = temporary(path.parent).with_suffix(path.suffix.lower())
    try:
        yield part
        flush(part)
        part.replace(path)
        # the new name is on the disk only after the folder is flushed
        flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in UTF-8, atomically."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def temporary(folder: Path) -> Path:
    """A new path in ``folder`` whose name begins with ".tmp-", so that leftovers of interrupted writes can be found."""
    return folder / f".tmp-{uuid.uuid4().hex}"


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if sys.platform == "win32":
        # Windows cannot open folders, and needs files to be opened for writing
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
