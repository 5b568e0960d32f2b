"""Walk through the files below a folder: no hidden ones, no links out of it, each with a stamp that detects changes."""

import os
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from ptdiff_datasets.errors import DataError, printable

Stamp = tuple[int, int, int]  # size, time of the last change in ns, mode: together they detect a changed file

STORE_INDEX = "index.json"
"""The file of every store that states its format."""


def expanded(path: str | Path) -> Path:
    """Return the path with ~ and ~user replaced by their home folders; one of an unknown user is left as it is."""
    # Path.expanduser raises RuntimeError for an unknown user
    return Path(os.path.expanduser(path))  # noqa: PTH111


def existing(root: str | Path) -> Path:
    """Return ``root`` if the folder or file exists; else raise a DataError that names the nearest existing name."""
    root = expanded(root)
    try:
        if root.exists():
            return root
        names = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
    except OSError as error:
        raise DataError(f"{printable(root)}: {error.strerror or error}") from None
    near = get_close_matches(root.name, names, 1)
    hint = f"; did you mean {printable(root.parent / near[0])}?" if near else ""
    raise DataError(f"{printable(root)} does not exist{hint}")


def files(folder: Path, prefix: str, skipped: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the path of every file below, from the root.

    Hidden files are ignored. Inaccessible ones and stores of ptdiff, such as a cache within the data, are ``skipped``.
    """
    names, folders, links = list[str](), set[str](), set[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                names.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
                elif _links_to_folder(entry):
                    links.add(entry.name)
    except OSError as error:
        skipped.append((prefix or ".", error.strerror or str(error)))
        return
    if prefix and STORE_INDEX in names and _is_store(folder):
        skipped.append((prefix, "a store of ptdiff, which is opened by its own path"))
        return
    names.sort()
    for name in names:
        if name in folders:
            yield from files(folder / name, f"{prefix}{name}/", skipped)
        elif name in links:
            skipped.append((prefix + name, "a link to a folder"))
        else:
            yield prefix + name


def _is_store(folder: Path) -> bool:
    try:
        with (folder / STORE_INDEX).open("rb") as file:
            return b'"format": "ptdiff-' in file.read(200)
    except OSError:
        return False


def _links_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # a link to itself, which ``stamp`` reports
        return False


def stamp(path: Path, root: Path) -> Stamp:
    """Return the stamp of a file below ``root``; ValueError if it is not a regular file or links out of the folder."""
    if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root.resolve()):
        raise ValueError("a link out of the folder")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    return status.st_size, status.st_mtime_ns, status.st_mode
