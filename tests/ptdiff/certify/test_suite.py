"""The parts of the suite: slopes that settle, tables side by side, choices, and what is worst."""

import math
import warnings

import pytest
import torch

from ptdiff.certify import Certificate, suite
from ptdiff.certify.agreement import gap
from ptdiff.certify.choices import choices
from ptdiff.certify.counterparts import PAIRS
from ptdiff.certify.ladder import slopes
from ptdiff.certify.orders import TRANSIENT, published, strong
from ptdiff.certify.problem import PROBLEMS, reference
from ptdiff.certify.side_by_side import ends
from ptdiff.errors import UnknownName
from ptdiff.process import PROCESSES, Level
from ptdiff.solvers import SOLVERS, Table, solve


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_slope_of_a_power_is_its_exponent(order: int) -> None:
    assert slopes(lambda cases, n: [3.0 * n**-order for _ in cases], 2, order) == pytest.approx([order, order])


def test_an_order_that_fades_is_not_believed_from_its_first_slope() -> None:
    # as behind a first step of order 1: the term of order 3 leads at first
    (found,) = slopes(lambda cases, n: [1e2 * n**-3.0 + n**-2.0 for _ in cases], 1, 3)
    assert found < 2.5


@pytest.mark.parametrize(("error", "slope"), [(0.0, math.inf), (math.nan, math.nan), (math.inf, math.nan)])
def test_errors_without_a_slope_are_told_apart(error: float, slope: float) -> None:
    assert slopes(lambda cases, n: [error for _ in cases], 1, 2) == pytest.approx([slope], nan_ok=True)


def test_an_error_that_does_not_fall_has_slope_zero() -> None:
    assert slopes(lambda cases, n: [0.01 for _ in cases], 1, 2) == [0.0]


@pytest.mark.parametrize("name", ["ddim", "rk4", "dpm++2m"])
def test_tables_side_by_side_end_where_the_loop_of_the_library_ends(name: str) -> None:
    problem, solver = PROBLEMS["mixture"], SOLVERS[name]()
    processes = [cls() for cls in PROCESSES.values()]
    tables = [solver.table(problem.levels(process, 6)) for process in processes]
    starts = [problem.start(process) for process in processes]
    together = ends(problem.denoiser, starts, tables)
    for x, table, end in zip(starts, tables, together, strict=True):
        assert torch.allclose(end, solve(problem.denoiser, x, table), atol=1e-12)


def test_tables_of_different_lengths_run_side_by_side_too() -> None:
    problem, process = PROBLEMS["mixture"], PROCESSES["flow"]()
    tables = [SOLVERS[name]().table(problem.levels(process, 5)) for name in ("ddim", "heun", "ddim")]
    found = ends(problem.denoiser, [problem.start(process)] * 3, tables)
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


def test_the_references_solve_the_flow() -> None:
    # a solver of high order with very many steps, in another variable
    for name in ("gaussian", "mixture", "data"):
        (error,) = PROBLEMS[name].errors(SOLVERS["rk4"](), [PROCESSES["ve"]()], 1000)
        assert error < 1e-9, name
        assert reference(name).shape == (16, 2)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_entry_of_the_catalog_has_choices_with_labels_of_their_own(name: str) -> None:
    found = list(choices(name))
    assert found[0] == (name, SOLVERS[name]())
    assert len({label for label, _ in found}) == len(found)
    assert len({repr(solver) for _, solver in found}) == len(found)


def test_charts_are_certified_one_by_one() -> None:
    assert {label for label, _ in choices("heun")} >= {"heun", "heun chart=flow", "heun chart=noise"}


def test_the_published_orders_name_entries_of_the_catalog() -> None:
    assert all(c.holds for name, cls in SOLVERS.items() for c in published(name, cls()))


def test_an_unknown_section_or_solver_is_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'orders'"):
        suite.parts(["order"])
    with pytest.raises(UnknownName, match="did you mean 'heun'"):
        suite.parts(solvers=["huen"])


def test_every_solver_is_in_the_parts_of_everything() -> None:
    parts = suite.parts()
    assert len(parts) > 3 * len(SOLVERS)


def test_the_worst_is_what_fails_and_then_what_is_nearest_to_failing() -> None:
    good, bad = (
        Certificate("order", "heun, ve", 1.99, 2, 0.15),
        Certificate("order", "heun chart=flow, ve", 1.2, 2, 0.15),
    )
    other, near = Certificate("calls", "heun, ve", 5, 5, 0), Certificate("order", "rk4, ve", 3.9, 4, 0.15)
    found = suite.worst([good, bad, other, near])
    assert found == [(bad, 2), (other, 1), (near, 1)]


def test_parts_run_in_other_processes_in_their_order() -> None:
    parts = suite.parts(["calls"], ["ddim", "euler"])
    seen: list[tuple[int, int]] = []
    found = suite.run(parts[:1], workers=2, progress=lambda done, total: seen.append((done, total)))
    assert [c.to_json() for c in found] == [c.to_json() for c in parts[0]()]
    assert seen == [(1, 1)]


def test_what_another_library_deprecates_is_not_said() -> None:
    pytest.importorskip("diffusers")
    (pair,) = [pair for pair in PAIRS if pair.theirs == "DPMSolverMultistepScheduler dpmsolver midpoint order=2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        assert gap(pair) < 1e-5


class Modest:
    """Heun, which says of itself that it starts low and has order 1."""

    start, order = "low", 1

    def table(self, levels: Level) -> Table:
        return SOLVERS["heun"]().table(levels)


def test_a_method_that_does_better_than_it_declares_fails_where_no_transient_is_known() -> None:
    found = list(strong("modest", Modest(), {"ve": PROCESSES["ve"]()}))
    assert {c.subject.split(", ")[2]: (c.holds, c.direction) for c in found} == {
        "gaussian": (True, "at least"),
        "mixture": (False, "equal"),
        "data": (False, "equal"),
    }


def test_multistep_methods_are_held_to_their_order_on_both_sides() -> None:
    found = list(strong("dpm++2m", SOLVERS["dpm++2m"](), {"ve": PROCESSES["ve"]()}))
    assert all(c.holds for c in found)
    assert [c.direction for c in found] == ["at least", "equal", "equal"]


def test_transients_are_those_of_choices_and_problems() -> None:
    labels = {label for name in SOLVERS for label, _ in choices(name)}
    assert set(TRANSIENT) <= labels
    assert {name for names in TRANSIENT.values() for name in names} <= {"mixture", "data"}
