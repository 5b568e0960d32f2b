"""glTF accessors: numbers in buffers, strided, normalized or sparse, compared with the bounds that are declared."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

TYPES = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5125: "u4", 5126: "f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MOST_ZEROS = 1 << 18  # elements of an accessor without data of its own (zeros, with a few values set)
ROUNDED = 1e-4  # error of a declared bound, relative to the range: exporters round them


@dataclass(frozen=True, eq=False)
class Accessors:
    """The accessors of a file: its JSON and the bytes of each buffer (None for one that is not there).

    unpacked: elements (n, width) of the accessors whose data a compression holds, by their place.
    """

    tree: dict[str, Any]
    buffers: list[memoryview | None]
    path: Path
    unpacked: dict[int, npt.NDArray[Any]] = field(default_factory=dict)

    def read(self, place: int) -> npt.NDArray[Any]:
        """Return the elements of accessor ``place`` as stored, (n, width), after checks of its bounds."""
        accessor = self._item("accessors", place)
        kind, width, count = accessor.get("componentType"), accessor.get("type"), accessor.get("count")
        if kind not in TYPES or width not in WIDTHS:
            raise self.refused(f"accessor {place} has the component type {kind!r} and the type {width!r}")
        if not isinstance(count, int) or count < 1:
            raise self.refused(f"an accessor claims {count} elements")
        dtype, columns = np.dtype("<" + TYPES[kind]), WIDTHS[width]
        if place in self.unpacked:
            table = self.unpacked[place]
            if table.shape != (count, columns):
                raise self.refused(f"accessor {place} declares {count} x {columns} numbers, unpacked are {table.shape}")
        elif "bufferView" in accessor:
            table = self._stored(accessor["bufferView"], accessor.get("byteOffset", 0), count, dtype, columns)
        elif count > MOST_ZEROS:
            raise self.refused(f"an accessor claims {count} elements without data")
        else:
            table = np.zeros((count, columns), dtype)
        if "sparse" in accessor:
            table = self._sparse(accessor["sparse"], table)
        self._bounded(accessor, table, place)
        return table

    def numbers(self, place: int) -> npt.NDArray[np.float64]:
        """Return the elements as float64; normalized integers from 0 or -1 to 1."""
        table = self.read(place)
        values = table.astype(np.float64)
        if self._item("accessors", place).get("normalized") and table.dtype.kind != "f":
            return np.maximum(values / np.iinfo(table.dtype).max, -1)
        return values

    def has_data(self, place: int) -> bool:
        """True if an accessor has stored elements; without, all of them are zero."""
        accessor = self._item("accessors", place)
        return place in self.unpacked or "bufferView" in accessor or "sparse" in accessor

    def view(self, place: Any) -> memoryview:
        """Return the bytes of bufferView ``place``."""
        piece = self._item("bufferViews", place)
        self._item("buffers", piece["buffer"])
        data, start, length = self.buffers[piece["buffer"]], piece.get("byteOffset", 0), piece["byteLength"]
        inside = data is not None and all(isinstance(n, int) and n >= 0 for n in (start, length))
        if data is None or not inside or start + length > len(data):
            raise self.refused(f"bufferView {place} does not lie within its buffer")
        found: memoryview = data[start : start + length]
        return found

    def refused(self, reason: str) -> FormatError:
        """Build the error for this file."""
        return FormatError(self.path, reason)

    def _item(self, name: str, place: Any) -> dict[str, Any]:
        items = self.tree.get(name, [])
        if not isinstance(place, int) or not 0 <= place < len(items):
            raise self.refused(f"{name} has no item {place!r}")
        item: dict[str, Any] = items[place]
        return item

    def _stored(self, view: Any, offset: int, count: int, dtype: np.dtype[Any], columns: int) -> npt.NDArray[Any]:
        piece = self._item("bufferViews", view)
        number = piece["buffer"]
        self._item("buffers", number)
        data = self.buffers[number]
        if data is None:
            for name in piece.get("extensions", {}):
                raise self.refused(f"buffers packed with {name} are not read; export without compression")
            raise self.refused(f"buffer {number} is not in the file; export as one .glb file")
        start, length = piece.get("byteOffset", 0), piece.get("byteLength")
        size = columns * dtype.itemsize
        stride = piece.get("byteStride", size)
        if not all(isinstance(n, int) and n >= 0 for n in (start, length, offset, stride)) or start + length > len(
            data
        ):
            raise self.refused(f"bufferView {view} does not lie within its buffer of {len(data)} bytes")
        if stride < size or offset + (count - 1) * stride + size > length:
            raise self.refused(f"an accessor claims {count} elements of {size} bytes in {length} bytes")
        records = np.ndarray((count, columns), dtype, data, start + offset, (stride, dtype.itemsize))
        return np.ascontiguousarray(records)

    def _sparse(self, sparse: dict[str, Any], table: npt.NDArray[Any]) -> npt.NDArray[Any]:
        count, where, what = sparse["count"], sparse["indices"], sparse["values"]
        kind = where.get("componentType")
        if kind not in (5121, 5123, 5125) or not isinstance(count, int) or not 1 <= count <= len(table):
            raise self.refused(f"a sparse accessor sets {count} of {len(table)} elements with indices of type {kind}")
        rows = self._stored(where["bufferView"], where.get("byteOffset", 0), count, np.dtype("<" + TYPES[kind]), 1)
        values = self._stored(what["bufferView"], what.get("byteOffset", 0), count, table.dtype, table.shape[1])
        places = rows[:, 0].astype(np.int64)
        if (np.diff(places) <= 0).any() or places[-1] >= len(table):
            raise self.refused("the indices of a sparse accessor do not grow, or exceed its count")
        filled = table.copy()
        filled[places] = values
        return filled

    def _bounded(self, accessor: dict[str, Any], table: npt.NDArray[Any], place: int) -> None:
        """Compare the smallest and largest values with ``min`` and ``max``, which hold the numbers as stored."""
        if "min" not in accessor and "max" not in accessor:
            return
        columns = [table[:, i] for i in range(table.shape[1])]
        least, most = (np.array([f(c) for c in columns], np.float64) for f in (np.min, np.max))
        for name, found in (("min", least), ("max", most)):
            if name not in accessor:
                continue
            claimed = np.array(accessor[name], np.float64)
            if claimed.shape != found.shape:
                raise self.refused(f"accessor {place} declares a {name} of {claimed.size} numbers for {found.size}")
            slack = ROUNDED * (most - least) + 1e-5 * np.maximum(np.abs(most), np.abs(least)) + 1e-7
            if not (np.abs(claimed - found) <= slack).all():
                raise self.refused(
                    f"accessor {place} declares the {name} {claimed.tolist()}, but its values have {found.tolist()}"
                )
