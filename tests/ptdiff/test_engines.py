"""Sampling, evaluation and import have the same bits on one process, two processes and a local Ray, with kills."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptdiff.evaluation import Evaluation, evaluate
from ptdiff.machine.engines import Engine, Processes, Ray
from ptdiff.model import Model, load
from ptdiff.model.sharded import ShardedModel, remove, sample_in_shards
from ptdiff.training.train import train
from ptdiff_datasets.clouds import shards
from ptdiff_datasets.clouds.importing import import_data

sys.path.insert(0, str(Path(__file__).parent))  # for engine_work, which workers import too

from engine_work import DeadlyEngine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

CLOUDS = {"points": 32, "dense": 128, "shapes_per_class": 800, "classes": ["chair", "table", "car", "sofa", "lamp"]}
SETTINGS: dict[str, Any] = {"steps": 2, "solver": "euler"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A run of small clouds after a few steps."""
    path = tmp_path_factory.mktemp("run") / "clouds"
    train("pointcloud", steps=3, options=CLOUDS, out=path)
    return load(path)


@pytest.fixture(params=["processes", "ray"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeadlyEngine:
    """Two workers, killed twice on the way."""
    folder = tmp_path / "deaths"
    folder.mkdir()
    if request.param == "ray":
        pytest.importorskip("ray", reason="the package ray is not installed")
        monkeypatch.setenv("PYTHONPATH", ":".join([str(Path(__file__).parent), *sys.path]))
    workers: Engine = Ray(2) if request.param == "ray" else Processes(2)
    return DeadlyEngine(workers, str(folder))


def killed_twice(engine: DeadlyEngine) -> bool:
    return len(list(Path(engine.folder).iterdir())) == 2


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_2000_samples(model: Model, engine: DeadlyEngine) -> None:
    samples, folder = sample_in_shards(model, 2000, engine, batch=100, **SETTINGS)
    remove(folder)
    assert killed_twice(engine)
    assert torch.equal(samples.samples, sample_in_shards(model, 2000, Processes(1), batch=100, **SETTINGS)[0].samples)
    remove(folder)


def evaluated(model: Model, n: int, engine: Engine | None) -> Evaluation:
    """An evaluation that finds nothing of an earlier one."""
    shutil.rmtree(model.run.outputs / "distances", ignore_errors=True)
    if engine is None:
        return model.evaluate(n=n, batch=50, **SETTINGS)
    sharded = ShardedModel(model, engine)
    found = evaluate(sharded, n=n, engine=engine, batch=50, **SETTINGS)
    assert list((model.run.outputs / "samples").glob("shards-*/*.npz"))
    sharded.remove_shards()
    # neither shards nor tiles are left
    assert not list((model.run.outputs / "samples").glob("*"))
    assert all(path.is_file() for path in (model.run.outputs / "distances").iterdir())
    return found


def same(one: Evaluation, other: Evaluation) -> bool:
    return one.scores == other.scores and one.hashes == other.hashes and one.facts == other.facts


def test_an_evaluation_by_an_engine_is_that_of_one_process(model: Model) -> None:
    assert same(evaluated(model, 24, Processes(1)), evaluated(model, 24, None))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_evaluation_of_400(model: Model, engine: DeadlyEngine) -> None:
    found = evaluated(model, 400, engine)
    assert killed_twice(engine) and found.n == 400
    assert same(found, evaluated(model, 400, Processes(1)))


def write_meshes(folder: Path, count: int) -> None:
    """Pyramids of random sides in five classes, some of them broken and some of them copies."""
    random = np.random.default_rng(0)
    faces = "f 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n"
    for i in range(count):
        corners = random.uniform(0.5, 2, (4, 3)) if i % 50 else np.eye(4)[:, :3]
        text = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in corners) + faces
        path = folder / f"class{i % 5}" / f"{i:05d}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if i % 100 != 33 else text + "f 1 2 9\n")


def check_import(engine: Engine, count: int, folder: Path) -> None:
    write_meshes(folder / "meshes", count)
    plain = import_data(folder / "meshes", folder / "plain", points=64)
    import_data(folder / "meshes", folder / "one", points=64, engine=Processes(1))
    import_data(folder / "meshes", folder / "two", points=64, engine=engine)
    assert len(plain.summary.skipped) == count // 50 - 1 + len(range(33, count, 100))
    assert files(folder / "one") == files(folder / "two") == files(folder / "plain")


def test_an_import_by_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deaths").mkdir()
    monkeypatch.setattr(shards, "MOST", 40)
    engine = DeadlyEngine(Processes(2), str(tmp_path / "deaths"))
    check_import(engine, 200, tmp_path)
    assert killed_twice(engine)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_import_of_5000_meshes(engine: DeadlyEngine, tmp_path: Path) -> None:
    check_import(engine, 5000, tmp_path)
    assert killed_twice(engine)
