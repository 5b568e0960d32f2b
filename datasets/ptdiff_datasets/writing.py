"""Atomic writing of files."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.formats.cloud import Cloud


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Yield a file beside ``path`` that replaces it at the end of the block, or is removed if the block fails.

    Links are followed.  Raises OSError, without its number, for a node that is not a regular file.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is {'a folder' if path.is_dir() else 'a device or a pipe'}, not a file")
    path = path.resolve()
    # a link may lead into a folder that does not exist yet
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}{path.suffix.lower()}")
    file = temporary.open("xb")
    try:
        with file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def arrays(points: npt.ArrayLike, normals: npt.ArrayLike | None, colors: npt.ArrayLike | None) -> Cloud:
    """Check the arrays given to a writer and return them as a cloud; ValueError for other shapes or types.

    points, normals: (n, 3) numbers; colors: (n, 3) uint8.
    """
    xyz = np.asarray(points)
    xyz = xyz if xyz.dtype in (np.float32, np.float64) else xyz.astype(np.float64)
    directions = None if normals is None else np.asarray(normals, np.float32)
    paint = None if colors is None else np.asarray(colors)
    for name, array in (("points", xyz), ("normals", directions), ("colors", paint)):
        if array is not None and array.shape != (len(xyz), 3):
            raise ValueError(f"{name} must have shape ({len(xyz)}, 3), not {array.shape}")
    if paint is not None and paint.dtype != np.uint8:
        raise ValueError(f"colors must be uint8 from 0 to 255, not {paint.dtype}")
    return Cloud(xyz, directions, paint)
