"""A coefficient that is spoiled on purpose makes a certificate fail: one formula of the source at a time."""

import pkgutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ptdiff.certify import likelihoods, orders, suite
from ptdiff.certify.certificate import Certificate
from ptdiff.denoiser.network import PREDICTIONS, Coefficients
from ptdiff.process import VE, Level
from ptdiff.solvers import SOLVERS
from ptdiff.solvers.exponential import DDPM
from ptdiff.solvers.tableau import Tableau

Spoiler = Callable[[Any], Any]


def scaled(factor: float, place: int | None = None) -> Spoiler:
    """The function with its result, or one number of it, multiplied."""

    def spoil(function: Any) -> Any:
        def wrong(*args: Any, **kwargs: Any) -> Any:
            found = function(*args, **kwargs)
            if place is None:
                return found * factor
            values = list(found)
            values[place] = values[place] * factor
            return type(found)(values)

        return wrong

    return spoil


def half_a_step_too_far(function: Any) -> Any:
    return lambda s, t, share: function(s, t, min(1.0, 1.1 * share))


def stirred(function: Any) -> Any:
    """Parts joined with 5 % too much noise on the way up."""
    return lambda start, parts, scale=1.0: function(start, parts, 1.05 * scale)


def noisier(function: Any) -> Any:
    """A Langevin step with 1 % too much noise."""

    def wrong(*args: Any) -> Any:
        stage = function(*args)
        return replace(stage, noise=tuple((draw, 1.01 * weight) for draw, weight in stage.noise))

    return wrong


def steeper(function: Any) -> Any:
    """A Langevin step that goes 2 % too far along the score."""

    def wrong(*args: Any) -> Any:
        stage = function(*args)
        return replace(stage, keep=1.02 * stage.keep - 0.02, mix=tuple(1.02 * weight for weight in stage.mix))

    return wrong


def warmer(table: Any) -> Any:
    """The table of another temperature."""
    return lambda self, levels: table(replace(self, temperature=self.temperature + 0.01), levels)


SPOILS: dict[str, tuple[str, Spoiler, str, str]] = {
    # what is wrong: (where, how, section, solver)
    "the weight of D in a chart": ("runge_kutta._slope", scaled(1.01, 1), "orders", "heun"),
    "the weight of y in a chart": ("runge_kutta._slope", scaled(1.01, 0), "orders", "euler"),
    "the level of a half step": ("runge_kutta._level", scaled(1.02, 1), "orders", "midpoint"),
    "the tableau of rk4": (
        "runge_kutta.RK4.tableau",
        lambda right: Tableau(right.inner, (1 / 3, 1 / 6, 1 / 6, 1 / 3)),
        "orders",
        "rk4",
    ),
    "the weights of Heun": (
        "runge_kutta.Heun.tableau",
        lambda right: Tableau(right.inner, (0.51, 0.49)),
        "orders",
        "heun",
    ),
    "the node of midpoint": (
        "runge_kutta.Midpoint.tableau",
        lambda right: Tableau(((0.51,),), right.outer),
        "orders",
        "midpoint",
    ),
    "log-SNR": ("multistep.log_snr", scaled(1.01), "orders", "dpm++2m"),
    "a moment of the exponential kernel": ("multistep.exponential_moments", scaled(1.01, 1), "orders", "exp-ab"),
    "a weight of an interpolation": ("multistep.interpolation", scaled(1.01, 0), "orders", "dpm-solver-2m"),
    "a weight of Adams-Bashforth": ("linear.interpolation", scaled(1.01, -1), "orders", "ab"),
    "the slope in rho": ("linear._chart", scaled(1.01, 3), "orders", "lms"),
    "a weight of iPNDM": ("linear.interpolation", scaled(0.99, 0), "orders", "ipndm"),
    "a weight of DEIS": ("deis.interpolation", scaled(1.01, 0), "orders", "deis"),
    "the middle of a step": ("singlestep.between", half_a_step_too_far, "orders", "dpm-2"),
    "the kernel of a single step": ("singlestep.kernel", scaled(1.01, 0), "orders", "dpm-solver-2s"),
    "the update of order 3": ("multistep.weights", scaled(1.01, -1), "orders", "dpm++3s"),
    "the function B(h) of UniPC": ("unipc.UniPC._moments", scaled(1.05, 0), "orders", "unipc-2"),
    "a weight of Dormand and Prince": (
        "dormand_prince.DORMAND_PRINCE",
        lambda right: replace(
            right, outer=(right.outer[0] + 0.01, right.outer[1], right.outer[2] - 0.01, *right.outer[3:])
        ),
        "orders",
        "dopri5",
    ),
    "the decay over a step": ("ancestral.decay", scaled(0.99), "weak", "euler-ancestral"),
    "the noise of an interval": ("stochastic._spread", scaled(1.02), "weak", "dpm++2m-sde"),
    "the middle of a stochastic step": ("stochastic.between", half_a_step_too_far, "weak", "dpm++sde"),
    "a moment of a stochastic step": ("stochastic.exponential_moments", scaled(1.02, 0), "weak", "dpm++3m-sde"),
    "the drift of the reverse SDE": ("euler_maruyama._slope", scaled(1.02, 1), "weak", "euler-maruyama"),
    "a weight of SEEDS": ("seeds.SEEDS2._weights", scaled(1.02, -1), "weak", "seeds-2"),
    "a weight of SA-Solver": ("sa_solver.SASolver._mix", scaled(1.02, 0), "weak", "sa-solver"),
    "the noise of churn": ("churn.joined", stirred, "weak", "churn"),
    "the noise of a restart": ("restart.joined", stirred, "weak", "restart"),
    "the noise of Langevin dynamics": ("langevin.langevin_step", noisier, "weak", "langevin"),
    "the drift of Langevin dynamics": ("langevin.langevin_step", steeper, "weak", "langevin"),
    "the noise of a corrector": ("langevin.langevin_step", noisier, "weak", "corrector"),
    "the temperature": ("tempered.Tempered.table", warmer, "weak", "tempered"),
    "the noise of resampling": ("restart.joined", stirred, "weak", "resample"),
    "the cost of a table": (
        "table.Table.calls",
        lambda right: property(lambda table: right.fget(table) + 1),
        "calls",
        "heun",
    ),
    "the step into the clean level": ("multistep.ddim", lambda f: lambda *a: a[1], "calls", "dpm++2m"),
}


