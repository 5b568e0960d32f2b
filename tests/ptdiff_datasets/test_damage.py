"""Readers under fire: mutated and cut files of every format, with little memory, in a process of their own.

`make fuzz` does the same with 20,000 files of each kind.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from damage import EXAMPLES

SCRIPT = Path(__file__).parent / "damage.py"
GROUPS = {
    "ply": [kind for kind in EXAMPLES if "ply" in kind],
    "pcd": [kind for kind in EXAMPLES if kind.startswith("pcd")],
    "text and arrays": ["xyz", "pts", "csv", "csv quoted", "txt wide", "npy", "npz"],
    "tables": ["table quoted", "table wide"],
    "las": ["las", "laz", "laz layered"],
    "hdf5": ["hdf5", "hdf5 packed"],
    "stl": ["stl", "stl ascii"],
    "meshes": ["obj", "off", "glb", "gltf", "obj varied", "off varied", "glb varied"],
    "images": ["idx", "idx packed", "cifar", "cifar pickled"],
    "pictures": ["png", "png deep", "jpg", "webp", "bmp", "tif", "tif deep", "gif", "film"],
}


def test_every_kind_is_in_a_group() -> None:
    assert sorted(kind for group in GROUPS.values() for kind in group) == sorted(EXAMPLES)


@pytest.mark.parametrize("group", GROUPS)
def test_no_damage_does_more_than_a_format_error(group: str) -> None:
    command = [sys.executable, str(SCRIPT), "--count", "500", "--seed", "1", *GROUPS[group]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["kind"] for result in results] == GROUPS[group]
    for result in results:
        assert result["read"] + result["refused"] == 500
        assert result["refused"] > 100  # the damage does reach the reader
        assert result["read"] > 0  # and not every file dies at its first byte
