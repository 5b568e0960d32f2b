"""Surfaces from clouds: closed, of the right volume, facing out, and the same when their files are read again."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from ptdiff.machine import libraries
from ptdiff.modality import Unsupported
from ptdiff_datasets.shapes import make_shape
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.meshing import METHODS, mesh, methods, outward_normals
from ptdiff_pointcloud.meshing.surface import FORMATS, _halved, cleaned, parted


def solids() -> dict[str, trimesh.Trimesh]:
    hole = trimesh.creation.box((0.4, 0.4, 2))
    return {
        "ball": trimesh.creation.icosphere(4),
        "torus": trimesh.creation.torus(1.0, 0.3),
        "box with a hole": trimesh.boolean.difference([trimesh.creation.box((1, 1, 1)), hole], engine="manifold"),
    }


@pytest.fixture(params=["poisson", "marching-cubes"])
def closing(request: pytest.FixtureRequest) -> str:
    """Each method whose surfaces are closed and smooth; Poisson's is skipped where there is no Open3D."""
    if request.param == "poisson":
        request.getfixturevalue("open3d")
    return str(request.param)


def sampled(solid: trimesh.Trimesh, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    points, faces = trimesh.sample.sample_surface(solid, n, seed=seed)
    return np.asarray(points), solid.face_normals[faces]


@pytest.mark.parametrize("name", ["ball", "torus", "box with a hole"])
def test_a_solid_comes_back_closed_with_its_volume_and_its_holes(name: str, closing: str, tmp_path: Path) -> None:
    solid = solids()[name]
    # far from the unit box, as scans are
    found = mesh(sampled(solid, 2048)[0] * 30 + [100, -50, 7], closing)
    assert found.watertight
    assert found.components == 1
    assert found.faces > 1000
    for kind in FORMATS:
        path = tmp_path / f"solid.{kind}"
        found.save(path)
        read = trimesh.load(path, force="mesh")
        assert read.is_watertight
        assert read.volume == pytest.approx(solid.volume * 30**3, rel=0.05)
        assert read.euler_number == solid.euler_number
        assert read.bounds == pytest.approx(solid.bounds * 30 + [100, -50, 7], abs=3)


@pytest.mark.parametrize("name", ["chair", "table", "mug", "airplane"])
def test_shapes_of_many_parts_come_back_closed(name: str, closing: str) -> None:
    shape = make_shape(name, 3)
    found = mesh(shape.points(2048), closing)
    assert found.watertight
    on_it = found.triangles.sample(20000, seed=0)
    assert KDTree(on_it).query(shape.points(300, 1))[0].mean() < 0.01


def test_normals_point_out_of_sheets_closer_than_a_tree_can_tell() -> None:
    for name in ("chair", "table"):
        points, true = make_shape(name, 3).points_and_normals(2048)
        found = outward_normals(points.astype(np.float64))
        agree = (found * true).sum(1)
        # near edges a neighborhood has no one direction
        assert (agree > 0).mean() > 0.97


def test_an_open_cloud_keeps_the_sides_of_its_spanning_tree() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (600, 2))
    bowl = np.column_stack([x, 0.2 * (x**2).sum(1)])
    found = outward_normals(bowl)
    assert abs(np.sign(found[:, 2]).sum()) == len(bowl)


@pytest.mark.parametrize("seed", [6, 9, 11, 12])
def test_plates_thinner_than_their_noise_are_closed_too(seed: int, closing: str) -> None:
    # Poisson's first surface runs out to its box: of 11 a larger box holds it, of the others none
    random = np.random.default_rng(seed)
    count, thin = random.integers(60, 300), (0.02, 0.05, 0.1)[seed % 3]
    plate = random.uniform(-1, 1, (count, 3)) * [1, thin, random.uniform(0.3, 1)]
    plate += random.normal(size=(count, 3)) * random.uniform(0.005, 0.06)
    found = mesh(plate, closing)
    assert found.watertight
    # and not far from the points anywhere, which are 0.2 apart
    assert KDTree(plate).query(found.triangles.vertices)[0].max() < 0.6
    assert KDTree(found.triangles.vertices).query(plate)[0].max() < 0.2


def test_disjoint_parts_are_kept_and_bubbles_are_not(closing: str) -> None:
    ball = trimesh.creation.icosphere(3)
    far, tiny = ball.copy(), trimesh.creation.icosphere(2, radius=0.03)
    far.apply_translation([4, 0, 0])
    tiny.apply_translation([2, 0, 0])
    points = np.concatenate([sampled(part, 1500)[0] for part in (ball, far)])
    found = mesh(points, closing)
    assert found.watertight and found.components == 2
    assert found.triangles.volume == pytest.approx(2 * ball.volume, rel=0.05)
    both = trimesh.util.concatenate([ball, far, tiny])
    assert cleaned(both.vertices, both.faces, points, 0.5).components == 2
    # a component that no point belongs to
    assert cleaned(both.vertices, both.faces, points[:1500], 0.5).components == 1


def test_boxes_that_touch_in_an_edge_are_taken_apart(tmp_path: Path) -> None:
    one, two = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 1))
    two.apply_translation([1, 1, 0])
    both = trimesh.util.concatenate([one, two])
    both.merge_vertices()
    assert not both.is_watertight
    found = parted(both)
    assert found.is_watertight and len(found.split()) == 2
    assert found.volume == pytest.approx(2, rel=0.01)
    found.export(tmp_path / "both.stl")
    assert trimesh.load(tmp_path / "both.stl").is_watertight


