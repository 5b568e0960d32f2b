"""Lists beside the shapes that define their splits and class names.

Split lists: ``train.txt``, ``modelnet40_train.txt``, ``train.lst``, ``shuffled_train_file_list.json``: one name per
line, or a JSON array. A name refers to the file, or the folder of a shape, whose path ends with it. Names of numbered
classes: ``shape_names.txt`` (one per line), ``all_object_categories.txt`` and ``synsetoffset2category.txt`` (a name and
a synset). Names of single clouds: ``train0_id2name.json`` for ``train0.h5``.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ptdiff_datasets.clouds.synsets import class_name

SPLIT = re.compile(r"(?:^|_)(train|val|valid|validation|test)(?:_files?|_list|_file_list)?\.(?:txt|lst|json)$", re.I)
NAMES = re.compile(r"(?:^|_)(shape_names|all_object_categories|synsetoffset2category)\.txt$", re.I)
EACH = re.compile(r"_id2(?:name|file)\.json$", re.I)
FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LARGEST = 64 << 20  # maximum size of a list in bytes


def is_list(name: str) -> bool:
    """True if a file is, by its name, a list and not a shape."""
    return any(pattern.search(name) for pattern in (SPLIT, NAMES, EACH))


@dataclass(frozen=True)
class Lists:
    """Contents of the lists.

    splits: (folder that the list applies to, name) -> split. classes: names by number. each: file -> names of its
    clouds.
    """

    splits: Mapping[tuple[str, str], str] = field(default_factory=dict)
    classes: Sequence[str] = ()
    each: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def split(self, id: str) -> str | None:
        """Return the split of the shape with this path from the nearest list that names it, or None."""
        path = PurePosixPath(id)
        # the name of the file, and that of its folder for a shape with several files
        keys = [f"{path.parent.name}/{path.stem}", path.stem, path.parent.name]
        for folder in path.parents:
            for key in keys:
                if found := self.splits.get((_folder(folder), key)):
                    return found
        return None

    def label(self, number: int | str) -> str:
        """Return the name of a numbered class; the number itself if no list names it. A name stays as it is."""
        if isinstance(number, str):
            return number
        return self.classes[number] if 0 <= number < len(self.classes) else f"{number:03d}"


def _folder(path: PurePosixPath) -> str:
    return "" if str(path) == "." else str(path)


def read_lists(root: Path, ids: Sequence[str], shapes: Iterable[str]) -> Lists:
    """Read the lists ``ids`` below ``root`` for the files ``shapes``; a list that cannot be read is ignored."""
    if not ids:
        return Lists()
    folders = {_folder(folder) for shape in shapes for folder in PurePosixPath(shape).parents}
    splits: dict[tuple[str, str], str] = {}
    classes: Sequence[str] = ()
    each: dict[str, Sequence[str]] = {}
    for id in sorted(ids):
        path = PurePosixPath(id)
        lines = _lines(root / id)
        if EACH.search(path.name):
            if "id2name" in path.name:
                each[str(path.with_name(EACH.sub("", path.name)))] = lines
        elif NAMES.search(path.name):
            words = [line.split() for line in lines]
            classes = classes or [class_name(pair[-1]) if pair[-1].isdigit() else pair[0] for pair in words if pair]
        elif found := SPLIT.search(path.name):
            # a list in a folder without shapes applies to the nearest folder above that has some
            holder = next((f for f in path.parents if _folder(f) in folders), PurePosixPath("."))
            for line in lines:
                name = PurePosixPath(line)
                stem = name.stem if name.suffix.lower() in _SUFFIXES else name.name
                for key in (stem, "/".join([*name.parts[-2:-1], stem])):
                    splits.setdefault((_folder(holder), key), FOLDERS[found[1].lower()])
    return Lists(splits, classes, each)


_SUFFIXES = frozenset({".npy", ".npz", ".txt", ".pcd", ".ply", ".off", ".obj", ".h5", ".xyz"})


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LARGEST:
            return []
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix.lower() == ".json":
            found = json.loads(text)
            return [str(item) for item in found] if isinstance(found, list) else []
    except (OSError, ValueError, RecursionError):
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
