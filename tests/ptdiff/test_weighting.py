"""Weightings: what they say in the papers' own words, at both ends, for every prediction."""

from __future__ import annotations

import math

import pytest
import torch

from ptdiff.certify.objectives import DOCUMENTED, PLAIN, _log_density
from ptdiff.choices import choose, described
from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.objective.factors import Factors, Setting
from ptdiff.objective.loss import Objective
from ptdiff.objective.weighting import EDM, P2, WEIGHTINGS, MinSNR, Sigmoid, SoftMinSNR, Uncertainty
from ptdiff.process import Level

RATIOS = [1e-8, 1e-3, 0.3, 1.0, 7.0, 1e3, 1e8]


def level_at(ratios: list[float], dtype: torch.dtype = torch.float64, scale: float = 1.0) -> Level:
    angle = torch.atan(torch.tensor(ratios, dtype=torch.float64))
    return Level((scale * torch.cos(angle)).to(dtype), (scale * torch.sin(angle)).to(dtype))


def made(name: str) -> Objective:
    return Objective(choose("weighting", WEIGHTINGS, {"name": name}), log_density=_log_density)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_the_weight_of_the_x0_error_is_the_documented_one(name: str, scale: float) -> None:
    ratios = [r for r in RATIOS if not (name in ("likelihood", "over-log-snr") and not 1e-3 <= r <= 1e3)]
    for prediction in PREDICTIONS:
        found = made(name).x0_weight(level_at(ratios, scale=scale), prediction)
        documented = PLAIN[prediction] if name == "prediction" else DOCUMENTED[name]
        assert found.tolist() == pytest.approx([documented(r**-2) for r in ratios], rel=1e-9), prediction


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_weight_of_the_error_of_y_is_the_x0_weight_times_out_squared(name: str, prediction: str) -> None:
    level = level_at([1e-3, 0.3, 1.0, 7.0, 1e3], scale=3.0)
    out = PREDICTIONS[prediction](level).out
    expected = made(name).x0_weight(level, prediction) * out.square()
    torch.testing.assert_close(made(name).weight(level, prediction), expected, rtol=1e-12, atol=0)


