"""HDF5 files of many clouds, (m, n, >= 3) in each data set, read by h5py (``pip install ptdiff[hdf5]``).

Only data in the file itself is read: no links to other files, no external storage, no virtual data sets, and only the
built-in filters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError, needed
from ptdiff_datasets.formats.arrays import COLORS, LABELS, NORMALS, Arrays

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
CACHE = 64 << 20  # bytes of decompressed chunks to cache
SWELL = 1 << 10  # bytes that one byte of the file may decompress to: the limit of zlib
FILTERS = frozenset({1, 2, 3, 32000})  # deflate, shuffle, fletcher32, lzf
MANY = 10_000  # maximum number of data sets in a group


class Hdf5:
    """An open file; ``sets`` maps the names of its cloud data sets ("data", "03001627/train") to shapes (m, n, c)."""

    def __init__(self, file: Any, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        self._all = dict(self._found(file, ""))
        self.sets = {name: tuple(data.shape) for name, data in self._all.items() if self._is_clouds(name, data)}

    def labels(self, name: str) -> npt.NDArray[np.int64] | None:
        """Return the class numbers (m,) stored beside a data set, or None."""
        data = self._beside(name, LABELS)
        if data is None or data.dtype.kind not in "iu" or data.size != self.sets[name][0]:
            return None
        return np.asarray(data[()]).reshape(-1).astype(np.int64)

    def read(self, name: str, place: int) -> Arrays:
        """Read cloud ``place`` of a data set with normals and colors stored beside it; FormatError if broken."""
        shape = (*self.sets[name][:2], 3)
        with _as_format_error(self._path):
            parts = [
                None if data is None or tuple(data.shape) != shape or data.dtype.kind not in "fiu" else data[place]
                for data in (self._beside(name, NORMALS), self._beside(name, COLORS))
            ]
            return Arrays(self._all[name][place], *parts)

    def _beside(self, name: str, names: tuple[str, ...]) -> Any:
        folder = name.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        return next((self._all[prefix + other] for other in names if prefix + other in self._all), None)

    def _is_clouds(self, name: str, data: Any) -> bool:
        role = name.rpartition("/")[2]
        shape = tuple(data.shape)
        return (
            len(shape) == 3 and shape[2] >= 3 and data.dtype.kind == "f" and role not in NORMALS and role not in COLORS
        )

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
            elif isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" and self._inside(item, prefix + name):
                yield prefix + name, item

    def _inside(self, data: Any, name: str) -> bool:
        """True if the file itself holds the data set; FormatError if the file is too small for it."""
        plist = data.id.get_create_plist()
        filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
        if data.external or data.is_virtual or not filters <= FILTERS or data.shape is None:
            return False
        claimed, stored = prod(data.shape) * data.dtype.itemsize, int(data.id.get_storage_size())
        if stored > self._size or claimed > (SWELL * stored if filters & {1, 32000} else stored):
            raise FormatError(self._path, f"{name} claims {claimed} bytes, but {min(stored, self._size)} are stored")
        chunk = prod(data.chunks or (0,)) * data.dtype.itemsize
        if chunk > max(SWELL * stored, 1 << 20):
            raise FormatError(self._path, f"{name} has chunks of {chunk} bytes, too many for its data")
        return True


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
def open_hdf5(path: Path) -> Iterator[Hdf5]:
    """Open an HDF5 file for reading; FormatError if it is broken, MissingPackage without h5py."""
    h5py: Any = needed("h5py", "hdf5", path)
    with _as_format_error(path):
        file = h5py.File(path, "r", rdcc_nbytes=CACHE, locking=False)
    with file:
        with _as_format_error(path):
            found = Hdf5(file, path)
        yield found
