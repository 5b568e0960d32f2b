"""Experiment sets: every point of a grid, random trials that are functions of their number, studies that go on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ptdiff.experiments.axes import Range
from ptdiff.experiments.sweep import Grid, Random, nested, read


def write(folder: Path, text: str) -> Path:
    path = folder / "set.yaml"
    path.write_text(text)
    return path


def test_a_grid_is_every_combination_in_order(tmp_path: Path) -> None:
    plan = read(write(tmp_path, "training.lr: [1, 2]\nprocess: [flow, {name: ve, sigma_max: 40}]\nseed: [0]\n"))
    assert (plan.trials, plan.search, plan.metric, plan.direction) == (4, Grid(), None, "minimize")
    proposals = plan.search.open(tmp_path, plan.axes, True)
    ve = {"name": "ve", "sigma_max": 40}
    assert [proposals.ask(i) for i in range(4)] == [
        {"training.lr": lr, "process": process, "seed": 0} for lr in (1, 2) for process in ("flow", ve)
    ]


def test_probes_hold_every_value_and_both_ends(tmp_path: Path) -> None:
    text = "search: random\ntrials: 3\na: [1, 2, 3]\nb: {low: 5, high: 6}\n"
    probes = read(write(tmp_path, text)).probes()
    assert probes == [{"a": 1, "b": 5}, {"a": 2, "b": 5}, {"a": 3, "b": 5}, {"a": 1, "b": 6}]


def test_a_random_trial_is_a_function_of_its_number_and_key(tmp_path: Path) -> None:
    one, two = ({"a": Range(0.0, 1.0)}, {"b": (1, 2, 3), "a": Range(0.0, 1.0)})
    first, second = Random().open(tmp_path, one, True), Random().open(tmp_path, two, True)
    assert [first.ask(i)["a"] for i in range(5)] == [second.ask(i)["a"] for i in (0, 1, 2, 3, 4)]
    assert len({first.ask(i)["a"] for i in range(5)}) == 5
    assert Random(seed=1).open(tmp_path, one, True).ask(0) != first.ask(0)
    drawn = [second.ask(i)["b"] for i in range(300)]
    assert all(abs(drawn.count(value) - 100) < 35 for value in (1, 2, 3))


def test_a_logarithmic_range_is_even_in_the_logarithm(tmp_path: Path) -> None:
    proposals = Random().open(tmp_path, {"lr": Range(1e-4, 1e-2, log=True)}, True)
    found = [math.log10(proposals.ask(i)["lr"]) for i in range(400)]
    assert -4 <= min(found) < -3.9
    assert -2.1 < max(found) <= -2
    assert sum(found) / 400 == pytest.approx(-3, abs=0.1)
    assert Range(1e-4, 1e-2, log=True).at(0.5) == pytest.approx(1e-3)
    assert (Range(0.1, 0.3).at(0), Range(0.1, 0.3).at(1)) == (0.1, 0.3)
    assert type(Range(2, 9, integer=True).at(0.3)) is int


def test_a_study_goes_on_where_it_was_and_learns(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    plan = read(write(tmp_path, "search: optuna\ntrials: 20\nx: {low: -2, high: 2}\nside: [left, [1, 2]]\n"))
    proposals, found = plan.search.open(tmp_path, plan.axes, True), []
    for number in range(plan.trials):
        if number == 4:
            # trial 4 was asked for, and its process killed
            before = proposals.ask(4)
            proposals = plan.search.open(tmp_path, plan.axes, True)
            assert proposals.ask(4) == before
        settings = proposals.ask(number)
        assert settings["side"] in ("left", [1, 2])
        found.append((settings["x"] - 1) ** 2 + (settings["side"] == "left"))
        proposals.tell(number, None if number == 3 else found[-1])
        proposals.tell(number, found[-1])
    assert len(set(found)) == 20
    # those that were chosen by what was learned are better than those that were not
    assert sum(found[12:]) / 8 < 0.6 * sum(found[:10]) / 10


WRONG = [
    ("training.lr: [1]\nsearch: gird\n", "did you mean 'grid'?"),
    ("search: random\nx: [1]\n", "trials must be a number"),
    ("x: {low: 1, high: 2}\n", "a grid takes lists, but x is a range"),
    ("search: random\ntrials: 2\nx: {low: 2, high: 1}\n", "low must lie below high"),
    ("search: random\ntrials: 2\nx: {low: 0, high: 1, log: true}\n", "low must be above 0"),
    ("search: random\ntrials: 2\nx: {low: 0, high: 1, logg: true}\n", "did you mean 'log'?"),
    ("x: 3\n", "must be a list of values or a range"),
    ("x: []\n", "must be a list of values or a range"),
    ("search: grid\n", "no setting varies"),
    ("x: [1]\ndirection: up\n", "direction"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as found:
        read(write(tmp_path, text))
    assert "\n" not in str(found.value)


def test_a_value_is_no_section() -> None:
    with pytest.raises(ValueError, match="process is already a value"):
        nested({"process": "ve", "process.sigma_max": 3})
