"""Sequences of strings that need little more memory than their bytes, in memory or mapped from a file.

A Python string of 30 characters takes 80 bytes and a place in a list 8 more; here it takes 38, or none if mapped.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

Text = bytes | bytearray | npt.NDArray[np.uint8]
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
            return self.take(np.arange(len(self))[place])
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

    def take(self, rows: npt.NDArray[np.int64]) -> Names:
        """Return the strings at the places ``rows``, (k,); the buffer is shared."""
        return Names(self._text, self.ends, rows if self._rows is None else self._rows[rows])

    @staticmethod
    def of(names: Iterable[str]) -> Names:
        """Pack strings."""
        text, ends = bytearray(), array("q")
        for name in names:
            text += encoded(name)
            ends.append(len(text))
        return Names(text, ends)


def encoded(name: str) -> bytes:
    """Return the bytes of a name; names of files may hold bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape")
