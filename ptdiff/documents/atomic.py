"""Atomic writes: a file is written next to its target, flushed to the disk, then renamed.

Only regular files are replaced: links are followed, and devices, pipes and folders are refused.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the suffix of ``path`` to write to; it replaces ``path`` when the block ends.

    Readers see the old file or the new one, never a part of it.  After an error, only the old file is left.
    """
    path = regular(path)
    # a link may lead into a folder that does not exist yet
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path.parent).with_suffix(path.suffix.lower())
    # made here and not by whoever writes: O_EXCL follows no link, and the mode is that of the umask
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield part
        flush(part)
        part.replace(path)
        # the new name is on the disk only after the folder is flushed
        flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def regular(path: Path) -> Path:
    """The file that writing to ``path`` replaces, with links followed; it may not exist yet.

    Raises OSError, without an error number, for a folder, a device, a pipe or a socket.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    # checked on the path itself, because /dev/stdout links to a pipe without a path
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a device or a pipe, not a file")
    return path.resolve()


Kind = Literal["file", "folder", "either"]
"""What an output path names; "either" is a folder if it exists as one or has no suffix, else a file."""


def check_writable(path: Path, size: int = 0, kind: Kind = "either") -> None:
    """Check before long work that ``path`` can be written, without leaving anything behind.

    ``path``: parent folders may be missing.
    ``size``: its expected size in bytes, if known.

    Raises OSError, without an error number, if it is a device, a pipe, a socket, a loop of links, a folder instead of a
    file or a file instead of a folder, cannot be written, or needs more space than the disk has; and ValueError for a
    path that no system call takes.
    """
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r}: a file name cannot contain a null character")
    if str(path) == "-":
        raise OSError("- is not a file: standard output cannot be written to, name a file")
    try:
        there = stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        there = 0
    except OSError as error:
        # the name is too long, or links lead in a circle
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from None
    if there == stat.S_IFDIR and kind != "file":
        folder = path.resolve()
    elif kind == "folder" or (kind == "either" and not path.suffix):
        if there:
            raise NotADirectoryError(f"{path} is {'a file' if path.is_file() else 'a device or a pipe'}, not a folder")
        folder = path.resolve()
    else:
        folder = regular(path).parent
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
    if free < max(size, 1):
        raise OSError(f"{path} needs {size:,} bytes, and {folder} has {free:,} bytes free")


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in UTF-8, atomically."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def temporary(folder: Path) -> Path:
    """A new path in ``folder`` with an unpredictable name, by which :func:`clear` finds what a killed process left."""
    return folder / f".tmp-{uuid.uuid4().hex}"


_TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{32}(\.\w+)?")


def clear(folder: Path, idle: float = 0.0) -> None:
    """Delete what interrupted writes left in ``folder``: files and folders with names of :func:`temporary`, no links.

    ``idle``: seconds since they were last changed, for folders in which another process may be writing.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if not _TEMPORARY.fullmatch(path.name) or path.is_symlink():
            continue
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime < idle:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_file():
                path.unlink()


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
