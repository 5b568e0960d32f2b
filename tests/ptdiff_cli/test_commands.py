"""The way of a user: train, sample, evaluate, render, resume, list."""

import json
import shutil
import subprocess
import sys
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

    from ptdiff.choices import choose
    from ptdiff.process import PROCESSES
    from ptdiff.run.folder import Run
    from ptdiff.sampling.sampler import Plan, draw
    from ptdiff.solvers import SOLVERS

    found = Run.open(run)
    plan = Plan(choose("process", PROCESSES, {"name": process}), SOLVERS[solver](), steps=10)
    x = draw(found.denoiser(), found.data, plan, torch.arange(64), {"label": torch.arange(64) % 2}, (2,))
    # sixty steps teach little, but the cloud is where the data is
    assert torch.isfinite(x).all()
    assert (x.mean(0) - torch.tensor(found.data.mean)).abs().max() < float(found.data.scale)  # type: ignore[arg-type]
    assert 0.3 < float(x.std()) / float(found.data.scale) < 2  # type: ignore[arg-type]


def test_samples_that_fit_a_table_are_one_file(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for out in ("all.csv", "folder"):
        done = ptdiff("sample", run, "-n", 3, "--steps", 4, "--format", "csv", "--out", tmp_path / out)
        assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["all.csv", "folder", "samples.csv"]
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0] == "x,y,class" and [line.split(",")[2] for line in lines[1:]] == ["upper", "lower", "upper"]
    assert (tmp_path / "folder" / "samples.csv").read_text().splitlines() == lines
    ptdiff("sample", run, "-n", 3, "--steps", 4, "--out", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as stored:
        found = np.array([line.split(",")[:2] for line in lines[1:]], dtype=np.float32)
        assert np.array_equal(found, stored["samples"])
    done = ptdiff("sample", run, "--format", "csv", "--out", tmp_path / "all.txt")
    assert (done.returncode, "must end in .csv" in done.stderr) == (2, True)
    # what is made of samples is written likewise
    done = ptdiff("edit", run, tmp_path / "all.npz", "--out", tmp_path / "edited.tsv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "edited.tsv").read_text().startswith("x\ty\tclass\n")
    assert len((tmp_path / "edited.tsv").read_text().splitlines()) == 4


def test_one_file_a_sample(ptdiff, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from ptdiff_points2d import Points2D

    monkeypatch.setattr(Points2D, "formats", lambda self: {"txt": np.savetxt})
    done = ptdiff("sample", run, "-n", 3, "--format", "txt", "--out", tmp_path / "txt")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "txt").glob("000?-*.txt"))) == 3
    done = ptdiff("sample", run, "-n", 3, "--out", tmp_path / "one.txt")
    assert (done.returncode, "must be a folder" in done.stderr) == (2, True)


def test_evaluation_prints_json_with_intervals_and_floors(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", run, "-n", 20, "--json", "--steps", 5)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["n"] == 20
    assert result["protocol"]
    for score in result["metrics"].values():
        assert set(score) == {"value", "low", "high", "floor"}
        assert score["low"] <= score["high"]
    assert json.loads((run / "eval" / f"{result['protocol']}-n20.json").read_text()) == result


def test_an_evaluation_of_few_samples_keeps_that_of_many_and_says_so(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    assert ptdiff("eval", run, "-n", 24, "--steps", 2).returncode == 0
    many = json.loads((run / "eval.json").read_text())
    done = ptdiff("eval", run, "-n", 5, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert "keeps an evaluation that ranks before this one" in " ".join(done.stderr.split())
    assert json.loads((run / "eval.json").read_text()) == many
    assert (run / "eval" / f"{many['protocol']}-n5.json").is_file()


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
    assert options["points"]["default"] == 256
    assert all(option["help"] for option in options.values())


def test_one_class_is_sampled_by_name_and_none_without_a_label(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    name = json.loads((run / "data.json").read_text())["classes"][1]
    for label, expected in ((name, [1, 1, 1]), ("1", [1, 1, 1]), ("none", [-1, -1, -1])):
        done = ptdiff("sample", run, "-n", 3, "--label", label, "--steps", 3, "--out", tmp_path / "s.npz")
        assert done.returncode == 0, done.stderr
        assert np.load(tmp_path / "s.npz")["label"].tolist() == expected


def test_loggers_write_beside_the_metrics(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "run"
    loggers = ["--logger", "tensorboard"]
    small = ["-o", "count=256", "-o", "width=32", "-o", "blocks=1"]
    done = ptdiff("train", "-m", "points2d", "--data", "moons", "--steps", 20, "--out", path, *small, *loggers)
    assert done.returncode == 0, done.stderr
    assert "loss" in (path / "metrics.csv").read_text().splitlines()[0]
    assert list((path / "logs" / "tensorboard").glob("events*"))


def test_resuming_on_other_data_is_refused(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("count: 256", "count: 255"))
    done = ptdiff("resume", copy)
    assert done.returncode == 3
    assert "the data has changed" in done.stderr


@pytest.mark.slow
def test_two_devices_train_one_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ptdiff_cli.main", "train", "-m", "points2d", "--data", "moons", "--steps", "20"]
    small = ["-o", "count=256", "-o", "width=32", "-o", "blocks=1", "--devices", "2", "--strategy", "ddp"]
    done = subprocess.run([*command, *small], capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["points2d-001"]
    assert (tmp_path / "runs" / "points2d-001" / "checkpoints" / "20" / "COMMITTED").is_file()
