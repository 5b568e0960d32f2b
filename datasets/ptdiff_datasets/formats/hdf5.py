"""HDF5 files of many clouds, (m, n, >= 3) or (m, >= 3, n) in each data set, read by h5py.

It needs ``pip install ptdiff[hdf5]``. Only data in the file itself is read: no links to other files, no external
storage, no virtual data sets, and only the built-in filters.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.lists import FOLDERS
from ptdiff_datasets.errors import FormatError, needed
from ptdiff_datasets.formats.arrays import COLORS, NAMES, NORMALS, Arrays, AxisOrder, in_order, named
from ptdiff_datasets.formats.labels import CLASSES, LABELS, Labels, stored_labels

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
CACHE = 64 << 20  # bytes of decompressed chunks to cache
SWELL = 1 << 10  # bytes that one byte of the file may decompress to: the limit of zlib
FILTERS = frozenset({1, 2, 3, 32000})  # deflate, shuffle, fletcher32, lzf
MANY = 10_000  # maximum number of data sets in a group


class Hdf5:
    """An open file; ``sets`` maps the names of its cloud data sets ("data", "03001627/train") to shapes (m, n, c)."""

    def __init__(self, file: Any, path: Path, order: AxisOrder = "auto") -> None:
        self._path, self._size, self._order = path, path.stat().st_size, order
        self._passed: dict[str, str] = {}
        self._all = dict(self._found(file, ""))
        self.sets = {name: tuple(data.shape) for name, data in self._all.items() if self._is_clouds(name, data)}

    def contents(self) -> str:
        """List the arrays of the file with their shapes and types, for a message that no clouds are among them."""
        there = {name: f"{name} {tuple(data.shape)} {str(data.dtype)[:20]}" for name, data in self._all.items()}
        shown = [*there.values(), *(f"{name} ({why})" for name, why in self._passed.items())]
        return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "") or "nothing"

    def labels(self, name: str) -> Labels | None:
        """Return the classes of the clouds (m,) stored beside a data set, or None; FormatError if they are unclear."""
        return self._labels(name)[0]

    def _labels(self, name: str) -> tuple[Labels | None, tuple[str, ...]]:
        prefix, there = self._neighbors(name, self._all)
        shape = self.sets[name]
        if self._order == "channels-first":
            shape = (shape[0], shape[2], shape[1])

        def read(other: str) -> npt.NDArray[Any]:
            data = self._all[prefix + other]
            return np.asarray(data.asstr(errors="replace")[()], np.str_) if _is_text(data) else np.asarray(data[()])

        with _as_format_error(self._path):
            return stored_labels(self._path, there, read, shape)

    def read(self, name: str, place: int) -> Arrays:
        """Read cloud ``place`` of a data set with normals and colors stored beside it; FormatError if broken."""
        whole = self.sets[name]
        with _as_format_error(self._path):
            points = in_order(self._path, self._all[name][place], self._order, whole)
            parts: list[Any] = []
            for kind, names in (("normals", NORMALS), ("colors", COLORS)):
                data = self._beside(name, names)
                part = None if data is None or data.dtype.kind not in "fiu" or data.ndim != 3 else data
                if part is not None:
                    part = part[place] if part.shape[0] > place else np.zeros((0, 3))
                    part = part.T if self._order == "channels-first" else part
                    if kind == "colors" and part.ndim == 2 and part.shape[1] == 4:
                        part = part[:, :3]  # opacity is left out
                    if part.shape != (len(points), 3):
                        raise FormatError(self._path, f"{kind} of shape {data.shape} for points of shape {whole}")
                parts.append(part)
        normals, colors = parts
        return Arrays(points, normals, colors, remarks=self._remarks[name])

    def _beside(self, name: str, names: tuple[str, ...]) -> Any:
        prefix, there = self._neighbors(name, self._all)
        found = named(names, there)
        return None if found is None else self._all[prefix + found]

    @staticmethod
    def _neighbors(name: str, names: Iterable[str]) -> tuple[str, list[str]]:
        """Return the path of the group of a data set with its slash, "" for the root, and which ``names`` are in it."""
        folder = name.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        return prefix, [other.removeprefix(prefix) for other in names if other.rpartition("/")[0] == folder]

    @cached_property
    def _remarks(self) -> dict[str, tuple[str, ...]]:
        """For each data set of clouds, what lies beside it and is not read."""
        out = {}
        for name in self.sets:
            prefix, there = self._neighbors(name, (*self._all, *self._passed))
            roles = {named(NORMALS, there), named(COLORS, there)}
            left = [
                other
                for other in there
                if prefix + other not in self.sets and other not in roles and other.lower() not in (*LABELS, *CLASSES)
            ]
            remark = f"arrays left out: {', '.join(left[:8])}{', …' if len(left) > 8 else ''}"
            several = [other for other in there if prefix + other in self.sets and other.lower() not in FOLDERS]
            both = f"each array is read as clouds of its own: {', '.join(several[:8])}"
            out[name] = (*self._labels(name)[1], *[remark] * bool(left), *[both] * (len(several) > 1))
        return out

    def _is_clouds(self, name: str, data: Any) -> bool:
        role = name.rpartition("/")[2]
        shape = tuple(data.shape)
        channels = 1 if self._order == "channels-first" else 2
        if len(shape) != 3 or shape[channels] < 3 or role.lower() in (*NORMALS, *COLORS, *LABELS):
            return False
        # whole numbers may be faces or parts, unless their name says that they are points
        return data.dtype.kind == "f" or (data.dtype.kind in "iu" and role.lower() in ("data", *NAMES))

    def _found(self, group: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
        import h5py

        for count, name in enumerate(group):
            if count >= MANY:
                raise FormatError(self._path, f"more than {MANY} data sets in one group")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue  # a link to somewhere else
            item = group[name]
            if isinstance(item, h5py.Group) and depth < 3:
                yield from self._found(item, f"{prefix}{name}/", depth + 1)
            elif isinstance(item, h5py.Dataset):
                if not self._wanted(item, name):
                    self._passed[prefix + name] = f"of {str(item.dtype)[:20]}"
                elif self._inside(item, prefix + name):
                    yield prefix + name, item
                else:
                    self._passed[prefix + name] = "outside the file, empty, or behind a filter that is not built in"

    def _wanted(self, item: Any, name: str) -> bool:
        """True for data sets of numbers, and for labels of any kind."""
        return item.dtype.kind in "fiu" or (
            name.lower() in (*LABELS, *CLASSES) and (item.dtype.kind in "bSU" or _is_text(item))
        )

    def _inside(self, data: Any, name: str) -> bool:
        """True if the file itself holds the data set; FormatError if the file is too small for it."""
        plist = data.id.get_create_plist()
        filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if data.external or data.is_virtual or not filters <= FILTERS or data.shape is None:
            return False
        claimed, stored = prod(data.shape) * data.dtype.itemsize, int(data.id.get_storage_size())
        if _is_text(data):  # the texts lie elsewhere in the file, at least a byte each
            if prod(data.shape) > self._size:
                raise FormatError(self._path, f"{name} claims {prod(data.shape)} texts, more than fit into the file")
            return True
        if stored > self._size or claimed > (SWELL * stored if filters & {1, 32000} else stored):
            raise FormatError(self._path, f"{name} claims {claimed} bytes, but {min(stored, self._size)} are stored")
        chunk = prod(data.chunks or (0,)) * data.dtype.itemsize
        if chunk > max(SWELL * stored, 1 << 20):
            raise FormatError(self._path, f"{name} has chunks of {chunk} bytes, too many for its data")
        return True


def _is_text(data: Any) -> bool:
    """True for texts of variable or fixed length."""
    import h5py

    return h5py.check_string_dtype(data.dtype) is not None


@contextmanager
def _as_format_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (FormatError, ImportError):
        raise
    except MemoryError:
        raise FormatError(path, "it claims more memory than there is") from None
    except Exception as error:  # the library may raise anything for a broken file
        raise FormatError(path, f"{type(error).__name__}: {str(error)[:100]}") from None


@contextmanager
def open_hdf5(path: Path, order: AxisOrder = "auto") -> Iterator[Hdf5]:
    """Open an HDF5 file for reading; FormatError if it is broken, MissingPackage without h5py."""
    h5py: Any = needed("h5py", "hdf5", path)
    with _as_format_error(path):
        file = h5py.File(path, "r", rdcc_nbytes=CACHE, locking=False)
    with file:
        with _as_format_error(path):
            found = Hdf5(file, path, order)
        yield found
