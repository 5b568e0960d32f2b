"""``ptdiff certify`` and ``ptdiff bench``: tables, JSON, files, exit codes."""

import json
from pathlib import Path

import pytest

from ptdiff.certify import suite
from ptdiff.process import VE
from ptdiff.solvers.tableau import Tableau


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "processes", lambda: {"ve": VE()})


ASKED = ("certify", "--solver", "heun", "--workers", 1)


def test_certificates_that_hold_end_with_zero_and_a_table_of_eighty_columns(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*ASKED, "--only", "orders,calls")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "certificates hold" in done.stdout
    assert "heun" in done.stdout


def test_json_holds_every_certificate(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*ASKED, "--only", "calls", "--json")
    found = json.loads(done.stdout)
    assert {row["kind"] for row in found} == {"end", "calls"}
    assert all(row["holds"] for row in found)


@pytest.mark.parametrize("only", [("--only", "orders,calls"), ("--only", "orders", "--only", "calls,orders")])
def test_sections_are_given_one_by_one_or_together(ptdiff, only: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*ASKED, *only, "--json")
    found = [(row["kind"], row["subject"]) for row in json.loads(done.stdout)]
    assert {kind for kind, _ in found} == {"published order", "order", "end", "calls"}
    assert len(found) == len(set(found))


def test_a_certificate_that_fails_ends_with_one_and_is_shown_in_full(ptdiff, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from ptdiff.solvers.runge_kutta import Heun

    monkeypatch.setattr(Heun, "tableau", Tableau(((1.0,),), (0.6, 0.4)))
    done = ptdiff(*ASKED, "--only", "orders")
    assert done.returncode == 1
    assert "FAIL  published order: heun: measured 1, declared 2" in done.stdout
    assert "do not hold" in done.stderr


@pytest.mark.slow
def test_the_file_holds_the_worst_of_each_kind_and_the_errors_by_calls(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "certificates.json"
    assert ptdiff(*ASKED, "--only", "calls", "--out", out).returncode == 0
    result = json.loads(out.read_text())
    assert {row["kind"] for row in result["worst"]} == {"end", "calls"}
    heun = next(row for row in result["solvers"] if row["name"] == "heun")
    assert heun["calls a step"] == 2
    assert heun["flow error, flow"]["40"] < heun["flow error, flow"]["10"] < 1


@pytest.mark.parametrize(("option", "value"), [("--only", "order"), ("--solver", "huen")])
def test_a_wrong_name_ends_with_two_and_the_right_one(ptdiff, option: str, value: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("certify", option, value)
    assert done.returncode == 2
    assert "did you mean" in done.stderr


def test_what_certifies_nothing_is_a_mistake(ptdiff) -> None:  # type: ignore[no-untyped-def]
    assert ptdiff(*ASKED, "--only", "weak").returncode == 2


def test_overheads_are_printed_and_written(ptdiff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from ptdiff.certify import overhead

    monkeypatch.setattr(overhead, "SHAPES", ((1, 64, 3),))
    out = tmp_path / "overheads.json"
    done = ptdiff("bench", "solvers", "--rounds", 1, "--no-peers", "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert json.loads(out.read_text()) == found
    heun = next(row for row in found if row["solver"] == "heun")
    assert heun["calls"] == 99
    assert 0 < heun["least"] <= heun["median"] < 10_000
    assert heun["ratio"] is None