@pytest.fixture(autouse=True)
def one_process_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "processes", lambda: {"ve": VE()})
    monkeypatch.setattr(suite, "choices", lambda name: [(name, SOLVERS[name]())])


def failing(section: str, solver: str) -> list[Certificate]:
    certificates = suite.run(suite.parts([section], [solver]), workers=1)
    assert certificates
    return [certificate for certificate in certificates if not certificate.holds]


def spoil(monkeypatch: pytest.MonkeyPatch, where: str, how: Spoiler) -> None:
    """Replace ``where`` in ptdiff, a function of a module or an attribute of a class there."""
    owner, _, name = f"ptdiff.{where}".rpartition(".")
    target = pkgutil.resolve_name(owner)
    monkeypatch.setattr(target, name, how(getattr(target, name)))


def worth_testing(what: str) -> Any:
    quick = (
        "chart",
        "tableau",
        "Heun",
        "midpoint",
        "log-SNR",
        "single step",
        "interval",
        "cost",
        "clean",
        "Langevin",
        "corrector",
        "temp",
    )
    return what if any(word in what for word in quick) else pytest.param(what, marks=pytest.mark.slow)


@pytest.mark.parametrize("what", list(map(worth_testing, SPOILS)))
def test_a_spoiled_formula_fails_and_the_right_one_holds(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, how, section, solver = SPOILS[what]
    assert failing(section, solver) == []
    spoil(monkeypatch, f"solvers.{where}", how)
    assert failing(section, solver)


def test_a_spoiled_decay_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = DDPM(decay="sigmoid")
    assert all(c.holds for c in orders.weak("ddpm", solver, {"ve": VE()}))
    spoil(monkeypatch, "solvers.exponential.DDPM._fade", lambda fade: lambda self, left: fade(self, left - 0.01))
    assert not all(c.holds for c in orders.weak("ddpm", solver, {"ve": VE()}))


def test_a_spoiled_target_of_a_prediction_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    right = PREDICTIONS["velocity"]

    def wrong(level: Level) -> Coefficients:
        return replace(right(level), noise=1.01 * right(level).noise)

    monkeypatch.setitem(PREDICTIONS, "velocity", wrong)
    failed = [c for c in suite.run(suite.parts(["objectives"]), workers=1) if not c.holds]
    assert {c.subject.split(", ")[1] for c in failed} == {"velocity-prediction"}


@pytest.mark.parametrize(("where", "name"), [("MinSNR", "min-snr"), ("P2", "p2"), ("EDM", "edm")])
def test_a_spoiled_weighting_fails(where: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def heavier(factors: Any) -> Any:
        return lambda self, level, setting: replace(found := factors(self, level, setting), rest=1.01 * found.rest)

    spoil(monkeypatch, f"objective.weighting.{where}.factors", heavier)
    failed = [c for c in suite.run(suite.parts(["objectives"]), workers=1) if not c.holds]
    assert name in {c.subject.split(", ")[0] for c in failed}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "how"),
    [
        ("likelihood.divergence.Exact.draws", scaled(1.01)),
        ("likelihood.flow._Flow._level", lambda right: staticmethod(scaled(1.01, 0)(right))),
    ],
)
def test_a_spoiled_likelihood_fails(where: str, how: Spoiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihoods, "SHAPES", ((8,),))
    monkeypatch.setattr(likelihoods, "KINDS", {})
    spoil(monkeypatch, where, how)
    assert [c for c in suite.run(suite.parts(["likelihoods"]), workers=1) if not c.holds and c.kind == "likelihood"]


def test_twenty_formulas_at_least_are_spoiled() -> None:
    assert len(SPOILS) >= 20
