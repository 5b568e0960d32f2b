"""Layouts of data folders: which files are shapes, of which class and in which split.

Three layouts: ``flat`` (``<root>/*``), ``classes`` (``<root>/<class>/**/*``) and ``splits``: train, val and test
folders inside the class folders (ShapeNetCore.v2.PC15k, ModelNet), or at the root, which is then one class or holds
class folders. They may lie ``inside`` a wrapping folder. Lists of names (``lists``) can define the splits instead, and
files of many clouds (``containers``) their own classes and splits.
"""

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, overload

import numpy as np

from ptdiff_datasets.clouds.files import in_order, one_format, whole_shapes
from ptdiff_datasets.clouds.lists import FOLDERS, Lists, is_list, read_lists
from ptdiff_datasets.clouds.names import Names
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


class Shapes(Sequence[Shape]):
    """Shapes, packed into about a hundred bytes each and, if they are many, mapped from a temporary file."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        self._records = Names.of(json.dumps(_record(shape)) for shape in shapes)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, place: int) -> Shape: ...

    @overload
    def __getitem__(self, place: slice) -> "Shapes": ...

    def __getitem__(self, place: int | slice) -> "Shape | Shapes":
        if isinstance(place, slice):
            part = Shapes(())
            part._records = self._records[place]
            return part
        return _shape(json.loads(self._records[place]))


def _record(shape: Shape) -> list[Any]:
    file = "" if shape.file == shape.id else shape.file
    plain = [shape.id, shape.label, shape.split, shape.stamp]
    if not (file or shape.inside or shape.instead) and shape.place is None:
        return plain
    return [*plain, file, shape.inside, shape.place, [_record(other) for other in shape.instead]]


def _shape(record: list[Any]) -> Shape:
    id, label, split, (size, changed, mode), *rest = record
    if not rest:
        return Shape(id, label, split, (size, changed, mode), id)
    file, inside, place, instead = rest
    return Shape(id, label, split, (size, changed, mode), file or id, inside, place, tuple(map(_shape, instead)))


@dataclass(frozen=True)
class Layout:
    """The shapes below a root and the layout in which they were found."""

    root: Path
    kind: str  # "flat", "classes", "splits", "lists" or "sets"
    shapes: Shapes
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
    there = ((id, root / id) for id in files(root, "", skipped))
    return replace(_scanned(root, there, skipped, order), decimal=decimal)


def _scanned(
    root: Path, there: Iterable[tuple[str, Path]], skipped: list[tuple[str, str]], order: AxisOrder, named: bool = False
) -> Layout:
    """List the shapes in the files ``there``; a file that the user ``named`` is a shape whatever it holds."""
    prose: list[tuple[str, str]] = []
    stamps = array("q")
    lists: list[str] = []
    other = 0

    def found() -> Iterator[str]:
        nonlocal other
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
                    stamps.extend(marked)
                    yield id
                    continue
                if listed:
                    lists.append(id)
                    continue
                prose.append((id, str(reason)))
            other += 1

    names = Names.of(found())
    if not names:
        # somebody's points, if there is nothing else
        skipped += prose
        other -= len(prose)
    first, alike = one_format(names, skipped)
    whole = whole_shapes(names, first)
    views, rows = int(first.sum() - whole.sum()), in_order(names, np.flatnonzero(whole))

    def paths() -> Iterator[Parts]:
        return (tuple(names[row].split("/")) for row in rows)

    wrapper = _wrapper(paths)

    def inner() -> Iterator[Parts]:
        return (_without_complete(path[len(wrapper) :]) for path in paths())

    kind, place = _place(wrapper[-1] if wrapper else root.resolve().name, inner)
    said = read_lists(root, lists, (names[row] for row in rows))
    split, many = False, False

    def shape_of(row: int, label: str, named: str | None, instead: tuple[Shape, ...] = ()) -> Shape:
        size, changed, mode = stamps[3 * row : 3 * row + 3]
        id = names[row]
        return Shape(id, label, named or said.split(id), (size, changed, mode), id, instead=instead)

    def shapes() -> Iterator[Shape]:
        nonlocal split, many
        for row, parts in zip(rows.tolist(), inner(), strict=True):
            try:
                label, named = place(parts)
                others = tuple(shape_of(other, label, named) for other in alike.get(row, ()))
                for shape in _expanded(root, shape_of(row, label, named, others), said, len(rows), order):
                    split, many = split or bool(shape.split), many or shape.place is not None
                    yield shape
            except OSError as error:
                skipped.append((names[row], error.strerror or str(error)))
            except ValueError as error:
                skipped.append((names[row], str(error)))

    packed = Shapes(shapes())
    if kind in ("flat", "classes") and split:
        kind = "lists"
    if many:
        kind = "sets"
    return Layout(root, kind, packed, tuple(sorted(skipped)), other + views, "/".join(wrapper), order)


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


def _wrapper(paths: Callable[[], Iterable[Parts]]) -> Parts:
    """Return the folders that wrap all class or split folders, () if there are none.

    Class folders differ from the folders inside a single class by holding two or more shapes each: ShapeNet has one
    folder per shape.
    """
    shared: Parts | None = None
    for path in paths():
        folder = path[:-1]
        pairs = zip(folder if shared is None else shared, folder, strict=False)
        shared = tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if not shared:
            break
    shared = shared or ()
    for depth, name in enumerate(shared):
        if name in SHAPENET or _are_splits({name}):
            return shared[:depth]
    inner, count, loose = set[str](), 0, False
    for path in paths():
        count += 1
        if len(path) - 1 > len(shared):
            inner.add(path[len(shared)])
        else:
            loose = True
    if _are_splits(inner):
        return shared[:-1]
    return shared if not loose and count >= 2 * len(inner) else ()


def _place(name: str, paths: Callable[[], Iterable[Parts]]) -> tuple[str, Place]:
    """Choose the layout of the paths; ``name`` is the folder that holds them."""
    top: dict[str, set[str | None]] = {}  # the kinds of folders in each
    loose, nested = 0, 0
    for path in paths():
        if len(path) == 1:
            loose += 1
            continue
        nested += 1
        kinds = top.setdefault(path[0], set())
        if len(path) > 2:
            kinds.add(_split_named(path[1]))
    if _are_splits(top):
        named = any(top.values())
        return "splits", lambda p: _in_split(p, 0, class_name(p[1]) if len(p) > 2 else "", named, name)
    if any(_have_splits(kinds) for kinds in top.values()):
        return "splits", lambda p: _in_split(p, 1, class_name(p[0]), True, name)
    return ("classes", _in_class) if loose <= nested and top else ("flat", _in_flat)


def _split_named(folder: str) -> str | None:
    return FOLDERS.get(folder.lower())


def _are_splits(names: Iterable[str]) -> bool:
    """True if the names are split folders. A class may be called train: a split only with val or test, or alone."""
    return _have_splits({_split_named(name) for name in names})


def _have_splits(kinds: AbstractSet[str | None]) -> bool:
    return "train" in kinds and (bool(kinds & {"val", "test"}) or None not in kinds)


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
    return replace(layout, shapes=Shapes(shape for shape in layout.shapes if shape.label in wanted))


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
