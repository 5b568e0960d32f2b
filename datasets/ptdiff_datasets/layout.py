"""Which files of a folder are shapes, of which class and in which split.

Three layouts: `flat` (`<root>/*`), `classes` (`<root>/<class>/**/*`) and `splits`: train, val and test folders inside
the class folders (ShapeNetCore.v2.PC15k, ModelNet), or at the root, which is then one class or holds class folders.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from ptdiff_datasets.errors import DataError, printable
from ptdiff_datasets.meshes import MESH_SUFFIXES
from ptdiff_datasets.points import POINT_SUFFIXES
from ptdiff_datasets.synsets import class_name

SUFFIXES = MESH_SUFFIXES | POINT_SUFFIXES
FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Shape:
    """A file with one shape. `id` is its path below the root, with slashes; `split` is None where no folder says it."""

    id: str
    label: str  # the class, "" for none
    split: str | None
    stamp: tuple[int, int, int]  # size, time of the last change in ns, mode: to tell a changed file


@dataclass(frozen=True)
class Layout:
    root: Path
    kind: str  # "flat", "classes" or "splits"
    shapes: tuple[Shape, ...]
    skipped: tuple[tuple[str, str], ...]  # path below the root, reason
    other: int  # files of other kinds


def existing_folder(root: str | Path) -> Path:
    """`root`, if it is a folder; else DataError, which names what is there with nearly that name."""
    root = Path(root).expanduser()
    if root.is_dir():
        return root
    if root.exists():
        raise DataError(f"{printable(root)} is a file; a folder of meshes or point clouds is needed")
    parent = root.parent
    near = get_close_matches(root.name, os.listdir(parent), 1) if parent.is_dir() else []
    hint = f"; did you mean {printable(parent / near[0])}?" if near else ""
    raise DataError(f"{printable(root)} does not exist{hint}")


def scan(root: Path) -> Layout:
    """The shapes below `root`, sorted by id. Hidden names are ignored, links are not followed out of the root."""
    found: dict[str, tuple[int, int, int]] = {}
    skipped: list[tuple[str, str]] = []
    other = 0

    def unreadable(error: OSError) -> None:
        skipped.append((_below(root, error.filename), error.strerror or "unreadable"))

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        links = [name for name in subfolders if os.path.islink(os.path.join(folder, name))]
        skipped += [(_below(root, os.path.join(folder, name)), "a link to a folder") for name in links]
        for name in sorted(name for name in names if not name.startswith(".")):
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1].lower() not in SUFFIXES:
                other += 1
                continue
            try:
                found[_below(root, path)] = _stamp(path, root)
            except (OSError, RuntimeError, ValueError) as error:
                skipped.append((_below(root, path), getattr(error, "strerror", None) or str(error)))
    kind, place = _place(root, [tuple(id.split("/")) for id in found])
    shapes = []
    for id, stamp in sorted(found.items()):
        try:
            label, split = place(tuple(id.split("/")))
            shapes.append(Shape(id, label, split, stamp))
        except ValueError as error:
            skipped.append((id, str(error)))
    return Layout(root, kind, tuple(shapes), tuple(sorted(skipped)), other)


def _below(root: Path, path: str) -> str:
    return Path(path).relative_to(root).as_posix()


def _stamp(path: str, root: Path) -> tuple[int, int, int]:
    if os.path.islink(path) and not Path(path).resolve(strict=True).is_relative_to(root.resolve()):
        raise ValueError("a link that leads out of the folder")
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    return status.st_size, status.st_mtime_ns, status.st_mode


Parts = tuple[str, ...]
Place = Callable[[Parts], tuple[str, str | None]]  # class and split of a path; ValueError if it has none


def _place(root: Path, paths: Sequence[Parts]) -> tuple[str, Place]:
    top = {p[0] for p in paths if len(p) > 1}
    inner: dict[str, set[str]] = {name: set() for name in top}
    for p in paths:
        if len(p) > 2:
            inner[p[0]].add(p[1])
    if _are_splits(top):
        named = any(inner[name] for name in top)
        return "splits", lambda p: _in_split(p, 0, class_name(p[1]) if len(p) > 2 else "", named, root)
    if any(_are_splits(names) for names in inner.values()):
        return "splits", lambda p: _in_split(p, 1, class_name(p[0]), True, root)
    return ("classes", _in_class) if top else ("flat", lambda p: ("", None))


def _are_splits(names: set[str]) -> bool:
    """A class may well be called train: it is a split only beside val or test, or alone."""
    splits = {FOLDERS.get(name.lower()) for name in names}
    return "train" in splits and (bool(splits & {"val", "test"}) or None not in splits)


def _in_class(parts: Parts) -> tuple[str, None]:
    if len(parts) == 1:
        raise ValueError("lies beside the class folders: no class")
    return class_name(parts[0]), None


def _in_split(parts: Parts, depth: int, label: str, named: bool, root: Path) -> tuple[str, str]:
    split = FOLDERS.get(parts[depth].lower()) if len(parts) > depth + 1 else None
    if split is None:
        raise ValueError("not in a train, val or test folder")
    if named and not label:
        raise ValueError("lies beside the class folders: no class")
    return label or class_name(root.resolve().name), split


def only(layout: Layout, classes: Sequence[str]) -> Layout:
    """The shapes of these classes, named as read or by their folder (a synset id). DataError for an unknown one."""
    known = sorted({shape.label for shape in layout.shapes} - {""})
    if not known:
        raise DataError(f"{printable(layout.root)} has no class folders to choose {', '.join(classes)} from")
    wanted = {class_name(name) for name in classes}
    for name in sorted(wanted - set(known)):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known[:12])}{' ...' * (len(known) > 12)}"
        raise DataError(f"no class {name!r} in {printable(layout.root)}; {hint}")
    return replace(layout, shapes=tuple(shape for shape in layout.shapes if shape.label in wanted))
