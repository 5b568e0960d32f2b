"""File formats by suffix: readers and writers of single clouds."""

from collections.abc import Callable
from pathlib import Path

import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.arrays import ARRAY_SUFFIXES, read_points, write_npy, write_npz
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.e57 import E57_SUFFIXES, read_e57
from ptdiff_datasets.formats.hdf5 import HDF5_SUFFIXES
from ptdiff_datasets.formats.las import LAS_SUFFIXES, read_las, write_las
from ptdiff_datasets.formats.meshes import MESH_SUFFIXES
from ptdiff_datasets.formats.numerals import Decimal
from ptdiff_datasets.formats.pcd import read_pcd, write_pcd
from ptdiff_datasets.formats.ply import read_ply, write_ply
from ptdiff_datasets.formats.text import TEXT_SUFFIXES, read_text, write_xyz

Read = Callable[[Path], Cloud]
Write = Callable[[Path, npt.ArrayLike, npt.ArrayLike | None, npt.ArrayLike | None], None]

READERS: dict[str, Read] = {
    ".ply": read_ply,
    ".pcd": read_pcd,
    **dict.fromkeys(sorted(TEXT_SUFFIXES), read_text),
    **dict.fromkeys(sorted(ARRAY_SUFFIXES), read_points),
    **dict.fromkeys(sorted(LAS_SUFFIXES), read_las),
    **dict.fromkeys(sorted(E57_SUFFIXES), read_e57),
}
"""Readers of files that hold one cloud; meshes are read by ``ptdiff_datasets.formats.meshes.read_mesh``."""

WRITERS: dict[str, Write] = {
    ".ply": write_ply,
    ".pcd": write_pcd,
    ".xyz": write_xyz,
    ".npy": write_npy,
    ".npz": write_npz,
    ".las": write_las,
    ".laz": write_las,
}
"""Writers, called with (path, points, normals, colors); the last two may be None."""

SUFFIXES = MESH_SUFFIXES | READERS.keys() | HDF5_SUFFIXES
"""Suffixes of all files that may hold shapes."""


def read_cloud(path: str | Path, decimal: Decimal | None = None) -> Cloud:
    """Read the cloud in a file by its suffix; FormatError for an unknown suffix or invalid content.

    decimal: the decimal mark of a text table, None to find it from the cells.
    """
    path = Path(path)
    if (suffix := path.suffix.lower()) not in READERS:
        raise FormatError(path, f"no point cloud format has the suffix {suffix or '(none)'}")
    if suffix in TEXT_SUFFIXES:
        return read_text(path, decimal)
    return READERS[suffix](path)
