"""What can be done with a trained run and with clouds: mesh, edit, interpolate, complete."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy.spatial import KDTree

from ptdiff.denoiser.oracle import Mixture
from ptdiff.inverse import METHODS
from ptdiff.process import VPCosine
from ptdiff.sampling.editing import complete
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers import SOLVERS
from ptdiff_datasets.shapes import make_shape
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.meshing import methods

Call = Callable[..., CompletedProcess[str]]

TINY = [
    "-o",
    "points=48",
    "-o",
    "dense=192",
    "-o",
    "shapes_per_class=10",
    "-o",
    "classes=[chair,table]",
    "-o",
    "width=16",
]
SMALL = [
    "-o",
    "layers=1",
    "-o",
    "inducers=4",
    "-o",
    "heads=2",
    "--set",
    "training.batch=8",
    "--set",
    "training.shards=1",
]


def trained(ptdiff: Call, path: Path, *options: object) -> Path:
    done = ptdiff("train", "-m", "pointcloud", "--steps", 12, "--out", path, *TINY, *SMALL, *options)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def clouds(ptdiff: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of point clouds, hardly trained."""
    return trained(ptdiff, tmp_path_factory.mktemp("clouds") / "run")


@pytest.fixture(scope="module")
def drawn(ptdiff: Call, clouds: Path) -> Path:
    """Four samples of it."""
    path = clouds / "samples" / "four.npz"
    done = ptdiff("sample", clouds, "-n", 4, "--seed", 3, "--steps", 6, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def stored(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        return file["samples"], file["label"]


def ok(done: CompletedProcess[str]) -> CompletedProcess[str]:
    assert done.returncode == 0, done.stderr
    return done


def same_sets(one: np.ndarray, two: np.ndarray) -> float:
    """How far the farthest point of one set is from the other, both ways."""
    return max(float(KDTree(a).query(b)[0].max()) for a, b in ((one, two), (two, one)))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables and a cloud of three points, as 'ptdiff sample' would write them."""
    path = tmp_path_factory.mktemp("shapes") / "tables.npz"
    found = np.stack([make_shape("table", i).points(1024) for i in (3, 5)])
    np.savez(path, samples=found, label=np.zeros(2, np.int64), classes=np.array(["a table"]), modality="pointcloud")
    return path


@pytest.mark.parametrize("kind", ["glb", "obj", "stl", "ply"])
def test_meshes_are_files_that_other_programs_read(ptdiff: Call, shapes: Path, tmp_path: Path, kind: str) -> None:
    done = ok(ptdiff("mesh", shapes, "-n", 1, "--out", tmp_path, "--format", kind, "--json"))
    result = json.loads(done.stdout)
    assert result["n"] == 1 and result["method"] == next(iter(methods())) and result["watertight"] == 1
    (file,) = tmp_path.iterdir()
    assert file.name == f"0000-a-table.{kind}"
    read = trimesh.load(file, force="mesh")
    assert read.is_watertight
    assert len(read.faces) == result["meshes"][0]["faces"]
    assert result["meshes"][0]["components"] >= 1


def test_the_share_that_is_closed_is_printed(ptdiff: Call, shapes: Path, tmp_path: Path) -> None:
    done = ok(ptdiff("mesh", shapes, "--out", tmp_path))
    method, text = next(iter(methods().items()))
    assert f"watertight: 2 of 2 ({method})" in done.stdout
    # what was chosen, and why where it is not Poisson's
    assert f"{method}: {text}" in done.stderr
    done = ok(ptdiff("mesh", shapes, "--out", tmp_path / "b", "--method", "alpha"))
    assert "of 2 (alpha)" in done.stdout and "alpha:" not in done.stderr


def test_a_cloud_file_and_a_run_become_meshes(ptdiff: Call, clouds: Path, tmp_path: Path) -> None:
    PointCloud().formats()["ply"](tmp_path / "a.ply", make_shape("sofa", 0).points(600))
    assert "watertight: 1 of 1" in ok(ptdiff("mesh", tmp_path / "a.ply")).stdout
    assert len(list((tmp_path / "a-meshes").glob("*.glb"))) == 1
    # hardly trained: noise has a surface of some kind, and it is reported whatever it is like
    done = ptdiff("mesh", clouds, "-n", 1, "--points", 300, "--out", tmp_path / "run")
    assert "of 1 (" in done.stdout or "no surface" in done.stderr


def test_clouds_without_a_surface_end_with_one_line(ptdiff: Call, tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", samples=np.eye(3, dtype=np.float32)[None])
    done = ptdiff("mesh", tmp_path / "few.npz")
    assert done.returncode == 3
    assert "3 distinct points" in done.stderr and "Traceback" not in done.stderr


def test_edits_of_strength_zero_are_the_samples_and_of_one_are_new(
    ptdiff: Call, clouds: Path, drawn: Path, tmp_path: Path
) -> None:
    before, labels = stored(drawn)
    out = tmp_path / "edit.npz"
    ok(ptdiff("edit", clouds, drawn, "--strength", 0, "--steps", 6, "--out", out))
    assert stored(out)[0] == pytest.approx(before, abs=1e-5)
    assert np.array_equal(stored(out)[1], labels)
    ok(ptdiff("edit", clouds, drawn, "--strength", 1, "--steps", 6, "--seed", 9, "--out", out))
    ok(ptdiff("sample", clouds, "-n", 4, "--seed", 9, "--steps", 6, "--out", tmp_path / "new.npz"))
    assert stored(out)[0] == pytest.approx(stored(tmp_path / "new.npz")[0], abs=1e-5)
    moved = []
    for strength in (0.1, 0.4, 0.8):
        ok(ptdiff("edit", clouds, drawn, "--strength", strength, "--solver", "ddpm", "--steps", 20, "--out", out))
        moved.append(float(np.abs(stored(out)[0] - before).mean()))
    assert 0 < moved[0] < moved[1] < moved[2]


def test_edits_take_another_class_and_make_variants(ptdiff: Call, clouds: Path, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "edit.npz"
    ok(ptdiff("edit", clouds, drawn, "-n", 2, "--variants", 3, "--label", "table", "--steps", 4, "--out", out))
    samples, labels = stored(out)
    assert samples.shape == (6, 48, 3) and (labels == 1).all()
    assert not np.allclose(samples[0], samples[1])


def test_a_way_between_two_samples_has_them_for_its_ends(
    ptdiff: Call, clouds: Path, drawn: Path, tmp_path: Path
) -> None:
    out = tmp_path / "way.npz"
    ok(ptdiff("interpolate", clouds, "--from", 0, "--to", 2, "--seed", 3, "--steps", 6, "--frames", 5, "--out", out))
    way, labels = stored(out)
    before, _ = stored(drawn)
    assert way.shape == (5, 48, 3) and (labels == 0).all()
    assert way[0] == pytest.approx(before[0], abs=1e-5)
    assert same_sets(way[-1], before[2]) < 1e-3
    # matched points go shorter ways than those of the same number
    assert np.square(way[-1] - way[0]).mean() < 0.7 * np.square(before[2] - before[0]).mean()
    ok(ptdiff("render", out, "--out", tmp_path / "way.png"))


def test_a_way_between_two_files_comes_back_to_them(ptdiff: Call, clouds: Path, drawn: Path, tmp_path: Path) -> None:
    samples, _ = stored(drawn)
    files = [tmp_path / "a.ply", tmp_path / "b.ply"]
    for file, cloud in zip(files, samples[[0, 2]], strict=True):
        PointCloud().formats()["ply"](file, cloud)
    done = ok(ptdiff("interpolate", clouds, *files, "--frames", 3, "--out", tmp_path / "way.npz"))
    way, _ = stored(tmp_path / "way.npz")
    scale = float(samples.std())
    assert same_sets(way[0], samples[0]) < 0.02 * scale
    assert same_sets(way[-1], samples[2]) < 0.02 * scale
    gaps = done.stderr.split("differ from the files by ")[1].split(" (rms")[0].split(" and ")
    assert all(float(gap) < 0.01 for gap in gaps)


def test_solvers_with_noise_have_no_way_back(ptdiff: Call, clouds: Path) -> None:
    done = ptdiff("interpolate", clouds, "--solver", "ddpm")
    assert done.returncode == 2 and "adds noise" in done.stderr
    assert "give two files or none" in ptdiff("interpolate", clouds, "one.ply").stderr


@pytest.mark.parametrize("method", [None, "mmps", "pigdm"])
def test_completions_hold_the_given_points_in_world_units(
    ptdiff: Call, clouds: Path, tmp_path: Path, method: str | None
) -> None:
    part = make_shape("chair", 4).points(30)
    PointCloud().formats()["ply"](tmp_path / "part.ply", part)
    out = tmp_path / "whole.npz"
    options = ["-n", 2, "--points", 80, "--steps", 4, "--out", out, *(["--method", method] if method else [])]
    done = ok(ptdiff("complete", clouds, tmp_path / "part.ply", *options))
    assert f"method: {method or 'replacement'}" in done.stderr
    whole, _ = stored(out)
    assert whole.shape == (2, 80, 3)
    for cloud in whole:
        assert cloud[:30] == pytest.approx(part, abs=1e-5)
    assert not np.allclose(whole[0], whole[1])


def test_of_more_points_than_fit_some_are_held(ptdiff: Call, clouds: Path, tmp_path: Path) -> None:
    part = make_shape("chair", 4).points(300)
    PointCloud().formats()["ply"](tmp_path / "part.ply", part)
    options = ["-n", 1, "--points", 60, "--steps", 3, "--method", "replacement", "--out", tmp_path / "whole.npz"]
    assert (
        "keeping 30 of 300 given points fixed among 60"
        in ok(ptdiff("complete", clouds, tmp_path / "part.ply", *options)).stderr
    )
    whole, _ = stored(tmp_path / "whole.npz")
    gaps = KDTree(part).query(whole[0])[0]
    assert gaps[:30].max() < 1e-5 < gaps[30:].mean()


def test_a_model_made_for_completion_is_given_the_part(ptdiff: Call, tmp_path: Path) -> None:
    run = trained(ptdiff, tmp_path / "run", "-o", "task=complete", "-o", "observed=20")
    clouds = [make_shape("chair", i).points(25) for i in (1, 2)]
    whole = []
    for i, part in enumerate(clouds):
        PointCloud().formats()["ply"](tmp_path / f"{i}.ply", part)
        done = ok(ptdiff("complete", run, tmp_path / f"{i}.ply", "-n", 2, "--steps", 4, "--out", tmp_path / f"{i}.npz"))
        assert "method: conditioning" in done.stderr
        whole.append(stored(tmp_path / f"{i}.npz")[0])
        assert whole[-1].shape == (2, 48, 3)
        # 24 of 48 points at most are held
        assert KDTree(part).query(whole[-1][0, :24])[0].max() < 1e-5


def chamfer(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.mean(KDTree(one).query(two)[0] ** 2) + np.mean(KDTree(two).query(one)[0] ** 2))


@pytest.mark.parametrize("method", ["replacement", "mmps", "pigdm"])
def test_completed_shapes_are_nearer_to_the_truth_than_their_parts(method: str) -> None:
    # the exact denoiser of twelve shapes; of one of them the lower points are known
    truth = [make_shape(name, i).points(128) for name in ("chair", "table", "airplane") for i in range(4)]
    truth = [cloud[np.argsort(cloud[:, 1])] for cloud in truth]
    scale = float(np.std(truth))
    means = torch.from_numpy(np.stack(truth)) / scale
    oracle = Mixture(means, torch.full((12,), 0.05), torch.full((12,), 1 / 12))
    plan = Plan(VPCosine(), SOLVERS["ddpm"](), steps=25)
    for target in (1, 5, 9):
        part = means[target, :64]
        found = complete(oracle, plan, METHODS[method](), part, 128, torch.arange(4), {}).numpy() * scale
        assert np.allclose(found[:, :64], part.numpy() * scale)
        alone = chamfer(part.numpy() * scale, truth[target])
        completed = np.median([chamfer(cloud, truth[target]) for cloud in found])
        assert completed < alone / 4


def test_clouds_get_more_points_and_keep_those_they_had(ptdiff: Call, clouds: Path, tmp_path: Path) -> None:
    few = make_shape("chair", 4).points(40)
    PointCloud().formats()["ply"](tmp_path / "few.ply", few)
    for options, how in (([], "method: replacement"), (["--method", "mmps"], "method: mmps")):
        done = ok(ptdiff("upsample", clouds, tmp_path / "few.ply", "--points", 90, "--steps", 3, "-n", 2, *options))
        assert how in done.stderr
        (many,) = [stored(path)[0] for path in (clouds / "samples").glob("upsample-few-*.npz")]
        assert many.shape == (2, 90, 3)
        assert many[:, :40] == pytest.approx(np.stack([few] * 2), abs=1e-5)
    assert "already has 40 points" in ptdiff("upsample", clouds, tmp_path / "few.ply", "--points", 40).stderr


@pytest.fixture(scope="module")
def boxes(ptdiff: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made for upsampling, on meshes of boxes that are some three hundred units large and far off."""
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "mine").mkdir()
    for i in range(4):
        box = trimesh.creation.box((300, 100 + 50 * i, 50))
        box.apply_translation((1000, 0, 0)).export(folder / "mine" / f"{i}.obj")
    options = ["-o", "points=48", "-o", "width=16", "-o", "task=upsample", "-o", "observed=20", *SMALL]
    data = ["--data", folder / "mine", "--steps", 12, "--out", folder / "run"]
    done = ptdiff("train", "-m", "pointcloud", *options, *data)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_mesh_of_the_user_is_used_in_its_own_units(ptdiff: Call, boxes: Path, tmp_path: Path) -> None:
    mesh, run = boxes / "mine" / "1.obj", boxes / "run"
    done = ok(ptdiff("upsample", run, mesh, "--points", 80, "--steps", 3, "--out", tmp_path / "many.npz"))
    assert "method: conditioning" in done.stderr
    (many,) = stored(tmp_path / "many.npz")[0]
    # as many points as in training, on the surface of the box where it is
    inside = np.abs(many[:48] - (1000, 0, 0)) / (150, 75, 25)
    assert inside.max(axis=1) == pytest.approx(np.ones(48), abs=1e-3)
    ok(ptdiff("edit", run, mesh, "--strength", 0, "--steps", 4, "--out", tmp_path / "same.npz"))
    (same,) = stored(tmp_path / "same.npz")[0]
    assert (np.abs(same - (1000, 0, 0)) / (150, 75, 25)).max(axis=1) == pytest.approx(np.ones(48), abs=1e-3)


def test_a_part_in_units_of_its_own_needs_the_frame_of_the_whole(ptdiff: Call, boxes: Path, tmp_path: Path) -> None:
    part = np.random.default_rng(0).random((20, 3)).astype(np.float32) * (100, 100, 50) + (900, 0, 0)
    PointCloud().formats()["ply"](tmp_path / "part.ply", part.astype(np.float32))
    done = ptdiff("complete", boxes / "run", tmp_path / "part.ply")
    assert done.returncode == 2 and "--frame x,y,z,size" in done.stderr
    options = ["--steps", 3, "-n", 1, "--out", tmp_path / "whole.npz"]
    done = ok(ptdiff("complete", boxes / "run", tmp_path / "part.ply", "--frame", "1000,0,0,340", *options))
    (whole,) = stored(tmp_path / "whole.npz")[0]
    assert whole[:20] == pytest.approx(part, abs=0.01)
    assert "four numbers" in ptdiff("complete", boxes / "run", tmp_path / "part.ply", "--frame", "1,2").stderr


def test_samples_become_a_page_in_colors_of_choice(ptdiff: Call, clouds: Path, drawn: Path, tmp_path: Path) -> None:
    ok(ptdiff("render", drawn, "--out", tmp_path / "a.html", "--color", "label"))
    ok(ptdiff("render", drawn, "--out", tmp_path / "b.html"))
    one, two = ((tmp_path / name).read_text() for name in ("a.html", "b.html"))
    assert "4 clouds of 48 points" in one and one != two and "chair" in one
    done = ptdiff("render", drawn, "--color", "rgb")
    assert done.returncode == 2 and "position, normal" in done.stderr
    done = ptdiff("render", drawn, "--steps", 3)
    assert done.returncode == 2 and "--steps: for runs only" in done.stderr
    PointCloud().formats()["ply"](tmp_path / "one.ply", make_shape("chair", 4).points(40))
    ok(ptdiff("render", tmp_path / "one.ply", "--out", tmp_path / "one.html", "--color", "normal"))


def test_a_run_is_drawn_as_asked_for_with_its_states_on_the_way(ptdiff: Call, clouds: Path, tmp_path: Path) -> None:
    way = ["--steps", 2, "--solver", "ddim", "--points", 20, "--seed", 5, "--weights", "raw", "-n", 1]
    ok(ptdiff("render", clouds, "--out", tmp_path / "way.gif", *way))
    with Image.open(tmp_path / "way.gif") as animation:
        # two steps, one more for the start, and the end for a second
        assert animation.n_frames >= 3 and animation.info["duration"]
    ok(ptdiff("render", clouds, "--out", tmp_path / "still.html", *way))
    assert "1 cloud of 20 points" in (tmp_path / "still.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["complete", "{run}", "{nothing}"], 3, "does not exist"),
        (["edit", "{run}", "{planes}"], 3, "samples have the shape (5, 2)"),
        (["complete", "{moons}", "{planes}"], 2, "only sets of points"),
        (["complete", "{run}", "{drawn}", "--method", "mmpz"], 2, "did you mean 'mmps'?"),
        (["mesh", "{drawn}", "--out", "m.glb"], 2, "must be a folder"),
        (["mesh", "{drawn}", "--format", "gltf"], 2, "glb"),
        (["mesh", "{drawn}", "--method", "poison"], 2, "did you mean 'poisson'?"),
        (["mesh", "{planar}"], 1, "cannot turn its samples"),
        (["mesh", "{moons}"], 1, "cannot turn its samples"),
    ],
)
def test_a_mistake_is_one_line(
    ptdiff: Call, clouds: Path, run: Path, drawn: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    np.savez(tmp_path / "planes.npz", samples=np.zeros((2, 5, 2), np.float32))
    np.savez(tmp_path / "planar.npz", samples=np.zeros((2, 2), np.float32), modality="points2d")
    places = {"run": clouds, "moons": run, "drawn": drawn, "nothing": tmp_path / "nothing.ply"}
    places |= {name: tmp_path / f"{name}.npz" for name in ("planes", "planar")}
    done = ptdiff(*(argument.format(**places) for argument in arguments))
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
