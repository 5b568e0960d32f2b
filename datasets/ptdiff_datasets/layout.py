"""Which files of a folder are shapes, of which class and in which split.

Three layouts: `flat` (`<root>/*`), `classes` (`<root>/<class>/**/*`) and `splits`: train, val and test
folders inside the class folders (ShapeNetCore.v2.PC15k, ModelNet), or at the root, which is then one class
or holds them. They may lie `inside` a folder that holds everything.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path, PurePosixPath

from ptdiff_datasets.errors import DataError, printable
from ptdiff_datasets.formats import SUFFIXES
from ptdiff_datasets.synsets import SHAPENET, class_name
from ptdiff_datasets.text import looks_like_points

Stamp = tuple[int, int, int]  # size, time of the last change in ns, mode: they tell a changed file
PREFERRED = (
    ".obj", ".glb", ".ply", ".off", ".stl", ".pcd", ".laz", ".las", ".npy", ".npz", ".h5", ".hdf5",
    ".xyz", ".pts", ".asc", ".txt", ".csv",
)  # fmt: skip  # of a shape in several formats
PROSE = (".txt", ".csv", ".asc")  # suffixes of much that is no cloud
FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Shape:
    """A file with one shape. `id`: its path below the root; `split`: None where no folder says it."""

    id: str
    label: str  # the class, "" for none
    split: str | None
    stamp: Stamp


@dataclass(frozen=True)
class Layout:
    root: Path
    kind: str  # "flat", "classes" or "splits"
    shapes: tuple[Shape, ...]
    skipped: tuple[tuple[str, str], ...]  # path below the root, reason
    other: int  # files of other kinds
    inside: str = ""  # the folder below the root that holds the class folders, where it is not the root


def existing_folder(root: str | Path) -> Path:
    """`root`, if it is a folder; else DataError, which names what is there with nearly that name."""
    root = Path(root)
    try:
        root = root.expanduser()
        if root.is_dir():
            return root
        exists, parent = root.exists(), root.parent
        names = [path.name for path in parent.iterdir()] if parent.is_dir() else []
    except (OSError, RuntimeError) as error:  # RuntimeError: the home of a user that is not there
        raise DataError(f"{printable(root)}: {getattr(error, 'strerror', None) or error}") from None
    if exists:
        raise DataError(f"{printable(root)} is a file; a folder of meshes or point clouds is needed")
    near = get_close_matches(root.name, names, 1)
    hint = f"; did you mean {printable(parent / near[0])}?" if near else ""
    raise DataError(f"{printable(root)} does not exist{hint}")


def scan(root: Path) -> Layout:
    """The shapes below `root`, sorted by id. Hidden names are ignored, links out of the root not followed."""
    found: dict[str, Stamp] = {}
    skipped: list[tuple[str, str]] = []
    other = 0
    for id, entry in _files(root, "", skipped):
        if Path(entry.name).suffix.lower() not in SUFFIXES:
            other += 1
            continue
        try:
            stamp = _stamp(entry, root)
            if id.lower().endswith(PROSE) and not looks_like_points(root / id):
                other += 1
                continue
            found[id] = stamp
        except OSError as error:
            skipped.append((id, error.strerror or str(error)))
        except (ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            skipped.append((id, str(error)))
    found = _one_format(found, skipped)
    parts = {id: tuple(id.split("/")) for id in sorted(found)}
    wrapper = _wrapper(list(parts.values()))
    parts = {id: path[len(wrapper) :] for id, path in parts.items()}
    kind, place = _place(wrapper[-1] if wrapper else root.resolve().name, list(parts.values()))
    shapes = []
    for id, path in parts.items():
        try:
            shapes.append(Shape(id, *place(path), found[id]))
        except ValueError as error:
            skipped.append((id, str(error)))
    return Layout(root, kind, tuple(shapes), tuple(sorted(skipped)), other, "/".join(wrapper))


def _one_format(found: dict[str, Stamp], skipped: list[tuple[str, str]]) -> dict[str, Stamp]:
    """Of files that differ in their suffix only, the first of `PREFERRED`: they are one shape."""
    kept: dict[PurePosixPath, str] = {}
    for id in sorted(found, key=lambda id: (PREFERRED.index(PurePosixPath(id).suffix.lower()), id)):
        first = kept.setdefault(PurePosixPath(id).with_suffix(""), id)
        if first != id:
            skipped.append((id, f"the same shape as {first}"))
    return {id: found[id] for id in kept.values()}


def _files(folder: Path, prefix: str, skipped: list[tuple[str, str]]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below, with its path below the root; what hides or cannot be entered is left out."""
    try:
        with os.scandir(folder) as entries:
            visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        skipped.append((prefix or ".", error.strerror or str(error)))
        return
    for entry in visible:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), f"{prefix}{entry.name}/", skipped)
        elif _links_to_folder(entry):
            skipped.append((prefix + entry.name, "a link to a folder"))
        else:
            yield prefix + entry.name, entry


