"""Layouts of data folders: which files are shapes, of which class and in which split.

Three layouts: ``flat`` (``<root>/*``), ``classes`` (``<root>/<class>/**/*``) and ``splits``: train, val and test
folders inside the class folders (ShapeNetCore.v2.PC15k, ModelNet), or at the root, which is then one class or holds
class folders. They may lie ``inside`` a wrapping folder. Lists of names (``lists``) can define the splits instead, and
files of many clouds (``containers``) their own classes and splits.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path, PurePosixPath

from ptdiff_datasets.clouds.files import one_format, whole_shapes
from ptdiff_datasets.clouds.lists import FOLDERS, Lists, is_list, read_lists
from ptdiff_datasets.clouds.synsets import SHAPENET, class_name
from ptdiff_datasets.directory_scan import Stamp, existing, files, stamp
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.formats.arrays import AxisOrder, own_labels
from ptdiff_datasets.formats.catalog import SUFFIXES
from ptdiff_datasets.formats.containers import may_hold_many, members
from ptdiff_datasets.formats.numerals import Decimal
from ptdiff_datasets.formats.text import why_no_points

__all__ = ["Layout", "Shape", "existing", "only", "scan"]

PROSE = (".txt", ".csv", ".asc")  # suffixes of many files that are not clouds
NAMED = re.compile(r"(\d{8})-")  # <synset>-<id>.npy of ShapeNet-55


@dataclass(frozen=True)
class Shape:
    """A shape: a file, or cloud ``place`` of the data set ``inside`` a file.

    id: the path of the file below the root, with #data set/place for a cloud inside. split: None if unknown.
    instead: the same shape in other formats, in case the file cannot be read.
    """

    id: str
    label: str  # the class, "" for none
    split: str | None
    stamp: Stamp
    file: str
    inside: str = ""
    place: int | None = None
    instead: tuple["Shape", ...] = ()


@dataclass(frozen=True)
class Layout:
    """The shapes below a root and the layout in which they were found."""

    root: Path
    kind: str  # "flat", "classes", "splits", "lists" or "sets"
    shapes: tuple[Shape, ...]
    skipped: tuple[tuple[str, str], ...]  # path below the root, reason
    other: int  # files of other kinds
    inside: str = ""  # the folder below the root that holds the class folders, if not the root itself
    order: AxisOrder = "auto"
    decimal: Decimal | None = None


def scan(root: Path, order: AxisOrder = "auto", decimal: Decimal | None = None) -> Layout:
    """List the shapes below ``root`` in order of their paths; for a file, the shapes in it.

    order: the axes of arrays. decimal: the decimal mark of text tables. DataError for a file of unknown format.
    """
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            known = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
            raise DataError(f"{printable(root)} does not have the suffix of a mesh or point cloud ({known})")
        return replace(_scanned(root.parent, [(root.name, root)], [], order, named=True), decimal=decimal)
    skipped: list[tuple[str, str]] = []
    there = [(id, Path(entry.path)) for id, entry in files(root, "", skipped)]
    return replace(_scanned(root, there, skipped, order), decimal=decimal)


def _scanned(
    root: Path, there: Sequence[tuple[str, Path]], skipped: list[tuple[str, str]], order: AxisOrder, named: bool = False
) -> Layout:
    """List the shapes in the files ``there``; a file that the user ``named`` is a shape whatever it holds."""
    prose: list[tuple[str, str]] = []
    found: dict[str, Stamp] = {}
    lists: list[str] = []
    other = 0
    for id, path in there:
        if (listed := is_list(path.name)) or path.suffix.lower() in SUFFIXES:
            try:
                marked = stamp(path, root)
                looked_at = not named and path.name.lower().endswith((*PROSE, ".lst", ".json"))
                reason = why_no_points(path) if looked_at else None
            except OSError as error:
                skipped.append((id, error.strerror or str(error)))
                continue
            except (ValueError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
                skipped.append((id, str(error)))
                continue
            if reason is None and path.suffix.lower() in SUFFIXES:
                found[id] = marked
                continue
            if listed:
                lists.append(id)
                continue
            prose.append((id, str(reason)))
        other += 1
    if not found:
        # somebody's points, if there is nothing else
        skipped += prose
        other -= len(prose)
    kept, alike = one_format(found, skipped)
    stamps = found
    found, views = whole_shapes(kept)
    parts = {id: tuple(id.split("/")) for id in sorted(found)}
    wrapper = _wrapper(list(parts.values()))
    parts = {id: _without_complete(names[len(wrapper) :]) for id, names in parts.items()}
    kind, place = _place(wrapper[-1] if wrapper else root.resolve().name, list(parts.values()))
    said = read_lists(root, lists, found)
    shapes: list[Shape] = []
    for id, names in parts.items():
        try:
            label, split = place(names)
            others = tuple(Shape(o, label, split or said.split(o), stamps[o], o) for o in alike.get(id, ()))
            shape = Shape(id, label, split or said.split(id), found[id], id, instead=others)
            shapes += _expanded(root, shape, said, len(parts), order)
        except OSError as error:
            skipped.append((id, error.strerror or str(error)))
        except ValueError as error:
            skipped.append((id, str(error)))
    if kind in ("flat", "classes") and any(shape.split for shape in shapes):
        kind = "lists"
    if any(shape.place is not None for shape in shapes):
        kind = "sets"
    return Layout(root, kind, tuple(shapes), tuple(sorted(skipped)), other + views, "/".join(wrapper), order)


def _expanded(root: Path, shape: Shape, said: Lists, count: int, order: AxisOrder) -> list[Shape]:
    """Return the shapes in a file: itself, or all clouds it holds. Names of ShapeNet-55 files give the class."""
    if may_hold_many(shape.file, count):
        try:
            inside = members(root / shape.file, shape.file, said, order)
        except FormatError:
            return [shape]  # reading the file will raise the error
        if inside is not None:
            return [
                replace(
                    shape,
                    id=f"{shape.file}#{m.set}/{m.place}" if m.set else f"{shape.file}#{m.place}",
                    label=m.label or shape.label,
                    split=m.split or shape.split,
                    inside=m.set,
                    place=m.place,
                    instead=(),
                )
                for m in inside
            ]
        if not shape.label and shape.file.lower().endswith(".npz"):
            try:
                labels = own_labels(root / shape.file, order)
            except FormatError:
                return [shape]
            if labels is not None:
                return [replace(shape, label=said.label(labels[0]))]
    named = NAMED.match(PurePosixPath(shape.file).name)
    if named and named[1] in SHAPENET:
        return [replace(shape, label=class_name(named[1]))]
    return [shape]


Parts = tuple[str, ...]
Place = Callable[[Parts], tuple[str, str | None]]  # (class, split) of a path; ValueError if it has none


def _without_complete(parts: Parts) -> Parts:
    """Drop the folder that PCN puts between split and class."""
    return (parts[0], *parts[2:]) if len(parts) > 3 and parts[1] == "complete" and parts[0] in FOLDERS else parts


def _wrapper(paths: Sequence[Parts]) -> Parts:
    """Return the folders that wrap all class or split folders, () if there are none.

    Class folders differ from the folders inside a single class by holding two or more shapes each: ShapeNet has one
    folder per shape.
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
    """Choose the layout of the paths; ``name`` is the folder that holds them."""
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
    """True if the names are split folders. A class may be called train: a split only with val or test, or alone."""
    splits = {FOLDERS.get(name.lower()) for name in names}
    return "train" in splits and (bool(splits & {"val", "test"}) or None not in splits)


