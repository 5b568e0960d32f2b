"""Untrusted run folders: no name inside one may lead out of it.

Links, pipes and devices survive an archive, and whoever writes to a link writes to its target.  :func:`check` looks at
every name below a run before it is opened, so that no later code needs to check.  The folder itself may be reached
through links: the user chose that path.

Files that grow in place are opened by :func:`appending`, and :func:`separate` gives files with several names, as
backups by hard links have, a copy of their own.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ptdiff.documents.atomic import whole

FOLDERS = frozenset({"averages", "checkpoints", "distances", "eval", "gallery", "grids", "logs", "samples", "start"})
"""Names in a run that are folders."""

FILES = frozenset(
    {".lock", "config.yaml", "data.json", "env.json", "eval.json", "metrics.csv", "metrics.jsonl", "seal.json"}
)
"""Names in a run that are files."""


def check(run: Path) -> str | None:
    """Look at all names in the folder ``run``, at any depth; returns the first problem in one line, or None.

    A problem is a link, also one that leads nowhere, anything that is neither a file nor a folder, and a folder where a
    file belongs or the reverse.  Links that Weights & Biases makes within its own folder, ``logs/wandb``, are none.

    Raises OSError if a folder cannot be read.
    """
    for entry in _below(run):
        path = Path(entry.path)
        if _is_link(entry):
            if not _stays(path, run / "logs" / "wandb"):
                return f"{path} is a link, and ptdiff follows no links inside a run: replace it with its target"
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and not entry.is_file(follow_symlinks=False):
            return f"{path} is a device, a pipe or a socket, which does not belong in a run: remove it"
        if path.parent == run and entry.name in (FILES if is_folder else FOLDERS):
            return f"{path} is a {'folder, not a file' if is_folder else 'file, not a folder'}, as a run has it"
    return None


def chosen(path: Path) -> Path:
    """Return ``path``, an output that ptdiff chose and the user did not name, if no link leads elsewhere from there.

    Raises OSError if it is a link, or a folder with anything in it that :func:`check` does not accept.
    """
    found = f"{path} is a link: name the output to write there" if path.is_symlink() else None
    if found is None and path.is_dir():
        found = check(path)
    if found is not None:
        raise OSError(found)
    return path


def check_names(folder: Path) -> None:
    """Raise OSError if a name directly in ``folder`` is a link; a missing folder has none."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_link(entry):
                    raise OSError(f"{entry.path} is a link, and ptdiff follows no links there: replace it")


def appending(path: Path) -> IO[str]:
    """Open a text file in UTF-8 to append lines; it is created if it does not exist.

    Raises OSError if it is a link or no regular file.  A file with several names gets a copy of its own first, so that
    the others keep their contents.  If the last line is incomplete, as a full disk leaves it, it ends before the next.
    """
    file = _opened(path, os.O_APPEND)
    if os.fstat(file).st_nlink > 1:
        os.close(file)
        _copy(path)
        file = _opened(path, os.O_APPEND)
    try:
        if os.lseek(file, 0, os.SEEK_END) > 0:
            os.lseek(file, -1, os.SEEK_END)
            if os.read(file, 1) != b"\n":
                os.write(file, b"\n")
    except OSError:
        os.close(file)
        raise
    return os.fdopen(file, "a", encoding="utf-8", newline="")


def locking(path: Path) -> IO[str]:
    """Open a file to lock it, without changing its contents; raises OSError if it is a link or no regular file."""
    return os.fdopen(_opened(path, 0), "r+", encoding="utf-8")


def separate(folder: Path) -> None:
    """Give every file below ``folder`` that has several names a copy of its own; a missing folder has none."""
    if folder.is_dir():
        for entry in _below(folder):
            if entry.is_file(follow_symlinks=False):
                alone(Path(entry.path))


def alone(path: Path) -> None:
    """Give a file that has several names a copy of its own; a missing file needs none."""
    if path.is_file() and path.lstat().st_nlink > 1:
        _copy(path)


def _below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All names below a folder, through no link."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                yield entry
                if entry.is_dir(follow_symlinks=False) and not _is_link(entry):
                    waiting.append(Path(entry.path))


def _is_link(entry: os.DirEntry[str]) -> bool:
    # junctions, the links to folders that Windows lets everybody make, are no symbolic links
    tag = getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", None)
    return entry.is_symlink() or (tag is not None and tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", 0xA0000003))


def _stays(link: Path, folder: Path) -> bool:
    # the folder itself is no link, because its parents were looked at before
    return link.is_relative_to(folder) and link.resolve().is_relative_to(folder.resolve())


def _opened(path: Path, flags: int) -> int:
    # O_NONBLOCK, because opening a pipe would wait for its reader
    always = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise OSError(f"{path} is a link, and ptdiff follows no links inside a run")
    file = os.open(path, always | flags | getattr(os, "O_BINARY", 0), 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{path} is a device or a pipe, not a file")
    return file


def _copy(path: Path) -> None:
    with whole(path) as part:
        shutil.copyfile(path, part)
        shutil.copystat(path, part)