def test_a_surface_turned_inside_out_is_turned_back() -> None:
    ball = trimesh.creation.icosphere(3)
    assert cleaned(ball.vertices, ball.faces[:, ::-1], ball.vertices, 0.5).triangles.volume > 4


@pytest.mark.parametrize("method", ["ball-pivoting", "alpha"])
def test_the_other_ways_lie_on_the_points(method: str, request: pytest.FixtureRequest) -> None:
    if method == "ball-pivoting":
        request.getfixturevalue("open3d")
    points = sampled(solids()["torus"], 1000)[0]
    found = mesh(points, method)
    assert found.faces > 500
    # vertices of touching sheets retreat from each other by a thousandth of an edge
    assert KDTree(points).query(found.triangles.vertices)[0].max() < 1e-3


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("name", ["chair", "table", "sofa"])
def test_alpha_shapes_are_closed_and_of_about_the_right_volume(name: str, noise: float) -> None:
    cloud = make_shape(name, 1).points(1500)
    cloud = cloud + np.random.default_rng(0).normal(size=cloud.shape) * noise
    found = mesh(cloud, "alpha")
    assert found.watertight
    assert found.triangles.volume > 0
    smooth = mesh(cloud, "marching-cubes").triangles.volume
    assert 0.4 * smooth < found.triangles.volume < 1.6 * smooth


def test_an_alpha_shape_encloses_what_is_hollow() -> None:
    ball = trimesh.creation.icosphere(4)
    found = mesh(sampled(ball, 2000)[0], "alpha")
    assert found.watertight and found.components == 1
    assert found.triangles.volume == pytest.approx(ball.volume, rel=0.03)


def test_sheets_joined_around_both_ends_of_an_edge_are_taken_apart_in_its_middle() -> None:
    # two tetrahedra that share an edge
    points = np.array([[0, 0, 0], [1, 0, 0], [0.5, 1, 0.3], [0.5, 1, -0.3], [0.5, -1, 0.3], [0.5, -1, -0.3]])
    solid = trimesh.Trimesh(
        points, [[0, 1, 2], [1, 0, 3], [0, 2, 3], [1, 3, 2], [1, 0, 4], [0, 1, 5], [0, 5, 4], [1, 4, 5]]
    )
    assert not solid.is_watertight
    assert _halved(solid).area == pytest.approx(solid.area)
    assert len(_halved(solid).faces) == len(solid.faces) + 4
    assert parted(_halved(solid)).is_watertight


def test_a_mesh_is_the_same_every_time(closing: str) -> None:
    points = make_shape("chair", 0).points(800)
    first, second = mesh(points, closing).triangles, mesh(points, closing).triangles
    assert np.array_equal(first.vertices, second.vertices) and np.array_equal(first.faces, second.faces)


def test_what_has_no_surface_is_said_so() -> None:
    with pytest.raises(ValueError, match="3 distinct points"):
        mesh(np.eye(3)[[0, 1, 2] * 9])
    with pytest.raises(ValueError, match="finite"):
        mesh(np.full((20, 3), np.nan))
    with pytest.raises(ValueError, match="did you mean 'poisson'"):
        mesh(sampled(solids()["ball"], 100)[0], "poison")


def test_without_open3d_its_ways_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    for method in ("poisson", "ball-pivoting"):
        with pytest.raises(Unsupported, match=r"pip install open3d; or use --method marching-cubes"):
            mesh(sampled(solids()["ball"], 100)[0], method)


def test_the_default_is_poisson_where_its_libraries_are_and_marching_cubes_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libraries, "missing", lambda: [])
    assert methods() == METHODS and next(iter(methods())) == "poisson"
    monkeypatch.setattr(libraries, "missing", lambda: ["libusb-1.0.so.0"])
    name, text = next(iter(methods().items()))
    assert name == "marching-cubes" and set(methods()) == set(METHODS)
    assert "Open3D needs libusb-1.0.so.0" in text
    # nothing of Open3D is touched
    monkeypatch.setitem(sys.modules, "open3d", None)
    points = sampled(solids()["ball"], 600)[0]
    assert np.array_equal(mesh(points).triangles.vertices, mesh(points, "marching-cubes").triangles.vertices)


def test_the_modality_makes_meshes_of_whatever_channels() -> None:
    assert set(PointCloud().meshing()) == set(METHODS)
    points, normals = sampled(solids()["ball"], 600)
    with_normals = np.concatenate([points, normals], axis=1).astype(np.float32)
    assert PointCloud(channels=("xyz", "normals")).mesh(with_normals).watertight


def test_a_cloud_is_read_as_it_was_written(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    cloud = random.uniform(-1, 1, (20, 9)).astype(np.float32)
    cloud[:, 3:6] /= np.linalg.norm(cloud[:, 3:6], axis=1, keepdims=True)
    cloud[:, 6:] = random.integers(0, 256, (20, 3)) / 127.5 - 1
    kind = PointCloud(channels=("xyz", "normals", "colors"))
    kind.formats()["ply"](tmp_path / "a.ply", cloud)
    assert kind.read(tmp_path / "a.ply") == pytest.approx(cloud, abs=1e-5)
    PointCloud().formats()["ply"](tmp_path / "b.ply", cloud[:, :3])
    with pytest.raises(ValueError, match="no normals"):
        kind.read(tmp_path / "b.ply")
