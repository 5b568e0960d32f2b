"""CIFAR's pickled batches, read as data: nothing is imported, called or unpickled.

A pickle is a program for a stack machine. The batches were written by Python 2 (protocol 2) and hold a dictionary of
byte strings, integers, lists of those and one array of bytes. The machine below knows the 26 instructions they need and
refuses all others. Imports are kept as mere names, and only these two calls yield something, an array of bytes:

    numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")  with the state (1, shape, dtype, fortran, bytes)
    numpy.dtype("u1", 0, 1)                                        with the state (3, "|", None, None, None, -1, -1, 0)

(Instructions: Python's pickletools; layout: Krizhevsky 2009, "CIFAR-10 and CIFAR-100 datasets, python version".)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

Batch = dict[bytes, Any]
"""Values are integers, byte strings, lists of those, and arrays of bytes."""


@dataclass(frozen=True)
class _Name:
    """A name that the pickle would import."""

    name: bytes


@dataclass
class _Array:
    """An array under construction: empty until its state is set."""

    values: npt.NDArray[np.uint8] | None = None


_MOST = 500_000
"""Maximum number of instructions, about twice that of the longest batch. One byte of them may take a hundred in memory.
"""

_MARK = object()
_RECONSTRUCT, _NDARRAY, _DTYPE = (
    _Name(name) for name in (b"numpy.core.multiarray _reconstruct", b"numpy ndarray", b"numpy dtype")
)
_BYTES = _Name(b"numpy dtype u1")
_EMPTY = (_RECONSTRUCT, (_NDARRAY, (0,), b"b"))
_OF_BYTES = (_DTYPE, (b"u1", 0, 1))
_BYTES_STATE = (3, b"|", None, None, None, -1, -1, 0)


def read_batch(path: Path) -> Batch:
    """Read the dictionary in a pickled batch. FormatError for any other content."""
    machine = _Machine(path, path.read_bytes())
    try:
        return machine.run()
    except (struct.error, IndexError, KeyError):
        raise FormatError(path, "the pickled batch is truncated or refers to a missing value", machine.at) from None


@dataclass
class _Machine:
    path: Path
    data: bytes
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> Batch:
        if self.data[:2] != b"\x80\x02":
            raise FormatError(self.path, "not a pickle of protocol 2, as CIFAR's batches are", 0)
        self.at = 2
        for _ in range(_MOST):
            if (code := self.take(1)) == b".":
                break
            self.step(code)
        else:
            raise self.refusal(f"more than {_MOST:,} instructions")
        if len(self.stack) != 1 or not isinstance(self.stack[0], dict) or self.at != len(self.data):
            raise self.refusal("it is not a single dictionary")
        return {key: self.finished(value) for key, value in self.stack[0].items()}

    def refusal(self, reason: str) -> FormatError:
        return FormatError(self.path, f"not a CIFAR batch: {reason}", self.at)

    def finished(self, value: Any) -> Any:
        if isinstance(value, _Array) and value.values is not None:
            return value.values
        if isinstance(value, (int, bytes)):
            return value
        if isinstance(value, list) and len({type(entry) for entry in value} - {int, bytes}) == 0:
            return value
        raise self.refusal("a value other than numbers, byte strings, lists of those and arrays of bytes")

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise FormatError(self.path, "the pickled batch is truncated", self.at)
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: str) -> int:
        value: int = struct.unpack(kind, self.take(struct.calcsize(kind)))[0]
        return value

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.at, self.at + 100)
        if end < 0:
            raise self.refusal("a name without an end")
        return self.take(end + 1 - self.at)[:-1]

    def since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                found = self.stack[place + 1 :]
                del self.stack[place:]
                return found
        raise self.refusal("a list without a beginning")

    def step(self, code: bytes) -> None:
        """Execute one instruction; the letters are pickle's."""
        match code:
            case b"}" | b"]" | b")":
                self.stack.append({b"}": dict, b"]": list, b")": tuple}[code]())
            case b"(":
                self.stack.append(_MARK)
            case b"N" | b"\x88" | b"\x89":
                self.stack.append({b"N": None, b"\x88": True, b"\x89": False}[code])
            case b"K" | b"M" | b"J":
                self.stack.append(self.number({b"K": "<B", b"M": "<H", b"J": "<i"}[code]))
            case b"U" | b"T":
                self.stack.append(self.take(self.number("<B" if code == b"U" else "<i")))
            case b"c":
                module = self.line()
                self.stack.append(_Name(module + b" " + self.line()))
            case b"q" | b"r":
                self.memo[self.number("<B" if code == b"q" else "<I")] = self.stack[-1]
            case b"h" | b"j":
                self.stack.append(self.memo[self.number("<B" if code == b"h" else "<I")])
            case b"\x85" | b"\x86" | b"\x87":
                count = code[0] - 0x84
                entries = [self.stack.pop() for _ in range(count)]
                self.stack.append(tuple(reversed(entries)))
            case b"t":
                self.stack.append(tuple(self.since_mark()))
            case b"a":
                entry = self.stack.pop()
                self.top(list).append(entry)
            case b"e":
                entries = self.since_mark()
                self.top(list).extend(entries)
            case b"s":
                value, key = self.stack.pop(), self.stack.pop()
                self.put([key, value])
            case b"u":
                self.put(self.since_mark())
            case b"R":
                arguments, function = self.stack.pop(), self.stack.pop()
                self.stack.append(self.made(function, arguments))
            case b"b":
                state = self.stack.pop()
                self.build(self.stack[-1], state)
            case _:
                raise self.refusal(f"unknown instruction {code!r}")

    def top(self, kind: type[Any]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise self.refusal(f"expected a {kind.__name__} to fill")
        return self.stack[-1]

    def put(self, entries: list[Any]) -> None:
        target = self.top(dict)
        keys, values = entries[::2], entries[1::2]
        if len(keys) != len(values) or not all(isinstance(key, bytes) for key in keys):
            raise self.refusal("keys that are not byte strings")
        target.update(zip(keys, values, strict=True))

    def made(self, function: Any, arguments: Any) -> Any:
        if isinstance(function, _Name) and isinstance(arguments, tuple):
            if _same((function, arguments), _EMPTY):
                return _Array()
            if _same((function, arguments), _OF_BYTES):
                return _BYTES
            raise self.refusal(f"it calls {function.name.decode('ascii', 'replace').replace(' ', '.')}")
        raise self.refusal("it calls something that is not a name")

    def build(self, target: Any, state: Any) -> None:
        if target is _BYTES and _same(state, _BYTES_STATE):
            return
        if isinstance(target, _Array) and isinstance(state, tuple) and len(state) == 5:
            version, shape, dtype, fortran, raw = state
            sizes = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
            if version == 1 and sizes and dtype is _BYTES and isinstance(raw, bytes) and len(shape) <= 4:
                length = 1
                for size in shape:
                    length *= size
                if length == len(raw):
                    values = np.frombuffer(raw, np.uint8)
                    target.values = values.reshape(shape, order="F" if fortran is True else "C")
                    return
        raise self.refusal("an array that is not of bytes")


def _same(value: Any, wanted: Any) -> bool:
    """True if both are equal, types included; looks no deeper into ``value`` than ``wanted`` does."""
    if type(value) is not type(wanted):
        return False
    if isinstance(wanted, tuple):
        return len(value) == len(wanted) and all(map(_same, value, wanted))
    return bool(value == wanted)
