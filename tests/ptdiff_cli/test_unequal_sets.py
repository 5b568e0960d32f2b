"""Sets of different sizes with a class and a declared number: on the command line, planned, and made by workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptdiff.sampling.samples import Samples

CODE = (Path(__file__).parents[1] / "ptdiff" / "testing" / "good_modality.py").read_text(encoding="utf-8")
ASKED = ("-n", 9, "--steps", 2, "--batch", 4, "--seed", 3)

Install = Callable[..., Path]


@pytest.fixture
def sets(ptdiff: Callable, install: Install, tmp_path: Path) -> Path:  # type: ignore[type-arg]
    """A run of an installed modality, which workers import too."""
    install("unequal-sets", CODE, {"ptdiff.modalities.v1": {"unequal": "unequal_sets:Ragged"}})
    path = tmp_path / "sets"
    done = ptdiff("train", "-m", "unequal", "--steps", 3, "--set", "training.batch=8", "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def sampled(ptdiff: Callable, run: Path, name: str, *options: object) -> Samples:  # type: ignore[type-arg]
    path = run.parent / f"{name}.npz"
    done = ptdiff("sample", run, *ASKED, "--condition", "lift=11", "--label", "odd", "--out", path, *options)
    assert done.returncode == 0, done.stderr
    return Samples.read(path, "unequal")


@pytest.mark.parametrize("points", [(), ("--points", "2..7")])
def test_workers_make_the_same_sets(ptdiff: Callable, sets: Path, points: tuple[str, ...]) -> None:  # type: ignore[type-arg]
    plain, two = sampled(ptdiff, sets, "plain", *points), sampled(ptdiff, sets, "two", *points, "--workers", 2)
    one = sampled(ptdiff, sets, "one", *points, "--workers", 1)
    assert len({len(each) for each in plain.sets}) > 1
    for i in range(9):
        assert np.array_equal(one.sets[i], two.sets[i])
        assert plain.sets[i].shape == one.sets[i].shape and np.allclose(plain.sets[i], one.sets[i], atol=0.3)
    for found in (plain, one, two):
        assert found.conditions["lift"].tolist() == [11.0] * 9 and found.classes[found.labels[0]] == "odd"
    assert not list(sets.glob("samples/shards-*"))


def test_workers_evaluate_to_the_same_scores(ptdiff: Callable, sets: Path) -> None:  # type: ignore[type-arg]
    command = ("eval", sets, "-n", 10, "--steps", 2, "--batch", 4, "--json")
    one, two, plain = (ptdiff(*command, *more) for more in (("--workers", 1), ("--workers", 2), ()))
    assert one.returncode == two.returncode == plain.returncode == 0, (one.stderr, two.stderr, plain.stderr)
    found, again, other = (json.loads(done.stdout) for done in (one, two, plain))
    assert found["metrics"] == again["metrics"] and found["sets"] == again["sets"]
    # without workers, several threads may round otherwise
    for name, score in other["metrics"].items():
        assert found["metrics"][name]["value"] == pytest.approx(score["value"], rel=0.01)


def test_a_metric_that_needs_one_shape_is_refused(ptdiff: Callable, sets: Path) -> None:  # type: ignore[type-arg]
    command = ("eval", sets, "-n", 10, "--steps", 2, "--metric")
    done = ptdiff(*command, "mmd_squared")
    assert done.returncode != 0 and "metric mmd_squared compares samples of one shape" in " ".join(done.stderr.split())
    # the protocol has a score of this name that knows the sizes
    assert ptdiff(*command, "energy").returncode == 0


def test_their_cost_is_planned(ptdiff: Callable, sets: Path) -> None:  # type: ignore[type-arg]
    for command in (
        ("sample", sets, *ASKED, "--condition", "lift=11", "--points", "2..7", "--dry-run"),
        ("sample", sets, *ASKED, "--dry-run"),
        ("eval", sets, "-n", 10, "--steps", 2, "--dry-run"),
        ("plan", sets, "--samples", 100, "-n", 10),
        ("plan", "unequal", "--steps", 5, "--samples", 100),
    ):
        done = ptdiff(*command)
        assert done.returncode == 0, done.stderr
        assert "sample " in done.stdout
    assert not list(sets.glob("samples/*")) and not (sets / "eval.json").exists()


def test_guidance_by_a_declared_number_costs_twice_as_much(ptdiff: Callable, sets: Path) -> None:  # type: ignore[type-arg]
    command = ("sample", sets, *ASKED, "--solver", "ddim", "--guidance", 2, "--label", "none", "--dry-run")
    for more, calls in (((), 2), (("--condition", "lift=11"), 4)):
        done = ptdiff(*command, *more)
        assert done.returncode == 0, done.stderr
        assert f"{calls} network calls for each sample" in " ".join(done.stdout.split())


def test_a_wrong_condition_is_refused_before_anything_is_measured(ptdiff: Callable, sets: Path) -> None:  # type: ignore[type-arg]
    for more, message in (
        (("--condition", "lfit=11"), "unknown condition 'lfit'"),
        (("--condition", "lift=high"), "lift must be a number"),
        (("--points", "9..2"), "--points must be a whole number"),
    ):
        for way in ((), ("--dry-run",), ("--workers", 2)):
            done = ptdiff("sample", sets, *ASKED, *more, *way)
            assert done.returncode != 0 and done.stdout == ""
            assert message in " ".join(done.stderr.split()), done.stderr
