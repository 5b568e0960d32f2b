"""Block structure of GIF files, checked before decoding (CompuServe 1990, GIF89a).

header    "GIF87a" or "GIF89a"; width, height of the screen (uint16), flags, two bytes; its color table
"!"       an extension: a byte, sub-blocks; 0xf9 for the next frame: 4, flags, delay (uint16), a byte, 0
","       a frame: left, top, width, height (uint16), flags; its color table; a byte, sub-blocks
";"       the end
sub-blocks: a length byte and that many bytes, ending with length 0; table: 3 * 2^(1 + flags & 7) bytes if flags & 128
"""

from __future__ import annotations

import struct
from pathlib import Path

from ptdiff_datasets.errors import FormatError


def delays(data: bytes, path: Path) -> list[int]:
    """Return how long each frame of a complete GIF is shown, in hundredths of a second; 0 if unspecified.

    FormatError if the file is truncated, has other content, or has a frame that exceeds the screen: decoders enlarge
    the screen for it, however much memory that takes.
    """
    if data[:6] not in (b"GIF87a", b"GIF89a") or len(data) < 13:
        raise FormatError(path, "not a GIF", 0)
    screen = struct.unpack_from("<2H", data, 6)
    at, delay, found = 13 + _table(data[10]), 0, list[int]()
    while (kind := data[at : at + 1]) != b";":
        if kind == b"!":
            if data[at : at + 3] == b"!\xf9\4" and at + 6 < len(data):
                (delay,) = struct.unpack_from("<H", data, at + 4)
            at = _behind(data, path, at + 2)
        elif kind == b"," and at + 10 < len(data):
            left, top, width, height, flags = struct.unpack_from("<4HB", data, at + 1)
            if left + width > screen[0] or top + height > screen[1]:
                raise FormatError(path, f"frame {len(found)} exceeds the screen of {screen[0]} x {screen[1]}", at)
            found.append(delay)
            delay = 0
            at = _behind(data, path, at + 11 + _table(flags))
        else:
            raise FormatError(path, "the file is truncated" if len(data) - at < 11 else "unknown GIF block", at)
    return found


def _table(flags: int) -> int:
    """Size of a color table in bytes."""
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _behind(data: bytes, path: Path, at: int) -> int:
    """Return the offset after the sub-blocks that start at ``at``."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if length == 0:
            return at
    raise FormatError(path, "the file is truncated", len(data))