def _in_flat(parts: Parts) -> tuple[str, None]:
    if len(parts) > 1:
        raise ValueError("lies in a subfolder of a flat folder")
    return "", None


def _in_class(parts: Parts) -> tuple[str, None]:
    if len(parts) == 1:
        raise ValueError("lies beside the class folders, so it has no class")
    return class_name(parts[0]), None


def _in_split(parts: Parts, depth: int, label: str, named: bool, name: str) -> tuple[str, str]:
    split = FOLDERS.get(parts[depth].lower()) if len(parts) > depth + 1 else None
    if split is None:
        raise ValueError("not in a train, val or test folder")
    if named and not label:
        raise ValueError("lies beside the class folders, so it has no class")
    return label or class_name(name), split


def only(layout: Layout, classes: Sequence[str]) -> Layout:
    """Keep only the shapes of these classes, by name or by folder (a synset id). DataError for an unknown class."""
    wanted = chosen({shape.label for shape in layout.shapes}, classes, layout.root)
    return replace(layout, shapes=tuple(shape for shape in layout.shapes if shape.label in wanted))


def chosen(labels: set[str], classes: Sequence[str], root: Path) -> set[str]:
    """Match ``classes`` with the names in ``labels``; DataError, naming the nearest, for an unknown class."""
    known = sorted(labels - {""})
    if not known:
        raise DataError(f"{printable(root)} has no class folders to choose {', '.join(classes)} from")
    wanted = {class_name(name) for name in classes}
    for name in sorted(wanted - set(known)):
        near = get_close_matches(name, known, 1)
        there = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
        hint = f"did you mean {near[0]}?" if near else f"choose from {there}"
        raise DataError(f"no class {name!r} in {printable(root)}; {hint}")
    return wanted
