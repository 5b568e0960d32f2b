"""Sequences of strings that need no memory of their own: they are mapped from a file.

A Python string of 30 characters takes 80 bytes and a place in a list 8 more; here it takes 38 in a file, of which
the system keeps in memory what there is room for.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Text = bytes | bytearray | npt.NDArray[np.uint8]
SPOOLED = 1 << 16  # bytes that stay in memory
Ends = Sequence[int] | npt.NDArray[np.int64]


class Names(Sequence[str]):
    """Strings in one buffer of UTF-8.

    text: all strings, one after the other. ends: the end of each, rising. rows: the strings that this sequence shows,
    in its order; None for all.
    """

    def __init__(self, text: Text, ends: Ends, rows: npt.NDArray[np.int64] | None = None) -> None:
        self._text, self.ends, self._rows = text, ends, rows

    def __len__(self) -> int:
        return len(self.ends if self._rows is None else self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Names: ...

    def __getitem__(self, place: int | slice) -> str | Names:
        if isinstance(place, slice):
            return self.take(np.arange(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"name {place} of {len(self)}")
        place %= len(self)
        row = place if self._rows is None else int(self._rows[place])
        start = int(self.ends[row - 1]) if row else 0
        return bytes(self._text[start : int(self.ends[row])]).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"Names({shown}{', …' if len(self) > 3 else ''})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Names.of, (list(self),)  # another process gets these names, not the whole buffer

    def take(self, rows: npt.NDArray[np.int64]) -> Names:
        """Return the strings at the places ``rows``, (k,); the buffer is shared."""
        return Names(self._text, self.ends, rows if self._rows is None else self._rows[rows])

    @staticmethod
    def of(names: Iterable[str]) -> Names:
        """Pack strings; many of them go into a temporary file. OSError if there is no room for it."""
        with SpooledTemporaryFile(SPOOLED) as text, SpooledTemporaryFile(SPOOLED) as ends:
            end = 0
            for name in names:
                end += text.write(encoded(name))
                ends.write(end.to_bytes(8, "little"))
            return Names(_content(text, np.dtype("u1")), _content(ends, np.dtype("<i8")))


def _content(file: SpooledTemporaryFile[bytes], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """What was written to a file, mapped if it is on disk; mapped pages stay valid when it is closed and removed."""
    size = file.tell()
    if size <= SPOOLED:
        file.seek(0)
        return np.frombuffer(file.read(), dtype)
    file.flush()
    return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), dtype)


def encoded(name: str) -> bytes:
    """Return the bytes of a name; names of files may hold bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape")
