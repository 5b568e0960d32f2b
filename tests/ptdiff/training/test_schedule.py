"""Learning-rate schedules by their formulas, in a module and over a stop."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from test_choices import module_of, stop_at
from trial import Start, assert_bit_equal

from ptdiff.training.schedule import SCHEDULES, Constant, Cosine, Exponential, InverseSqrt

CHOICES: list[Any] = ["constant", {"name": "inverse-sqrt", "steps": 10}, {"name": "exponential", "final": 0.05}]


def test_the_formulas() -> None:
    for n, progress in ((0, 0.0), (9, 0.25), (40, 0.5), (99, 1.0)):
        assert Cosine().share(n, progress) == pytest.approx((1 + math.cos(math.pi * progress)) / 2)
        assert Constant().share(n, progress) == 1
        assert InverseSqrt(10).share(n, progress) == pytest.approx(min(1, (10 / (n + 1)) ** 0.5))
        assert Exponential(0.01).share(n, progress) == pytest.approx(10 ** (-2 * progress))
    # the clock may run beyond the end
    assert Cosine().share(0, 1.5) == pytest.approx(0, abs=1e-12)
    assert Exponential(0.01).share(0, 1.5) == pytest.approx(0.01)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_starts_at_the_peak_and_never_rises(name: str) -> None:
    schedule = SCHEDULES[name]()
    shares = [schedule.share(n, n / 5000) for n in range(5001)]
    assert shares[0] == 1
    assert all(0 <= b <= a for a, b in itertools.pairwise(shares))


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_warm_up_multiplies_every_schedule(start: Start, choice: Any) -> None:
    module = module_of(start(steps=200, warmup=20, lr=0.5, schedule=choice))
    for module.done in (0, 5, 19, 20, 150):
        share = module.schedule.share(module.done, module.done / 200)
        assert module.learning_rate() == pytest.approx(0.5 * min(1, (module.done + 1) / 20) * share)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_stopped_run_ends_bit_equal(start: Start, choice: Any) -> None:
    whole, parted = (start(name, schedule=choice, inner_steps=1) for name in ("whole", "parted"))
    whole.fit()
    assert parted.fit(stop_at(17)).steps in (17, 18)
    assert parted.fit().steps == 40
    assert_bit_equal(whole.tensors(), parted.tensors())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"name": "inverse-sqrt", "steps": 0}, "at least 1"),
        ({"name": "exponential", "final": 0.0}, "must lie in"),
        ("cosin", "did you mean 'cosine'"),
    ],
)
def test_wrong_schedules_are_refused(start: Start, choice: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module_of(start(schedule=choice))
