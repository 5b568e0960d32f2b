"""Models that ship, on the command line: everywhere a run is taken, and never written to."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from ptdiff.run.folder import Run
from ptdiff.run.models import models


def _files() -> dict[Path, tuple[int, str]]:
    """Everything in the folders of all models: time of change and contents."""
    files = [file for model in models() for file in model.path.parent.rglob("*") if file.is_file()]
    return {file: (file.stat().st_mtime_ns, sha256(file.read_bytes()).hexdigest()) for file in files}


FEW = ["--steps", 3]
COMMANDS = {
    "sample": (["sample", "swissroll", "-n", 4, *FEW], "samples/seed-0.npz"),
    "render": (["render", "swissroll", "-n", 40, *FEW], "samples/samples.png"),
    "interpolate": (["interpolate", "swissroll", "--frames", 3, *FEW], "samples/interpolate-0-1-seed-0.npz"),
    "eval": (["eval", "swissroll", "-n", 40, *FEW], "eval.json"),
    "optimize": (["optimize", "swissroll", "--steps", 2, "-n", 8, "--rounds", 1], "grids/flow-heun-2.yaml"),
    "gallery": (["gallery", "samples", "swissroll", "-n", 40, *FEW], "gallery/samples.png"),
    "likelihood": (["likelihood", "swissroll", "-n", 4, "--steps", 4], None),
    "compare": (["runs", "compare", "swissroll"], None),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_a_model_by_name_and_writes_nothing_into_it(ptdiff, tmp_path: Path, command: str) -> None:  # type: ignore[no-untyped-def]
    before = _files()
    arguments, target = COMMANDS[command]
    done = ptdiff(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert _files() == before
    made = {path.relative_to(tmp_path / "runs/models/swissroll").as_posix() for path in tmp_path.rglob("*.*")}
    assert not made if target is None else target in made, made


def test_samples_of_a_model_are_varied_by_its_name(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ptdiff("sample", "swissroll", "-n", 4, *FEW, "--out", "s.npz", cwd=tmp_path)
    done = ptdiff("edit", "swissroll", "s.npz", *FEW, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "runs/models/swissroll/samples").iterdir()] == ["edit-s-0.5-seed-0.npz"]


@pytest.mark.slow
def test_clouds_of_a_model_are_drawn_completed_filled_up_and_meshed(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    before, folder = _files(), tmp_path / "runs/models/shapes/samples"
    short = ["--steps", 5]
    for arguments in (
        ["sample", "shapes", "-n", 2, "--points", 300, "--out", "s.npz", *short],
        ["complete", "shapes", "s.npz", "-n", 1, *short],
        ["upsample", "shapes", "s.npz", "--points", 400, "-n", 1, *short],
    ):
        done = ptdiff(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    ptdiff("mesh", "shapes", "-n", 1, "--method", "alpha", "--points", 128, cwd=tmp_path)
    assert _files() == before
    assert {"complete-s-seed-0.npz", "upsample-s-seed-0.npz"} <= {path.name for path in folder.iterdir()}
    assert np.load(tmp_path / "s.npz", allow_pickle=False)["samples"].shape == (2, 300, 3)


def test_every_model_gives_finite_samples(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name, shape in (("shapes", (256, 3)), ("digits", (1, 8, 8)), ("swissroll", (2,))):
        done = ptdiff("sample", name, "-n", 2, *FEW, "--out", f"{name}.npz", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        samples = np.load(tmp_path / f"{name}.npz", allow_pickle=False)["samples"]
        assert samples.shape[0] == 2 and samples.shape[-1] == shape[-1]
        assert np.isfinite(samples).all() and samples.std() > 0


def test_the_swiss_roll_is_as_near_to_its_data_as_its_card_says(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", "swissroll", "-n", 2000, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    score = json.loads(done.stdout)["metrics"]["sliced_wasserstein"]
    # a fifth of the points has a floor about as much larger as the root of five
    assert score["low"] < 2 * score["floor"] and score["value"] < 0.15


def test_digits_lie_in_classes_that_a_nearest_neighbor_reads(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("sample", "digits", "-n", 40, "--steps", 12, "--out", "d.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "d.npz", allow_pickle=False) as file:
        samples, labels = file["samples"].reshape(40, -1), file["label"]
    from sklearn.datasets import load_digits

    real = load_digits()
    distances = ((samples[:, None] - real.data[None] / 16) ** 2).sum(-1)
    # guessing reads a tenth
    assert (real.target[distances.argmin(1)] == labels).mean() >= 0.8


def test_models_are_listed_with_their_figures(ptdiff) -> None:  # type: ignore[no-untyped-def]
    listed = {item["name"]: item for item in json.loads(ptdiff("list", "model", "--json").stdout)}
    assert {"shapes", "digits", "swissroll"} <= listed.keys()
    assert listed["digits"]["modality"] == "images" and listed["digits"]["card"]["licence"]
    assert Path(listed["digits"]["path"]).is_dir()
    table = ptdiff("list", "models").stdout
    assert "swissroll" in table and "floor" in table


def test_a_mistaken_name_is_answered_with_the_nearest(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for command in (["sample", "shapse"], ["render", "shapse"], ["mesh", "shapse"], ["runs", "compare", "shapse"]):
        done = ptdiff(*command, cwd=tmp_path)
        assert done.returncode in (2, 3) and "did you mean 'shapes'?" in done.stderr, done.stderr


def test_a_model_is_not_resumed_and_its_folder_not_trained_in(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    before, folder = _files(), Run.open("swissroll").path
    train = ["train", "-m", "points2d", "--steps", 1, "-o", "count=256", "--out", folder]
    for command in (["resume", "swissroll"], train):
        done = ptdiff(*command, cwd=tmp_path)
        assert done.returncode == 2 and "train --from swissroll" in done.stderr, done.stderr
    assert _files() == before


def test_training_begins_with_the_weights_of_a_model(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    small = ["-o", "count=512", "--set", "training.batch=64"]
    done = ptdiff(
        "train", "--from", "swissroll", "--data", "circles", "--steps", 2, *small, "--out", "mine", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "starting from the weights of swissroll" in done.stderr
    run, model = Run.open(tmp_path / "mine"), Run.open("swissroll")
    assert run.config.options["data"] == "circles" and run.config.options["width"] == model.config.options["width"]
    assert run.config.training.lr == pytest.approx(model.config.training.lr / 4)
    origin = json.loads((tmp_path / "mine" / "env.json").read_text())["origin"]
    assert origin["name"] == "swissroll" and len(origin["sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "needs the length of the training"),
        (["--steps", 1, "-m", "images"], "swissroll is a model of points2d, not of images"),
        (["--steps", 1, "-o", "width=32"], "the network differs from that of swissroll"),
        (["--steps", 1, "--prediction", "x0"], "predicts velocity, not x0"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_a_folder_exists(
    ptdiff, tmp_path: Path, arguments, words
) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "--from", "swissroll", "-o", "count=256", *arguments, "--out", "mine", cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert not (tmp_path / "mine").exists()
