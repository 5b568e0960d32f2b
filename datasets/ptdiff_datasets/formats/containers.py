"""Files that hold many clouds: HDF5, and arrays (m, n, >= 3) in ``.npy`` and ``.npz``."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ptdiff_datasets.clouds.lists import FOLDERS, Lists
from ptdiff_datasets.clouds.synsets import SHAPENET, class_name
from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.arrays import ARRAY_SUFFIXES, AxisOrder, holds_many, read_arrays
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.hdf5 import HDF5_SUFFIXES, open_hdf5

FEW = 100  # look into at most this many arrays of a folder: data sets of many clouds come in few files
SPLIT = re.compile(r"(?:^|[^a-z])(train|val|valid|validation|test)(?:$|[^a-z])", re.I)


@dataclass(frozen=True)
class Member:
    """Cloud ``place`` of the data set ``set``, "" if there is only one; ``label`` "" and ``split`` None if unknown."""

    set: str
    place: int
    label: str
    split: str | None


def may_hold_many(file: str, count: int) -> bool:
    """True if ``file``, one of ``count`` in a folder, should be searched for several clouds."""
    suffix = PurePosixPath(file).suffix.lower()
    return suffix in HDF5_SUFFIXES or (suffix in ARRAY_SUFFIXES and count <= FEW)


def members(path: Path, id: str, said: Lists, order: AxisOrder = "auto") -> list[Member] | None:
    """List the clouds in a file with their classes and splits; None if it holds only one cloud.

    Classes and splits come from the file, its name and the lists ``said``. FormatError if it is broken or holds no
    clouds.
    """
    split = next((FOLDERS[found[1].lower()] for found in SPLIT.finditer(path.stem)), None)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        if not holds_many(path):
            return None
        arrays = read_arrays(path, order)
        labels = arrays.labels
        names = [""] * len(arrays.points) if labels is None else [said.label(each) for each in labels]
        return [Member("", place, name, split) for place, name in enumerate(names)]
    each = said.each.get(str(PurePosixPath(id).with_suffix("")))
    out: list[Member] = []
    with open_hdf5(path, order) as file:
        there = file.contents()
        for name, shape in file.sets.items():
            labels = file.labels(name)
            folders = name.split("/")
            inner = next((FOLDERS[f.lower()] for f in folders if f.lower() in FOLDERS), split)
            group = next((class_name(f) for f in folders if f in SHAPENET), "")
            if not group and len(folders) > 1 and folders[0].lower() not in FOLDERS:
                group = folders[0]
            for place in range(shape[0]):
                label = group or ("" if labels is None else said.label(labels[place]))
                if each is not None and len(each) == shape[0]:
                    label = each[place]
                out.append(Member(name, place, label, inner))
    if not out:
        raise FormatError(path, f"no array of clouds (m, n, 3), only {there}")
    return out


@contextmanager
def opened(path: Path, order: AxisOrder = "auto") -> Iterator[Callable[[str, int], Cloud]]:
    """Open a file of many clouds and yield a function (data set, place) -> Cloud."""
    if path.suffix.lower() in HDF5_SUFFIXES:
        with open_hdf5(path, order) as file:
            yield lambda name, place: file.read(name, place).cloud(path)
    else:
        arrays = read_arrays(path, order)
        yield lambda _, place: arrays.cloud(path, place)
