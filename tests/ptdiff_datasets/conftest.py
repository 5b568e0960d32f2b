"""Tiny files for the tests of readers, and the location of real data."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for file_examples and damage


@pytest.fixture
def box() -> Callable[..., bytes]:
    """Return the bytes of a box-shaped mesh: box("stl"), box("ply", encoding="ascii"), box("obj", (1, 2, 3))."""
    import trimesh

    def export(kind: str, extents: tuple[float, float, float] = (1, 1, 1), **options: str) -> bytes:
        data = trimesh.creation.box(extents=extents).export(file_type=kind, **options)
        return data if isinstance(data, bytes) else data.encode()

    return export


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """A folder of $PTDIFF_TEST_DATA; the test is skipped if it is missing."""

    def find(name: str) -> Path:
        default = Path(__file__).parents[2].parent / "shared" / "data"
        folder = Path(os.environ.get("PTDIFF_TEST_DATA", default)) / name
        if not folder.is_dir():
            pytest.skip(f"no {name} in PTDIFF_TEST_DATA ({folder.parent})")
        return folder

    return find
