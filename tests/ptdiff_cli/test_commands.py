"""The way of a user: train, sample, evaluate, render, resume, list."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image


def test_a_run_folder_holds_what_it_should(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["modality"] == "points2d"
    assert config["options"]["data"] == "moons"
    assert config["training"]["steps"] == 60
    assert config["sampling"]["solver"]["name"]
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()][-1] == 60
    assert "torch" in json.loads((run / "env.json").read_text())["packages"]
    files = {path.name for path in (run / "checkpoints" / "60").iterdir()}
    parts = {"model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"}
    assert files == parts | {"MANIFEST.sha256", "COMMITTED"}


def test_sampling_writes_samples_labels_and_classes(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "deep" / "s.npz"
    done = ptdiff("sample", run, "-n", 7, "--out", out, "--trajectory", "--steps", 4)
    assert done.returncode == 0, done.stderr
    with np.load(out, allow_pickle=False) as file:
        assert file["samples"].shape == (7, 2)
        assert file["samples"].dtype == np.float32
        assert file["label"].tolist() == [0, 1, 0, 1, 0, 1, 0]
        assert len(file["classes"]) == 2
        assert file["trajectory"].shape == (5, 7, 2)
        assert np.allclose(file["trajectory"][-1], file["samples"], atol=1e-5)
    assert [p.name for p in out.parent.iterdir()] == ["s.npz"]


def test_a_sample_does_not_depend_on_how_many_are_drawn(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name, extra in (("a", ["-n", 9, "--batch", 9]), ("b", ["-n", 5, "--batch", 2])):
        assert ptdiff("sample", run, "--out", tmp_path / f"{name}.npz", *extra, "--solver", "ddpm").returncode == 0
    a, b = (np.load(tmp_path / f"{name}.npz")["samples"] for name in "ab")
    # the network's matrix products round differently for batches of another size
    assert np.allclose(a[:5], b, atol=1e-4)


@pytest.mark.parametrize("process", ["flow", "vp", "vp-cosine", "ve"])
@pytest.mark.parametrize("solver", ["heun", "ddim", "ddpm", "dpm++2m", "euler", "midpoint", "rk4"])
def test_one_model_samples_under_every_process_with_every_solver(process: str, solver: str, run: Path) -> None:
    import torch

    from ptdiff.names import choose
    from ptdiff.process import PROCESSES
    from ptdiff.run import Run
    from ptdiff.sampling import Plan, draw
    from ptdiff.solvers import SOLVERS

    found = Run.open(run)
    plan = Plan(choose("process", PROCESSES, {"name": process}), SOLVERS[solver](), steps=10)
    x = draw(found.denoiser(), found.data, plan, torch.arange(64), {"label": torch.arange(64) % 2}, (2,))
    # sixty steps teach little, but the cloud is where the data is
    assert torch.isfinite(x).all()
    assert (x.mean(0) - torch.tensor(found.data.mean)).abs().max() < float(found.data.scale)  # type: ignore[arg-type]
    assert 0.3 < float(x.std()) / float(found.data.scale) < 2  # type: ignore[arg-type]


def test_one_file_a_sample(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("sample", run, "-n", 3, "--format", "csv", "--out", tmp_path / "csv")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "csv").glob("000?-*.csv"))) == 3


def test_evaluation_prints_json_with_intervals_and_floors(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", run, "-n", 20, "--json", "--steps", 5)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["n"] == 20
    assert result["protocol"]
    for score in result["metrics"].values():
        assert set(score) == {"value", "low", "high", "floor"}
        assert score["low"] <= score["high"]
    assert json.loads((run / "eval.json").read_text()) == result


def test_rendering_a_file_a_run_and_an_animation(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    npz = tmp_path / "s.npz"
    assert ptdiff("sample", run, "-n", 30, "--out", npz, "--trajectory", "--steps", 4).returncode == 0
    done = ptdiff("render", npz, "--out", tmp_path / "s.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "s.png") as picture:
        assert min(picture.size) > 100
    assert ptdiff("render", npz, "--out", tmp_path / "s.gif").returncode == 0
    with Image.open(tmp_path / "s.gif") as animation:
        assert animation.n_frames >= 5
    assert ptdiff("render", run).returncode == 0
    assert (run / "samples" / "samples.png").is_file()


def test_resuming_a_finished_run_does_nothing(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    before = (run / "metrics.jsonl").read_text()
    done = ptdiff("resume", run)
    assert done.returncode == 0, done.stderr
    assert (run / "metrics.jsonl").read_text() == before


def test_a_dry_run_writes_nothing(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "-m", "points2d", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("parameters", "GFLOP", "memory", "one step", "training"):
        assert word in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["modalities", "solvers", "processes", "doctor"])
def test_listings_speak_json(ptdiff, command: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(command, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) >= 3


def test_a_modality_lists_its_options(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("modalities", "pointcloud", "--json")
    options = {option["name"]: option for option in json.loads(done.stdout)["options"]}
    assert options["points"]["default"] == 512
    assert all(option["help"] for option in options.values())
