"""A certificate holds within its tolerance, on the sides it declares, and never for what is not a number."""

import json
import math

import pytest

from ptdiff.certify import Certificate


@pytest.mark.parametrize(
    ("direction", "held"),
    [("equal", [False, True, True, False]), ("at least", [False, True, True, True]), ("at most", [True] * 3 + [False])],
)
def test_a_certificate_holds_on_the_sides_that_it_declares(direction: str, held: list[bool]) -> None:
    measured = [1.8, 1.9, 2.1, 2.2]
    assert [Certificate("order", "heun", m, 2.0, 0.15, direction).holds for m in measured] == held  # type: ignore[arg-type]


@pytest.mark.parametrize("direction", ["equal", "at least", "at most"])
@pytest.mark.parametrize("place", range(3))
def test_what_is_not_a_number_never_holds(direction: str, place: int) -> None:
    figures = [1.0, 1.0, 0.1]
    figures[place] = math.nan
    assert not Certificate("order", "heun", *figures, direction).holds  # type: ignore[arg-type]


def test_an_infinite_error_does_not_hold_and_is_written_as_null() -> None:
    certificate = Certificate("error", "heun", math.inf, 0.0, 1e-5, "at most")
    assert not certificate.holds
    assert json.loads(json.dumps(certificate.to_json()))["measured"] is None


def test_the_file_says_whether_it_holds() -> None:
    assert Certificate("calls", "heun", 19, 19, 0).to_json() == {
        "kind": "calls",
        "subject": "heun",
        "measured": 19,
        "declared": 19,
        "tolerance": 0,
        "direction": "equal",
        "holds": True,
    }
