"""`ptdiff_datasets.formats.meshes`: what is read is what was written, points lie on it evenly, spoiled files
are refused with one line."""

import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.meshes import read_mesh, sample_surface, surface_box

Box = Callable[..., bytes]
KINDS = ["obj", "ply", "stl", "off", "glb", "ply ascii", "stl_ascii"]


def exported(box: Box, kind: str, folder: Path) -> Path:
    suffix = kind.split(" ")[0].removesuffix("_ascii")
    data = box("ply", (1, 2, 3), encoding="ascii") if kind == "ply ascii" else box(kind, (1, 2, 3))
    path = folder / f"box.{suffix}"
    path.write_bytes(data)
    return path


def refused(path: Path, data: bytes) -> FormatError:
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_mesh(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_surface(box: Box, tmp_path: Path, kind: str) -> None:
    path = exported(box, kind, tmp_path)
    shouting = path.with_suffix(path.suffix.upper())
    shouting.write_bytes(path.read_bytes())
    for name in (path, shouting):
        mesh = read_mesh(name)
        assert mesh.area == pytest.approx(22)  # 2 (1*2 + 2*3 + 1*3)
        low, high = surface_box(mesh)
        np.testing.assert_allclose([low, high], [[-0.5, -1, -1.5], [0.5, 1, 1.5]])


@pytest.mark.parametrize("header", ["OFF4 4 6\n", "OFF 4 4 6\n", "OFF\n4 4 6\n", "OFF\n# four\n\n4 4\n"])
def test_off_headers_as_they_occur(tmp_path: Path, header: str) -> None:
    path = tmp_path / "tetrahedron.off"
    path.write_text(header + "0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n")
    assert read_mesh(path).area == pytest.approx(1.5 + np.sqrt(3) / 2)


def test_parts_of_a_scene_stand_where_their_transforms_put_them(tmp_path: Path) -> None:
    import trimesh

    scene = trimesh.Scene()
    for x in (0.0, 10.0):
        turn = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1])
        turn[:3, 3] = x, 0, 0
        scene.add_geometry(trimesh.creation.box(extents=(1, 4, 1)), transform=turn)
    path = tmp_path / "scene.glb"
    path.write_bytes(scene.export(file_type="glb"))
    low, high = surface_box(read_mesh(path))
    np.testing.assert_allclose([low, high], [[-2, -0.5, -0.5], [12, 0.5, 0.5]], atol=1e-6)


def test_points_lie_on_the_surface_and_are_uniform_by_area(tmp_path: Path, box: Box) -> None:
    (tmp_path / "a.stl").write_bytes(box("stl", (1, 2, 3)))
    cloud = sample_surface(read_mesh(tmp_path / "a.stl"), 60_000, 1)
    points = cloud.points
    assert points.shape == (60_000, 3)
    # outward, across the face that the point lies on
    assert cloud.normals is not None
    across = np.abs(points) / [0.5, 1.0, 1.5] == np.max(np.abs(points) / [0.5, 1.0, 1.5], axis=1, keepdims=True)
    np.testing.assert_allclose(cloud.normals, np.sign(points) * across, atol=1e-6)
    on = np.isclose(np.abs(points), [0.5, 1.0, 1.5], atol=1e-6)
    assert on.any(axis=1).all()
    # The faces across x, y and z have areas 6, 3 and 2 (twice): 5 sigma of a binomial.
    share = on.mean(axis=0)
    expected = np.array([12, 6, 4]) / 22
    assert (np.abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / len(points))).all()
    # On the large face both free coordinates are uniform.
    face = points[points[:, 0] > 0.499999]
    for axis, length in ((1, 2.0), (2, 3.0)):
        counts, _ = np.histogram(face[:, axis] / length + 0.5, 10, (0, 1))
        assert ((counts - len(face) / 10) ** 2 / (len(face) / 10)).sum() < 34  # chi-squared, 9 degrees, p = 1e-4


def test_colors_of_vertices_are_mixed_by_nearness(tmp_path: Path) -> None:
    text = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nf 1 2 3\n"
    (tmp_path / "a.obj").write_text(text)
    cloud = sample_surface(read_mesh(tmp_path / "a.obj"), 500, 1)
    assert cloud.colors is not None
    x, y, _ = cloud.points.T
    np.testing.assert_allclose(cloud.colors, 255 * np.stack([1 - x - y, x, y], 1), atol=1)


def test_sampling_is_a_function_of_mesh_count_and_seed(tmp_path: Path, box: Box) -> None:
    (tmp_path / "a.obj").write_bytes(box("obj"))
    first, again = (sample_surface(read_mesh(tmp_path / "a.obj"), 100, 5).points for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, sample_surface(read_mesh(tmp_path / "a.obj"), 100, 6).points)


