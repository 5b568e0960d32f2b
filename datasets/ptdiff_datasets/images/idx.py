"""IDX, the format of MNIST: magic, sizes, then the numbers, all big-endian, plain or gzipped.

    magic = 0, 0, type, dimensions      sizes: a uint32 per dimension      payload: prod(sizes) numbers

(LeCun, Cortes and Burges, "The MNIST database", file formats.)  A header is trusted only if it agrees with the length
of the file; a compressed file is never unpacked beyond what its header promises.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
# limit of deflate: 258 bytes from two bits (RFC 1951)
_DEFLATE_LIMIT = 1032
_CHUNK = 1 << 20


def read_idx(path: str | Path) -> npt.NDArray[Any]:
    """Read the array in an IDX file, plain or gzipped, in native byte order.

    Raises FormatError if header and payload disagree or the compression is damaged, OSError if the file cannot be
    opened.
    """
    path = Path(path)
    length = path.stat().st_size
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            return _read(file, path, length)
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _read(stream, path, _DEFLATE_LIMIT * length)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(path, f"damaged gzip: {error}") from None


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _read(stream: _Stream, path: Path, limit: int) -> npt.NDArray[Any]:
    """Read the array in a stream of at most ``limit`` bytes."""
    dtype, shape = _header(stream, path)
    start = 4 + 4 * len(shape)
    promised = math.prod(shape) * dtype.itemsize
    if start + promised > limit:
        found = f"the file holds at most {max(limit - start, 0)}"
        raise FormatError(path, f"the header promises {promised} bytes of {shape}, but {found}", start)
    payload = bytearray()
    while chunk := stream.read(min(_CHUNK, promised + 1 - len(payload))):
        payload += chunk
    if len(payload) != promised:
        found = "more" if len(payload) > promised else str(len(payload))
        raise FormatError(path, f"the header promises {promised} bytes of {shape}, but {found} follow", start)
    return np.frombuffer(payload, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _header(stream: _Stream, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise FormatError(path, f"not an IDX file: it starts with {magic.hex(' ') or 'nothing'}", 0)
    dimensions = magic[3]
    if not 1 <= dimensions <= 8:
        raise FormatError(path, f"{dimensions} dimensions, not 1 to 8", 3)
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise FormatError(path, f"the file ends within its {dimensions} sizes", 4)
    return np.dtype(_TYPES[magic[2]]), struct.unpack(f">{dimensions}I", sizes)
