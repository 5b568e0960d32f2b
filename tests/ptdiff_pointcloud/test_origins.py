"""Scans in map coordinates keep their millimeters from file to file, whatever the normalization and the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import trimesh

from ptdiff.model import Model, edits, load
from ptdiff.sampling.meshes import save_meshes
from ptdiff.sampling.samples import Samples
from ptdiff.training.train import train
from ptdiff_datasets.formats.catalog import read_cloud
from ptdiff_datasets.formats.ply import write_ply
from ptdiff_pointcloud import PointCloud

UTM = np.array([500_123.456, 4_649_876.543, 231.25])
"""Easting, northing and height of the middle of the scans, in meters."""
SIZE = 12.0
"""Their largest side, in meters."""
MILLIMETER = 1e-3

NORMALIZE = ["box", "per-shape", "global", "none"]
FORMATS = ["ply", "las", "xyz", "pcd", "npz"]
Points = npt.NDArray[np.float64]


def scan(number: int, points: int = 400) -> Points:
    """The surface of a box in map coordinates."""
    random = np.random.default_rng(number)
    mesh = trimesh.creation.box(extents=(SIZE, 4 + number % 3, 3))
    found, _ = trimesh.sample.sample_surface(mesh, points, seed=int(random.integers(2**31)))
    return np.asarray(found, np.float64) + UTM + random.uniform(-2, 2, 3)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scans in two formats."""
    pytest.importorskip("laspy")
    from ptdiff_datasets.formats.las import write_las

    folder = tmp_path_factory.mktemp("utm")
    for number in range(24):
        if number % 2:
            write_ply(folder / f"{number:02d}.ply", scan(number))
        else:
            write_las(folder / f"{number:02d}.las", scan(number))
    return folder


