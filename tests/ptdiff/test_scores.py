"""Which figures compare: those of one protocol, on the same samples of the reference."""

import json
from pathlib import Path
from typing import Any

import pytest

from ptdiff.errors import RunError
from ptdiff.experiments.scores import Measured, alike, measured


def an_eval(run: Path, **over: Any) -> Measured:
    run.mkdir(parents=True)
    whole: dict[str, Any] = {
        "n": 100,
        "protocol": "full-set",
        "metrics": {"energy": {"value": 0.5, "floor": 0.1}},
        "sets": {
            "sha256_drawn": {"reference": "aa" * 32, "generated": run.name},
            "kernel": "wide",
            "by_class": {"a": 1},
        },
        "reference": {"data": "/somewhere/moons.csv", "split": "val"},
        "sampling": {"calls": 7.0},
    }
    (run / "eval.json").write_text(json.dumps(whole | over))
    found = measured(run)
    assert found is not None
    return found


def test_runs_measured_on_the_same_are_one_group(tmp_path: Path) -> None:
    one, two = an_eval(tmp_path / "one"), an_eval(tmp_path / "two", sampling={"calls": 40.0})
    # the same samples of files that lie elsewhere on another machine
    three = an_eval(tmp_path / "three", reference={"data": "/elsewhere/moons.csv", "split": "val"})
    assert alike([("1", one), ("2", two), ("3", three)]) == {
        "full-set, n = 100, moons.csv val": {"1": one, "2": two, "3": three}
    }
    assert (one.figures, one.calls, two.calls) == ({"energy": 0.5}, 7.0, 40.0)


def drawn(digest: str, **facts: object) -> dict[str, object]:
    return {"sha256_drawn": {"reference": digest}, "kernel": "wide"} | facts


@pytest.mark.parametrize(
    ("over", "label"),
    [
        ({"protocol": "pixels"}, "pixels, n = 100, moons.csv val"),
        ({"n": 50}, "full-set, n = 50, moons.csv val"),
        ({"sets": drawn("bb" * 32)}, f"full-set, n = 100, moons.csv val, reference {'b' * 12}"),
        ({"sets": drawn("aa" * 32, kernel="narrow")}, "full-set, n = 100, moons.csv val, kernel narrow"),
        (
            {"reference": {"data": "moons.csv", "split": "train"}, "sets": drawn("bb" * 32)},
            "full-set, n = 100, moons.csv train",
        ),
    ],
)
def test_what_was_measured_otherwise_is_a_group_of_its_own(tmp_path: Path, over: dict[str, Any], label: str) -> None:
    one, other = an_eval(tmp_path / "one"), an_eval(tmp_path / "two", **over)
    groups = alike([("1", one), ("2", other), ("3", one)])
    assert list(groups.values()) == [{"1": one, "3": one}, {"2": other}]
    assert list(groups)[1] == label


def test_an_evaluation_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert measured(tmp_path) is None
    for text in ("{", "[]", '{"metrics": {"energy": 3}}'):
        (tmp_path / "eval.json").write_text(text)
        with pytest.raises(RunError, match=r"eval\.json cannot be read"):
            measured(tmp_path)
