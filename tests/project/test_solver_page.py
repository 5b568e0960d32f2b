"""docs/solvers.md says what the catalog and the result files say."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from ptdiff.certify.figures import figures
from ptdiff.solvers import ADAPTIVE, SOLVERS

ROOT = Path(__file__).parents[2]
RESULT = json.loads((ROOT / "benchmarks" / "results" / "certificates.json").read_text(encoding="utf-8"))
PEERS = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text(encoding="utf-8"))
AGAIN = "run 'ptdiff certify --out benchmarks/results/certificates.json' and 'python benchmarks/solver_page.py'"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("solver_page", ROOT / "benchmarks" / "solver_page.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_makes_of_the_files_and_the_catalog(script: ModuleType) -> None:
    assert (ROOT / "docs" / "solvers.md").read_text(encoding="utf-8") == script.page(), AGAIN


def test_the_figures_are_those_of_the_solvers_that_there_are() -> None:
    assert [row["name"] for row in RESULT["solvers"]] == list(SOLVERS), AGAIN
    assert {row["name"]: row["order"] for row in RESULT["solvers"]} == {
        name: cls().order for name, cls in SOLVERS.items()
    }, AGAIN


@pytest.mark.parametrize("name", ["heun", "ddim", "dpm++2m", "unipc-2", "dpm++sde"])
def test_the_figures_are_those_that_are_measured_again(name: str) -> None:
    (committed,) = (row for row in RESULT["solvers"] if row["name"] == name)
    found = json.loads(json.dumps(figures(name)))
    assert list(found) == list(committed), AGAIN
    for key, value in found.items():
        parts = value.items() if isinstance(value, dict) else ()
        close = {calls: error if error is None else pytest.approx(error, rel=1e-6) for calls, error in parts}
        assert committed[key] == (close or value), AGAIN


def test_figures_of_a_changed_coefficient_are_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    from ptdiff.solvers.runge_kutta import Heun
    from ptdiff.solvers.tableau import Tableau

    monkeypatch.setattr(Heun, "tableau", Tableau(((1.0,),), (0.50001, 0.49999)))
    (committed,) = (row for row in RESULT["solvers"] if row["name"] == "heun")
    found = json.loads(json.dumps(figures("heun")))
    assert committed["flow error, flow"] != pytest.approx(found["flow error, flow"], rel=1e-6)


def test_all_certificates_of_the_file_hold() -> None:
    assert [row for row in RESULT["worst"] if not row["holds"]] == []
    assert RESULT["certificates"] > 5000


def test_every_solver_has_certificates() -> None:
    kinds = {"order", "weak order", "mean without an order", "adaptive error"}
    certified = {row["subject"].split(",")[0].split()[0] for row in RESULT["worst"] if row["kind"] in kinds}
    assert certified == {*SOLVERS, *ADAPTIVE}, AGAIN


def test_other_libraries_agree_in_twenty_pairs_at_least() -> None:
    assert len(PEERS["agreement"]) >= 20
    assert all(row["holds"] for row in PEERS["agreement"])
    assert {row["subject"].split(", ")[0] for row in PEERS["agreement"]} == {"k-diffusion", "diffusers", "azula"}


def test_what_the_page_says_of_other_libraries_is_in_the_figures() -> None:
    measured = {row["sampler"]: row["measured"] for row in PEERS["orders"]}
    for sampler in ("REABSampler order=3", "DPMSolverMultistep sde-dpmsolver++ order=3"):
        assert measured[sampler] < 1.15
    assert measured["sample_dpmpp_sde, independent draws"] < 1.15 < 1.85 < measured["sample_dpmpp_sde, one path"]
    assert [row["finite"] for row in PEERS["duplicated sigma_min"]] == [1.0, 0.0]


def test_a_page_with_another_default_is_stale(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import dataclass

    from ptdiff.solvers.runge_kutta import Heun

    @dataclass(frozen=True)
    class Changed(Heun):
        """Heun in another chart by default."""

        chart: str = "flow"  # type: ignore[assignment]

    before = script.page()
    monkeypatch.setitem(SOLVERS, "heun", Changed)
    assert script.page() != before