@pytest.fixture(scope="module")
def store(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, imported."""
    target = tmp_path_factory.mktemp("store") / "utm"
    PointCloud().import_data(scans, target, points=400, replace=False)
    return target


@pytest.fixture(scope="module", params=NORMALIZE)
def model(request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A run after a few steps."""
    options = {"data": str(store), "normalize": request.param, "points": 64, "dense": 256, "width": 16, "layers": 1}
    out = tmp_path_factory.mktemp("run") / request.param
    train("pointcloud", steps=30, options=options, out=out, training={"batch": 8})
    return load(out)


def world_kept(model: Model) -> bool:
    """True if the run generates shapes in map coordinates."""
    return model.run.config.options["normalize"] in ("global", "none")


def nearest(found: npt.ArrayLike, among: Points) -> npt.NDArray[np.float64]:
    """The distance of each point to the nearest of others, in float64."""
    from scipy.spatial import KDTree

    distances: npt.NDArray[np.float64] = KDTree(among).query(np.asarray(found, np.float64))[0]
    return distances


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A scan that is edited, as doubles in a file."""
    path = tmp_path / "given.ply"
    write_ply(path, scan(99, 64))
    return path


def test_training_sees_every_point_of_a_scan(model: Model) -> None:
    kind = model.modality
    train_split = kind.dataset().train
    assert train_split is not None
    x, _ = train_split.batch(torch.arange(8), 0)
    # float32 at five million meters has steps of half a meter: all points would have a few northings
    for cloud in x:
        assert len(torch.unique(cloud[:, 1])) > 30
    assert float(x.abs().max()) < 100


def test_an_origin_is_kept_where_shapes_stay_in_place(model: Model) -> None:
    origin = load(model.run.path).data.origin
    if world_kept(model):
        assert np.abs(np.array(origin) - UTM).max() < SIZE
        assert np.array_equal(origin, np.rint(origin))
    else:
        assert origin == ()


@pytest.mark.parametrize("suffix", FORMATS)
def test_samples_lie_where_the_scans_do(model: Model, tmp_path: Path, suffix: str) -> None:
    samples = model.sample(2, points=64, steps=3)
    path = samples.save(tmp_path / f"out.{suffix}") if suffix == "npz" else samples.save(tmp_path / "out", suffix)
    found = Samples.read(path).numpy()[0] if suffix == "npz" else read_cloud(sorted(path.iterdir())[0]).points
    right = samples.numpy()[0]
    assert np.abs(found - right).max() < MILLIMETER
    if world_kept(model):
        assert right.dtype == np.float64
        # a run of a few steps makes blobs, but around the scans
        assert np.abs(right.mean(axis=0) - UTM).max() < 5 * SIZE
        assert len(np.unique(found[:, 1])) > 30


@pytest.mark.parametrize("suffix", ["ply", "las", "xyz"])
def test_edit_at_strength_zero_returns_the_file_and_tells_the_displacement(
    model: Model, given: Path, tmp_path: Path, suffix: str
) -> None:
    said: list[str] = []
    made = edits.edit(model, given, 0.0, steps=3, say=said.append)
    folder = made.save(tmp_path / "out", suffix)
    found = read_cloud(next(folder.iterdir())).points
    assert np.abs(found - scan(99, 64)).max() < MILLIMETER
    (line,) = (line for line in said if line.startswith("moved by"))
    told = float(line.split()[2])
    true = float(np.sqrt(np.square(made.numpy()[0] - scan(99, 64)).mean()))
    assert told < MILLIMETER and abs(told - true) < 2e-5


@pytest.mark.parametrize("suffix", ["ply", "las", "xyz"])
def test_upsampling_keeps_the_given_points(model: Model, given: Path, tmp_path: Path, suffix: str) -> None:
    folder = edits.upsample(model, given, 96, steps=3).save(tmp_path / "out", suffix)
    found = read_cloud(next(folder.iterdir())).points
    assert np.abs(found[:64] - scan(99, 64)).max() < MILLIMETER


@pytest.mark.parametrize("suffix", ["ply", "las", "xyz"])
def test_completion_keeps_the_given_points(model: Model, given: Path, tmp_path: Path, suffix: str) -> None:
    whole = scan(99, 64)
    low, high = whole.min(axis=0), whole.max(axis=0)
    center, size = (low + high) / 2, float(np.linalg.norm(high - low))
    frame = None if world_kept(model) else (tuple(center.tolist()), size)
    if frame is not None:
        with pytest.raises(ValueError, match=r"coordinates up to 4\.65e\+06"):
            edits.complete(model, given, n=1, points=96, steps=3)
    made = edits.complete(model, given, n=1, points=96, steps=3, held=40, frame=frame)
    found = read_cloud(next(made.save(tmp_path / "out", suffix).iterdir())).points
    assert nearest(found[:40], whole).max() < MILLIMETER


def test_interpolation_begins_and_ends_at_the_files(model: Model, given: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.xyz"
    from ptdiff_datasets.formats.text import write_xyz

    write_xyz(other, scan(98, 64))
    made = edits.interpolate(model, given, other, 3, steps=30, spacing="log-snr").numpy()
    if world_kept(model):
        gap = made[0] - scan(99, 64)
        # as far as the flow finds its way back in a network of a few steps
        assert float(np.sqrt(np.square(gap).mean())) < 0.2 * SIZE
        assert np.abs(made.mean(axis=(0, 1)) - UTM).max() < SIZE


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply"])
def test_meshes_lie_where_the_clouds_do(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "cloud.ply"
    write_ply(path, scan(7, 600))
    stored = Samples.read(path, PointCloud(points=600)).stored
    (row,) = save_meshes(stored, PointCloud(), tmp_path / "meshes", suffix, "alpha", name="cloud")
    vertices = trimesh.load(row["file"], process=False, force="mesh").vertices
    surface = PointCloud().mesh(stored.samples[0], "alpha")
    right = surface.triangles.vertices + np.array(stored.origin)  # type: ignore[attr-defined]
    assert nearest(vertices, right).max() < 1e-5
    # the method itself moves vertices apart where sheets touch
    assert nearest(vertices, scan(7, 600)).max() < 2 * MILLIMETER


def test_a_reference_elsewhere_is_moved_before_it_is_compared(scans: Path, store: Path, tmp_path: Path) -> None:
    options = {"data": str(store), "normalize": "none", "points": 64, "dense": 256, "width": 16, "layers": 1}
    model = train("pointcloud", steps=3, options=options, out=tmp_path / "run", training={"batch": 8})
    # the same scans, and another one that moves the middle by a kilometer
    wider = tmp_path / "wider"
    wider.mkdir()
    for number in range(24):
        write_ply(wider / f"{number:02d}.ply", scan(number) + (0.0 if number else 60.0))
    held = PointCloud(data=str(wider), normalize="none", points=64, dense=256).dataset()
    assert held.origin and held.origin != model.data.origin
    assert held.val is not None
    scores = model.evaluate(n=2, reference=str(wider), steps=2).scores
    assert "1nna_cd" in scores


def test_plain_arrays_in_map_coordinates_are_taken(store: Path, tmp_path: Path) -> None:
    options = {"data": str(store), "normalize": "none", "points": 64, "dense": 256, "width": 16, "layers": 1}
    model = train("pointcloud", steps=2, options=options, out=tmp_path / "run", training={"batch": 8})
    x = scan(3, 64)[None]
    assert np.abs(edits.edit(model, x, 0.0, steps=2).numpy() - x).max() < MILLIMETER
    assert np.abs(edits.edit(model, torch.from_numpy(x), 0.0, steps=2).numpy() - x).max() < MILLIMETER


def test_the_axis_that_points_up_turns_the_origin_too(scans: Path) -> None:
    data = PointCloud(data=str(scans), normalize="none", up="z", points=64, dense=256).dataset()
    plain = PointCloud(data=str(scans), normalize="none", points=64, dense=256).dataset()
    x, y, z = plain.origin
    assert data.origin == (x, z, -y)


@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize("up", ["x", "z"])
def test_files_keep_their_axes_whatever_points_up(
    scans: Path, given: Path, tmp_path: Path, up: str, normalize: str
) -> None:
    options = {
        "data": str(scans),
        "normalize": normalize,
        "up": up,
        "points": 64,
        "dense": 256,
        "width": 16,
        "layers": 1,
    }
    model = train("pointcloud", steps=2, options=options, out=tmp_path / "run", training={"batch": 8})
    folder = edits.edit(model, given, 0.0, steps=2).save(tmp_path / "out", "las")
    assert np.abs(read_cloud(next(folder.iterdir())).points - scan(99, 64)).max() < MILLIMETER
    # the model sees the given cloud as it saw those of the data: the axis of the files that points up is +Y
    inside = Samples.read(given, model.modality).numpy()[0]
    axis = "xyz".index(up)
    assert np.abs(inside[:, 1] - scan(99, 64)[:, axis]).max() < MILLIMETER
    (row,) = save_meshes(
        Samples.read(given, model.modality).stored, model.modality, tmp_path / "meshes", "ply", "alpha", name="cloud"
    )
    vertices = trimesh.load(row["file"], process=False, force="mesh").vertices
    assert nearest(vertices, scan(99, 64)).max() < 2 * MILLIMETER


def test_colors_have_no_origin(tmp_path: Path) -> None:
    for number in range(12):
        cloud = scan(number)
        write_ply(tmp_path / f"{number}.ply", cloud, None, np.full((len(cloud), 3), 7 * number, np.uint8))
    kind = PointCloud(data=str(tmp_path), normalize="global", points=64, dense=256, channels=("xyz", "colors"))
    data = kind.dataset()
    assert data.origin[3:] == (0.0, 0.0, 0.0) and data.origin[1] > 4e6
    back = replace(Samples.read(tmp_path / "3.ply", kind), modality=kind)
    assert back.numpy().shape[-1] == 6
    assert np.abs(back.numpy()[0, :, :3] - scan(3)).max() < MILLIMETER
    folder = back.save(tmp_path / "out", "ply")
    found = read_cloud(next(folder.iterdir()))
    assert np.abs(found.points - scan(3)).max() < MILLIMETER
    assert found.colors is not None and np.array_equal(found.colors, np.full((400, 3), 21))


def test_shapes_near_zero_have_no_origin_and_float32_files(tmp_path: Path) -> None:
    for number in range(6):
        write_ply(tmp_path / f"{number}.ply", (scan(number) - UTM).astype(np.float32))
    data = PointCloud(data=str(tmp_path), normalize="none").dataset()
    assert data.origin == ()
    samples = Samples.read(tmp_path / "0.ply", PointCloud())
    assert samples.stored.origin == () and samples.numpy().dtype == np.float32
    text = samples.save(tmp_path / "out", "ply").joinpath("0000-sample.ply").read_bytes()
    assert b"property float x" in text and b"double" not in text