ENDS = {
    # weight of the velocity error without noise and without signal
    "prediction": (1, 1),
    "uniform": (0, 1),
    "snr": (1, 0),
    "min-snr": (0, 0),
    "soft-min-snr": (0, 0),
    "truncated": (1, 1),
    "snr+1": (1, 1),
    "p2": (0, 0),
    "edm": (1, 1),
    "sigmoid": (0, 0),
    "sigma-sqrt": (1, 1),
    "cosmap": (2 / math.pi, 2 / math.pi),
    "uncertainty": (1, 1),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("prediction", ["velocity", "flow"])
def test_velocity_and_flow_errors_have_finite_weights_at_both_ends_in_float32(name: str, prediction: str) -> None:
    level = Level(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    # out is the same at both ends for both predictions
    assert made(name).weight(level, prediction).tolist() == pytest.approx(ENDS[name], abs=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name not in ("likelihood", "over-log-snr")])
def test_float32_keeps_its_digits_over_sixteen_decades(name: str, prediction: str) -> None:
    exact = made(name).weight(level_at(RATIOS), prediction)
    single = made(name).weight(level_at(RATIOS, torch.float32), prediction)
    torch.testing.assert_close(single.double(), exact, rtol=2e-6, atol=0)


def test_nothing_is_lost_where_two_factors_are_out_of_range() -> None:
    # snr = 1e60 and out^2 = 1e-60 in float32
    level = Level(torch.tensor([1.0]), torch.tensor([1e-30]))
    assert made("snr").weight(level, "velocity").tolist() == [1.0]
    assert made("snr").weight(level, "eps").tolist() == [1.0]


def test_a_weight_that_is_infinite_where_levels_are_drawn_is_refused() -> None:
    ends = Level(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    made("snr").check(ends, "velocity")
    with pytest.raises(ValueError, match=r"weighting snr is not finite for x0-prediction at sigma / alpha = 0"):
        made("snr").check(ends, "x0")
    with pytest.raises(ValueError, match=r"uniform is not finite for eps-prediction at sigma / alpha = inf"):
        made("uniform").check(ends, "eps")
    # 1e-30 is no zero, but its square is one in float32
    with pytest.raises(ValueError, match="not finite"):
        made("edm").check(Level(torch.tensor([1.0]), torch.tensor([1e-30])), "x0")


def test_options_do_what_they_say() -> None:
    level = level_at([0.25])
    setting = Setting("velocity")
    snr = 16.0
    for weighting, expected in (
        (MinSNR(10), 10),
        (MinSNR(20), snr),
        (SoftMinSNR(4), 4 * snr / (snr + 4)),
        (P2(k=2, gamma=0.5), snr / math.sqrt(2 + snr)),
        (P2(gamma=0), snr),
        (EDM(0.5), snr + 4),
        (Sigmoid(1.5), snr / (1 + math.exp(-1.5) * snr)),
        (Uncertainty(MinSNR(10)), 10),
    ):
        assert float(weighting.factors(level, setting).at(level)) == pytest.approx(expected, rel=1e-12), weighting


def test_min_snr_is_clipped_where_a_factor_on_top_of_edm_would_not_be() -> None:
    # min(snr, 5) times EDM's snr + 1 is 505 at sigma = 0.1
    assert float(made("min-snr").x0_weight(level_at([0.1]), "velocity")) == pytest.approx(5)


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "min-snr", "gamma": 0},
        {"name": "min-snr", "gamma": "five"},
        {"name": "p2", "k": 0},
        {"name": "p2", "gamma": -1},
        {"name": "edm", "sigma_data": math.inf},
        {"name": "sigmoid", "bias": math.nan},
        {"name": "soft-min-snr", "gamma": -5},
        {"name": "min-sr"},
        {"name": "uncertainty", "base": "min-sr"},
    ],
)
def test_impossible_options_are_refused(choice: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"weighting"):
        choose("weighting", WEIGHTINGS, choice)


def test_a_weighting_over_another_is_chosen_and_described() -> None:
    weighting = choose("weighting", WEIGHTINGS, {"name": "uncertainty", "base": {"name": "min-snr", "gamma": 3}})
    assert weighting == Uncertainty(MinSNR(3.0))
    assert described(WEIGHTINGS, weighting) == {"name": "uncertainty", "base": {"name": "min-snr", "gamma": 3.0}}


@pytest.mark.parametrize("name", ["likelihood", "over-log-snr"])
def test_a_weighting_that_divides_by_the_density_needs_one(name: str) -> None:
    with pytest.raises(ValueError, match="divides by the density"):
        Objective(WEIGHTINGS[name]()).weight(level_at([1.0]), "velocity")


def test_the_likelihood_integral_does_not_depend_on_the_density() -> None:
    # the mean over drawn levels of w err is the integral of snr err over lambda
    def error(level: Level) -> torch.Tensor:
        return torch.exp(-torch.log(level.sigma / level.alpha).square()) * (level.sigma / level.alpha).square()

    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    found = []
    for mean, std in ((0.0, 1.0), (0.3, 1.4)):
        level = level_at(torch.exp(-(mean + std * torch.special.ndtri(u))).tolist())

        def log_density(at: Level, mean: float = mean, std: float = std) -> torch.Tensor:
            z = (torch.log(at.alpha / at.sigma) - mean) / std
            return -0.5 * z * z - math.log(std * math.sqrt(2 * math.pi))

        objective = Objective(WEIGHTINGS["likelihood"](), log_density=log_density)
        found.append(float((objective.x0_weight(level, "velocity") * error(level)).mean()))
    # integral of exp(-lambda^2)
    assert found == pytest.approx([math.sqrt(math.pi)] * 2, rel=1e-4)


def test_factors_multiply() -> None:
    level = level_at([0.5])
    product = Factors(2, -2, 3.0) * Factors(-1, 2, 2.0)
    assert (product.cos, product.sin, product.rest) == (1, 0, 6.0)
    assert float(product.at(level)) == pytest.approx(6 * math.cos(math.atan(0.5)))
