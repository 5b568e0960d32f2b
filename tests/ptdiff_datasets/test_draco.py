"""glTF packed with Draco: decoded by DracoPy, compared with what the accessors declare, refused by name if broken."""

import json
import random
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from damage import mutated

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.meshes import read_mesh

DracoPy = pytest.importorskip("DracoPy")
VERTICES = np.array([[x, y, z] for x in (0, 2) for y in (0, 1) for z in (0, 4)], np.float32)
FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]], np.uint32)
COLORS = np.arange(24, dtype=np.uint8).reshape(8, 3) * 10


def packed() -> bytes:
    data: bytes = DracoPy.encode(VERTICES, FACES, quantization_bits=16, colors=COLORS, preserve_order=True)
    return data


def glb(draco: bytes, **changes: object) -> bytes:
    """Write a GLB with one packed mesh; Draco numbers colors first."""
    accessors = [
        {"componentType": 5126, "count": 8, "type": "VEC3", "min": [0, 0, 0], "max": [2, 1, 4]} | changes,
        {"componentType": 5125, "count": 24, "type": "SCALAR"},
        {"componentType": 5121, "count": 8, "type": "VEC3", "normalized": True},
    ]
    packing = {"bufferView": 0, "attributes": {"POSITION": 1, "COLOR_0": 0}}
    tree = {
        "asset": {"version": "2.0"},
        "extensionsRequired": ["KHR_draco_mesh_compression"],
        "buffers": [{"byteLength": len(draco)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(draco)}],
        "accessors": accessors,
        "meshes": [
            {
                "primitives": [
                    {
                        "attributes": {"POSITION": 0, "COLOR_0": 2},
                        "indices": 1,
                        "extensions": {"KHR_draco_mesh_compression": packing},
                    }
                ]
            }
        ],
        "nodes": [{"mesh": 0, "scale": [1, 1, 2]}],
    }
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    draco += b"\0" * (-len(draco) % 4)
    size = 28 + len(text) + len(draco)
    head = struct.pack("<4s4I", b"glTF", 2, size, len(text), 0x4E4F534A)
    return head + text + struct.pack("<2I", len(draco), 0x004E4942) + draco


def test_a_packed_mesh_has_the_area_box_and_colors_that_were_packed(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(glb(packed()))
    mesh = read_mesh(tmp_path / "a.glb")
    assert mesh.area == pytest.approx(2 * (1 * 8) + 2 * (2 * 8), rel=1e-3)
    np.testing.assert_allclose(mesh.bounds, [[0, 0, 0], [2, 1, 8]], atol=1e-3)
    points, tints = np.asarray(mesh.vertices), np.asarray(mesh.visual.vertex_colors)[:, :3]
    found = {tuple(np.rint(v).astype(int)): tuple(c) for v, c in zip(points, tints, strict=True)}
    assert found == {tuple((v * [1, 1, 2]).astype(int)): tuple(c) for v, c in zip(VERTICES, COLORS, strict=True)}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (glb(b"DRACO and no more"), "KHR_draco_mesh_compression cannot be decoded"),
        (glb(packed()[:-40]), "KHR_draco_mesh_compression cannot be decoded"),
        (glb(packed(), count=9), "declares 9 x 3 numbers"),
        (glb(packed(), max=[2, 1, 5]), "declares the max"),
        (glb(packed(), componentType=5123), "numbers that accessor 0 cannot hold"),
    ],
)
def test_what_does_not_fit_its_accessors_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.glb").write_bytes(data)
    with pytest.raises(FormatError, match=reason):
        read_mesh(tmp_path / "a.glb")


def test_without_the_package_the_extension_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    (tmp_path / "a.glb").write_bytes(glb(packed()))
    with pytest.raises(FormatError, match=r"KHR_draco_mesh_compression need DracoPy: pip install 'ptdiff\[draco\]'"):
        read_mesh(tmp_path / "a.glb")


def test_damage_is_refused(tmp_path: Path) -> None:
    refused = 0
    for i in range(300):
        (tmp_path / "a.glb").write_bytes(glb(mutated(packed(), random.Random(i))))
        try:
            read_mesh(tmp_path / "a.glb")
        except FormatError:
            refused += 1
    assert refused > 100
