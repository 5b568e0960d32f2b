"""Scans far from zero keep their millimeters from file to file, in every command and every normalization.

The same scans near zero are the oracle: whatever is made of the far ones must be the same thing, moved.
"""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import trimesh

from ptdiff.sampling.samples import Samples
from ptdiff_datasets.clouds.reading import read_one
from ptdiff_datasets.formats.catalog import WRITERS
from ptdiff_datasets.formats.meshes import read_mesh

Call = Callable[..., CompletedProcess[str]]

FIRST = np.array([-20.0, 0.0, 0.0])
UTM = np.array([500_000.0, 4_649_776.0, 120.0])
KINDS = ("box", "per-shape", "global", "none")
MILLIMETER = 1e-3
SMALL = ["-o", "points=48", "-o", "dense=192", "-o", "width=16", "-o", "layers=1", "-o", "inducers=4", "-o", "heads=2"]
TRAINING = ["--steps", 4, "--set", "training.batch=4", "--set", "training.shards=1", "--set", "training.precision='32'"]


def scans() -> list[np.ndarray]:
    """Three scans (96, 3), 12 m wide, in whole millimeters, apart from each other."""
    random = np.random.default_rng(0)
    made = [random.uniform([-6, -6, -1.5], [6, 6, 1.5], (96, 3)).round(3) + FIRST * (1 - i) for i in range(3)]
    for i, scan in enumerate(made):  # corners that fix the box
        scan[:2] = np.array([[-6, -6, -1.5], [6, 6, 1.5]]) + FIRST * (1 - i)
    return made


@pytest.fixture(scope="module", params=KINDS)
def runs(ptdiff: Call, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Folders near and far, each with scans, a store of them, and a run on that store."""
    found = []
    for place, offset in (("near", np.zeros(3)), ("far", UTM)):
        root = tmp_path_factory.mktemp(f"{request.param}-{place}")
        (root / "scans").mkdir()
        for i, scan in enumerate(scans()):
            for suffix in (".xyz", ".ply", ".las"):
                target = root / ("scans" if suffix == ".xyz" else "") / f"scan{i}{suffix}"
                WRITERS[suffix](target, scan + offset, None, None)
        call(ptdiff, "data", "import", root / "scans", root / "store")
        call(ptdiff, "train", "-m", "pointcloud", "--data", root / "store", "-o", f"normalize={request.param}",
             "--out", root / "run", *SMALL, *TRAINING)  # fmt: skip
        found.append(root)
    return found[0], found[1]


def call(ptdiff: Call, *arguments: object) -> str:
    done = ptdiff(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def points(path: Path) -> np.ndarray:
    if path.suffix == ".npz":
        return Samples.read(path).numpy()
    return read_one(path, 10**6).points


@pytest.mark.parametrize("suffix", [".xyz", ".ply", ".las"])
def test_nothing_moves_at_strength_zero(ptdiff: Call, runs: tuple[Path, Path], suffix: str) -> None:
    far = runs[1]
    given = (far / "scans" if suffix == ".xyz" else far) / f"scan0{suffix}"
    out = far / f"edited{suffix}"
    said = call(ptdiff, "edit", far / "run", given, "--strength", 0, "-n", 1, "--out", out)
    np.testing.assert_allclose(points(out), scans()[0] + UTM, atol=MILLIMETER, rtol=0)
    moved = np.sqrt(np.square(points(out) - points(given)).mean())
    reported = float(said.split("moved by ")[1].split()[0])
    assert reported < MILLIMETER and abs(reported - moved) < 2e-6


@pytest.mark.parametrize("suffix", [".npz", ".xyz", ".ply", ".las"])
@pytest.mark.parametrize("command", ["edit", "upsample", "complete", "interpolate"])
def test_outputs_are_those_of_near_scans_moved(
    ptdiff: Call, runs: tuple[Path, Path], command: str, suffix: str
) -> None:
    outs = []
    for root, place in zip(runs, (np.zeros(3), UTM), strict=True):
        given, out = root / "scans" / "scan0.xyz", root / f"{command}{suffix}"
        options: list[object] = {
            "edit": [given, "--strength", 0.3],
            "upsample": [given, "--points", 120],
            "complete": [given, "--points", 120, "--frame", ",".join(map(str, [*(place + FIRST), 17.2]))],
            "interpolate": [given, root / "scans" / "scan2.xyz", "--steps", 8],
        }[command]
        many = ["--frames", 2] if command == "interpolate" else ["-n", 1]
        call(ptdiff, command, root / "run", *options, *many, "--out", out, "--solver", "ddim")
        first = out if out.exists() else out.with_stem(f"{out.stem}-0000")
        outs.append(points(first).reshape(-1, 3))
    assert len(np.unique(outs[1][:, 1])) > 80
    np.testing.assert_allclose(outs[1] - UTM, outs[0], atol=MILLIMETER, rtol=0)


def test_samples_lie_in_the_box_of_the_scans(ptdiff: Call, runs: tuple[Path, Path]) -> None:
    made = []
    for root in runs:
        call(ptdiff, "sample", root / "run", "-n", 2, "--steps", 4, "--out", root / "samples.npz")
        made.append(points(root / "samples.npz"))
    kept = any(kind in str(runs[1]) for kind in ("global", "none"))
    np.testing.assert_allclose(made[1] - (UTM if kept else 0), made[0], atol=MILLIMETER, rtol=0)
    if kept:  # as far as four steps of training go
        assert np.abs(made[1] - UTM).max() < 60


@pytest.mark.parametrize("format", ["glb", "obj", "ply", "stl"])
def test_meshes_lie_where_the_cloud_lies(ptdiff: Call, tmp_path: Path, format: str) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4).vertices * 6
    WRITERS[".ply"](tmp_path / "ball.ply", ball + UTM, None, None)
    said = call(
        ptdiff, "mesh", tmp_path / "ball.ply", "--format", format, "--method", "marching-cubes", "--out", tmp_path
    )
    assert ("most programs read .stl in 32 bits" in said) == (format == "stl")
    (found,) = tmp_path.glob(f"0000*.{format}")
    vertices = read_mesh(found).vertices
    assert np.abs(np.linalg.norm(vertices - UTM, axis=1) - 6).max() < 0.5
    assert len(np.unique(vertices[:, 1])) > 100
