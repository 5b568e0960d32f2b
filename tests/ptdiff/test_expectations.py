"""What a recipe reaches in how many steps: read strictly, looked up between what was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from ptdiff.machine.timing import Way
from ptdiff.modality import registry
from ptdiff.run.config import defaults, merged, validate
from ptdiff.training.autotune import Settled
from ptdiff.training.expectations import Expectations
from ptdiff.training.pace import expected, is_recipe

VALUES: dict[str, Any] = {
    "metric": "1-NNA-CD",
    "n": 400,
    "floor": 48.0,
    "data": "the built-in shapes",
    "words": [[80, "recognizable shapes"], [100, "blobs"]],
    "rows": [{"steps": 1600, "value": 70}, {"steps": 100, "value": 98}, {"steps": 400, "value": 86}],
}
TABLE = Expectations.read(VALUES)


def test_scores_lie_between_measured_ones_by_the_logarithm_of_the_steps() -> None:
    assert [TABLE.value(steps) for steps in (100, 400, 1600)] == [98, 86, 70]
    assert TABLE.value(200) == pytest.approx(92)
    assert TABLE.value(800) == pytest.approx(78)


def test_outside_of_what_was_measured_nothing_is_made_up() -> None:
    assert TABLE.value(3) == 98
    assert TABLE.value(10**6) == 70


def test_the_steps_that_a_score_takes_are_the_inverse() -> None:
    for value in (97, 86, 75, 70):
        steps = TABLE.steps(value)
        assert steps is not None
        assert TABLE.value(steps) == pytest.approx(value)
    assert TABLE.steps(60) is None


@pytest.mark.parametrize("spoiled", [{"rows": []}, {"words": []}, {"rows": [{"value": 3}]}, {"floor": "low"}])
def test_a_spoiled_table_is_refused(spoiled: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        Expectations.read(VALUES | spoiled)


def settled(minutes: float, rate: float) -> Settled:
    config = validate({"modality": "pointcloud", "training": {"steps": None, "minutes": minutes}})
    return Settled(config, Way(), {Way(): 1 / rate})


def test_a_line_says_what_to_expect_and_which_time_would_do() -> None:
    enough = expected(TABLE, settled(minutes=8, rate=2.0))
    assert "recognizable shapes, 1-NNA-CD about 76 (floor 48, n = 400)" in enough
    assert "too short" not in enough
    short = expected(TABLE, settled(minutes=1, rate=2.0))
    assert "blobs" in short
    # 80 is reached after 400 * 4^(6/16) = 673 steps
    assert "recognizable shapes take about 6 minutes at this rate" in short


def test_only_the_recipe_itself_is_promised_anything() -> None:
    kind = registry.load("pointcloud", {})
    recipe = merged(merged(defaults("pointcloud"), kind.recipe()), {"options": vars(kind)})
    config = validate(recipe)
    assert is_recipe(config, kind)
    assert is_recipe(validate(merged(recipe, {"training": {"minutes": 3, "steps": None}, "seed": 7})), kind)
    assert not is_recipe(validate(merged(recipe, {"training": {"lr": 1e-3}})), kind)
    other = replace(kind, points=128)
    assert not is_recipe(validate(merged(recipe, {"options": vars(other)})), other)


def test_the_table_that_ships_can_be_read_and_falls_with_the_steps() -> None:
    table = Expectations.of(registry.modality_class("pointcloud"))
    assert table is not None
    values = [value for _, value in table.points]
    assert values == sorted(values, reverse=True)
    assert values[-1] > table.floor
    assert torch.tensor(values).isfinite().all()
