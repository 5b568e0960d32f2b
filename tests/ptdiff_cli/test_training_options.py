"""What training is configured with: wrong names are refused before anything is written; --weights picks an average."""

import json
from pathlib import Path

import numpy as np
import pytest

SMALL = ["-o", "count=256", "-o", "width=32", "-o", "blocks=1", "--set", "training.batch=64"]

WRONG = [
    ("weighting=min-srn", "did you mean 'min-snr'?"),
    ("weighting={name: min-snr, gama: 3}", "did you mean 'gamma'?"),
    ("loss=hubr", "did you mean 'huber'?"),
    ("noise=ofset", "did you mean 'offset'?"),
    ("coupling=within-sets", "the elements of this data are ordered"),
    ("coupling=optimal", "unknown coupling"),
    ("training.schedule=cosin", "did you mean 'cosine'?"),
    ("training.ema={name: powr}", "did you mean 'power'?"),
    ("training.averages=[{name: power, std: 3}]", "relative width"),
    ("training.snapshots=4", "set training.averages"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG, ids=[setting for setting, _ in WRONG])
def test_a_wrong_choice_is_refused_before_anything_is_written(
    ptdiff, setting: str, message: str, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "-m", "points2d", "--set", setting, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def averaged(ptdiff, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """A run that kept two power averages and snapshots of them."""
    path = tmp_path_factory.mktemp("runs") / "averaged"
    powers = "training.averages=[{name: power, std: 0.05}, {name: power, std: 0.1}]"
    settings = ["--set", powers, "--set", "training.snapshots=8"]
    done = ptdiff("train", "-m", "points2d", "--data", "moons", "--steps", 60, "--out", path, *SMALL, *settings)
    assert done.returncode == 0, done.stderr
    return path


def test_samples_are_drawn_with_the_weights_that_are_asked_for(ptdiff, averaged: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    found = {}
    for weights in (None, "ema", "raw", "ema-1", "ema-2", "0.05", "0.08"):
        out = tmp_path / f"{weights}.npz"
        given = [] if weights is None else ["--weights", weights]
        done = ptdiff("sample", averaged, "-n", 4, "--steps", 4, "--out", out, *given)
        assert done.returncode == 0, done.stderr
        found[weights] = np.load(out)["samples"]
    assert np.array_equal(found[None], found["ema"])
    assert np.allclose(found["0.05"], found["ema-1"], atol=1e-4)
    names = ["ema", "raw", "ema-1", "ema-2", "0.08"]
    assert all(not np.allclose(found[a], found[b], atol=1e-5) for a in names for b in names if a < b)


def test_a_likelihood_is_that_of_the_weights_that_are_asked_for(ptdiff, averaged: Path) -> None:  # type: ignore[no-untyped-def]
    values = {}
    for weights in ("ema", "raw"):
        done = ptdiff("likelihood", averaged, "-n", 4, "--steps", 4, "--exact", "--json", "--weights", weights)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["weights"] == weights
        values[weights] = result["nats"]["value"]
    assert values["ema"] != values["raw"]


@pytest.mark.slow
def test_evaluation_says_which_weights_it_measured(ptdiff, averaged: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", averaged, "-n", 8, "--steps", 3, "--json", "--weights", "0.08")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["weights"] == "0.08"


def test_weights_that_a_run_does_not_have_are_refused(ptdiff, averaged: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for weights, message in (("emma", "did you mean 'ema'?"), ("0.9", "relative width")):
        done = ptdiff("sample", averaged, "--out", tmp_path / "x.npz", "--weights", weights)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