def _links_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:  # a link to itself: `_stamp` will say so
        return False


def _stamp(entry: os.DirEntry[str], root: Path) -> Stamp:
    if entry.is_symlink() and not Path(entry.path).resolve(strict=True).is_relative_to(root.resolve()):
        raise ValueError("a link that leads out of the folder")
    status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    return status.st_size, status.st_mtime_ns, status.st_mode


Parts = tuple[str, ...]
Place = Callable[[Parts], tuple[str, str | None]]  # class and split of a path; ValueError if it has none


def _wrapper(paths: Sequence[Parts]) -> Parts:
    """The folders that hold all class or split folders, () where that is the root.

    Class folders are told from the folders inside a single class by holding two shapes each, or more: ShapeNet
    has a folder for every shape.
    """
    folders = [p[:-1] for p in paths]
    shared: Parts = tuple(
        names[0] for names in takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    )
    for depth, folder in enumerate(shared):
        if folder in SHAPENET or _are_splits({folder}):
            return shared[:depth]
    inner = {folder[len(shared)] for folder in folders if len(folder) > len(shared)}
    if _are_splits(inner):
        return shared[:-1]
    return shared if len(shared) not in map(len, folders) and len(paths) >= 2 * len(inner) else ()


def _place(name: str, paths: Sequence[Parts]) -> tuple[str, Place]:
    """`name`: of the folder that holds them."""
    top = {p[0] for p in paths if len(p) > 1}
    inner: dict[str, set[str]] = {folder: set() for folder in top}
    for p in paths:
        if len(p) > 2:
            inner[p[0]].add(p[1])
    if _are_splits(top):
        named = any(inner.values())
        return "splits", lambda p: _in_split(p, 0, class_name(p[1]) if len(p) > 2 else "", named, name)
    if any(_are_splits(folders) for folders in inner.values()):
        return "splits", lambda p: _in_split(p, 1, class_name(p[0]), True, name)
    loose = sum(len(p) == 1 for p in paths)
    return ("classes", _in_class) if loose <= len(paths) - loose and top else ("flat", _in_flat)


def _are_splits(names: set[str]) -> bool:
    """A class may well be called train: it is a split only beside val or test, or alone."""
    splits = {FOLDERS.get(name.lower()) for name in names}
    return "train" in splits and (bool(splits & {"val", "test"}) or None not in splits)


def _in_flat(parts: Parts) -> tuple[str, None]:
    if len(parts) > 1:
        raise ValueError("lies deeper than most: not in the flat folder")
    return "", None


def _in_class(parts: Parts) -> tuple[str, None]:
    if len(parts) == 1:
        raise ValueError("lies beside the class folders: no class")
    return class_name(parts[0]), None


def _in_split(parts: Parts, depth: int, label: str, named: bool, name: str) -> tuple[str, str]:
    split = FOLDERS.get(parts[depth].lower()) if len(parts) > depth + 1 else None
    if split is None:
        raise ValueError("not in a train, val or test folder")
    if named and not label:
        raise ValueError("lies beside the class folders: no class")
    return label or class_name(name), split


def only(layout: Layout, classes: Sequence[str]) -> Layout:
    """The shapes of these classes, named as read or by folder (a synset id). DataError for an unknown one."""
    known = sorted({shape.label for shape in layout.shapes} - {""})
    if not known:
        raise DataError(f"{printable(layout.root)} has no class folders to choose {', '.join(classes)} from")
    wanted = {class_name(name) for name in classes}
    for name in sorted(wanted - set(known)):
        near = get_close_matches(name, known, 1)
        there = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
        hint = f"did you mean {near[0]}?" if near else f"there are {there}"
        raise DataError(f"no class {name!r} in {printable(layout.root)}; {hint}")
    return replace(layout, shapes=tuple(shape for shape in layout.shapes if shape.label in wanted))