def test_a_stray_vertex_does_not_widen_the_box(tmp_path: Path, box: Box) -> None:
    text = b"v 100 100 100\n" + b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 50 50 50\nf 2 3 4\nf 5 5 5\n"
    (tmp_path / "a.obj").write_bytes(text)
    low, high = surface_box(read_mesh(tmp_path / "a.obj"))
    assert [low.tolist(), high.tolist()] == [[0, 0, 0], [1, 1, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_files_are_refused(box: Box, tmp_path: Path, kind: str) -> None:
    path = exported(box, kind, tmp_path)
    data = path.read_bytes().rstrip()
    # An .obj has no header: only a cut inside a line shows.
    lengths = [len(data) - 4, len(data) // 3] if kind == "obj" else range(0, len(data) - 1, 7)
    for length in lengths:
        refused(path, data[:length])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.obj", b"", "the file is empty"),
        ("a.obj", b"Dear reader,\nfor you this is no mesh\n", "no faces"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "has no area"),
        ("a.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "has no area"),
        ("a.obj", b"v 0 0 nan\nv 1 0 inf\nv 0 1 0\nf 1 2 3\n", "2 of 3 vertices are NaN or infinite"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "index"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nf 1 2\n", "'f 1 2' is not a face"),
        ("a.obj", b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "shape (3, 2)"),
        ("a.off", b"OFF\n9999999999 99999999999 0\n0 0 0\n", "claims 9999999999 vertices"),
        ("a.off", b"OFF\n-1 -1 0\n", "no counts"),
        ("a.off", b"OFF BINARY\n", "no counts"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4 0 1 2\n", "is not a face"),
        ("a.stl", b"solid nothing\nendsolid nothing\n", "no faces"),
        ("a.stl", b"x" * 80 + struct.pack("<I", 4_000_000_000) + bytes(50), "claims 4000000000 triangles"),
        ("a.stl", bytes(84), "no faces"),
        ("a.glb", b"glTF" + struct.pack("<4I", 2, 4 * 10**9, 4, 0x4E4F534A) + b"{}  ", "claims 4000000000"),
        ("a.glb", b"x" * 40, "not a GLB"),
        ("a.step", b"ISO-10303-21", "no mesh format has the suffix .step"),
    ],
)  # fmt: skip
def test_spoiled_files_name_their_fault(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    assert reason in refused(tmp_path / name, data).reason


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_huge_counts_of_faces_are_refused_before_allocating(tmp_path: Path, encoding: str) -> None:
    text = (
        f"ply\nformat {encoding} 1.0\nelement vertex 1\n"
        "property float x\nproperty float y\nproperty float z\n"
        "element face 3000000000\nproperty list uint int vertex_indices\nend_header\n0 0 0\n3 0 0 0\n"
    )
    assert "3000000000 face" in refused(tmp_path / "a.ply", text.encode()).reason


def glb(tree: object, blob: bytes = b"") -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunk = struct.pack("<2I", len(text), 0x4E4F534A) + text
    binary = struct.pack("<2I", len(blob), 0x004E4942) + blob if blob else b""
    return b"glTF" + struct.pack("<2I", 2, 12 + len(chunk) + len(binary)) + chunk + binary


def test_a_glb_cannot_ask_for_memory_or_for_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.eye(3, dtype=np.float32).tobytes())
    accessor = {"componentType": 5126, "type": "VEC3", "count": 3}
    tree = {
        "asset": {"version": "2.0"},
        "accessors": [{**accessor, "count": 10**12}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    assert "accessor claims" in refused(tmp_path / "a.glb", glb(tree)).reason
    tree["accessors"] = [{**accessor, "bufferView": 0}]
    tree["bufferViews"] = [{"buffer": 0, "byteLength": 36}]
    tree["buffers"] = [{"byteLength": 36, "uri": "../secret.bin"}]
    assert "not a file in its own folder" in refused(tmp_path / "inside" / "a.glb", glb(tree)).reason


def test_no_file_beside_the_mesh_is_opened(tmp_path: Path) -> None:
    """A hook on every open of the process, in a process of its own."""
    text = "mtllib neighbor.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n"
    (tmp_path / "a.obj").write_text(text)
    (tmp_path / "neighbor.mtl").write_text("newmtl m\nmap_Kd neighbor.png\n")
    code = (
        "import sys; from ptdiff_datasets.formats.meshes import read_mesh; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        f"read_mesh({str(tmp_path / 'a.obj')!r})\n"
        f"inside = [name for name in opened if name.startswith({str(tmp_path)!r})]\n"
        f"assert inside == [{str(tmp_path / 'a.obj')!r}], inside\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_random_damage_gives_a_mesh_or_one_format_error(
    box: Box, tmp_path: Path, data: st.DataObject, kind: str
) -> None:
    path = exported(box, kind, tmp_path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 12))
        content[at : at + length] = data.draw(st.binary(max_size=12))
        content = content or bytearray(b"x")
    path.write_bytes(content)
    started = time.perf_counter()
    try:
        mesh = read_mesh(path)
    except FormatError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert np.isfinite(sample_surface(mesh, 10, 0).points).all()
    assert time.perf_counter() - started < 1
