"""Discrete chains: the betas of their papers, their products with all digits, and time between the integers."""

import math
from fractions import Fraction

import pytest
import torch

from ptdiff.choices import choose
from ptdiff.process import PROCESSES, Chain
from ptdiff.process.chain import _BETAS

F64 = torch.float64
SCHEDULES = [name for name in _BETAS if name != "given"]


def product(beta: torch.Tensor) -> list[Fraction]:
    """abar, exactly."""
    found, last = [], Fraction(1)
    for b in beta.tolist():
        last *= 1 - Fraction(b)
        found.append(last)
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_both_scales_keep_their_digits_over_the_whole_chain(schedule: str) -> None:
    chain = Chain(60, schedule, beta_end=0.3)  # type: ignore[arg-type]
    level = chain.levels(torch.arange(60))
    abar = product(chain.beta)
    assert level.alpha.tolist() == pytest.approx([math.sqrt(a) for a in abar], rel=1e-13)
    assert level.sigma.tolist() == pytest.approx([math.sqrt(1 - a) for a in abar], rel=1e-13)


def test_the_first_noise_of_a_chain_is_that_of_its_first_beta() -> None:
    # a running product in single precision has 1 - abar wrong by 1.7e-4 here
    first = Chain().levels(torch.tensor([0])).sigma.square()
    assert float(first) == pytest.approx(1e-4, rel=1e-13)
    single = Chain().level(torch.zeros(1)).sigma.square()
    assert float(single) == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_time_hits_the_integers(schedule: str, zero: bool) -> None:
    chain = Chain(37, schedule, zero_terminal_snr=zero)  # type: ignore[arg-type]
    k = torch.arange(37)
    exact, level = chain.levels(k), chain.level(chain.times(k))
    assert level.alpha == pytest.approx(exact.alpha, rel=1e-11)
    assert level.sigma == pytest.approx(exact.sigma, rel=1e-11)
    assert chain.time(exact.angle) == pytest.approx(chain.times(k), abs=1e-9)


def test_the_log_snr_is_linear_between_the_integers() -> None:
    chain = Chain(5, "cosine")
    ends = chain.levels(torch.tensor([1, 2])).half_log_snr
    middle = chain.level(torch.tensor(1.25 / 4, dtype=F64)).half_log_snr
    assert float(middle) == pytest.approx(float(0.75 * ends[0] + 0.25 * ends[1]), rel=1e-13)


def test_the_angle_is_linear_into_a_step_without_signal() -> None:
    chain = Chain(5, zero_terminal_snr=True)
    before = float(chain.levels(torch.tensor(3)).angle)
    level = chain.level(torch.tensor([3.5 / 4, 1.0], dtype=F64))
    assert float(level.angle[0]) == pytest.approx((before + math.pi / 2) / 2, rel=1e-13)
    assert [float(level.alpha[1]), float(level.sigma[1])] == [0.0, 1.0]


def test_linear_and_scaled_linear_betas_are_those_of_their_papers() -> None:
    linear = Chain(1000).beta
    assert linear[[0, 999]].tolist() == pytest.approx([1e-4, 0.02])
    assert linear.diff() == pytest.approx(linear.diff()[0].expand(999), rel=1e-9)
    root = Chain(1000, "scaled-linear", 0.00085, 0.012).beta.sqrt()
    assert root[[0, 999]].square().tolist() == pytest.approx([0.00085, 0.012])
    assert root.diff() == pytest.approx(root.diff()[0].expand(999), rel=1e-9)


def test_cosine_betas_are_ratios_of_the_squared_cosine_cut_off() -> None:
    s, t = 0.008, torch.arange(1001, dtype=F64) / 1000
    f = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    expected = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    assert Chain(1000, "cosine").beta == pytest.approx(expected, rel=1e-9)
    assert float(Chain(1000, "cosine", clip=(1e-4, 0.9999)).beta.min()) == 1e-4
    assert float(Chain(1000, "cosine", clip=(1e-4, 0.9999)).beta.max()) == 0.9999


def test_sigmoid_betas_follow_the_logistic_function() -> None:
    x = torch.linspace(-6, 6, 1000, dtype=F64)
    assert Chain(1000, "sigmoid").beta == pytest.approx(1e-4 + (0.02 - 1e-4) / (1 + torch.exp(-x)), rel=1e-12)


def test_sigmoid_abar_falls_from_one_to_nothing_along_a_sigmoid() -> None:
    chain = Chain(100, "sigmoid-abar", clip=(0.0, 1.0))
    v = torch.sigmoid(-torch.linspace(-3, 3, 101, dtype=F64))
    expected = (v - v[-1]) / (v[0] - v[-1])
    assert chain.levels(torch.arange(100)).alpha.square() == pytest.approx(expected[1:], abs=1e-14)
    assert chain.terminal_snr == 0


def test_sigmoid_alpha_falls_along_a_sigmoid_over_its_first_value() -> None:
    v = torch.sigmoid(torch.linspace(4, -4, 101, dtype=F64))
    alpha = Chain(100, "sigmoid-alpha", span=4.0).levels(torch.arange(100)).alpha
    assert alpha == pytest.approx(v[1:] / v[0], rel=1e-12)


def test_given_betas_are_taken_as_they_are() -> None:
    chain = Chain(3, "given", betas=(0.1, 0.5, 0.9))
    assert chain.beta.tolist() == [0.1, 0.5, 0.9]
    assert chain.levels(torch.arange(3)).alpha.square().tolist() == pytest.approx([0.9, 0.45, 0.045])
    assert choose("process", PROCESSES, {"name": "chain", "schedule": "given", "steps": 2, "betas": [0.1, 1.0]}) == (
        Chain(2, "given", betas=(0.1, 1.0))
    )


@pytest.mark.parametrize(
    ("steps", "figure"), [(1000, 4.04e-5), (500, 6.4e-3), (100, 0.364)], ids=["1000", "500", "100"]
)
def test_the_signal_left_at_the_end_is_told(steps: int, figure: float) -> None:
    snr = Chain(steps).terminal_snr
    assert snr / (1 + snr) == pytest.approx(figure, rel=1e-2)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rescaling_ends_in_pure_noise_and_leaves_the_first_level(schedule: str) -> None:
    plain, zero = Chain(200, schedule), Chain(200, schedule, zero_terminal_snr=True)  # type: ignore[arg-type]
    k = torch.arange(200)
    before, after = plain.levels(k), zero.levels(k)
    assert [float(after.alpha[-1]), float(after.sigma[-1]), zero.terminal_snr] == [0.0, 1.0, 0.0]
    assert float(after.alpha[0]) == float(before.alpha[0])
    assert float(after.sigma[0]) == float(before.sigma[0])
    # an affine map of sqrt(abar)
    share = (after.alpha - after.alpha[0]) / (after.alpha[-1] - after.alpha[0])
    assert share == pytest.approx((before.alpha - before.alpha[0]) / (before.alpha[-1] - before.alpha[0]), abs=1e-12)
    assert after.scale == pytest.approx(torch.ones(200, dtype=F64), rel=1e-14)
    assert float(zero.beta[-1]) == 1
    assert torch.cumprod(1 - zero.beta, 0) == pytest.approx(after.alpha.square(), abs=1e-14)


def test_rescaling_a_chain_that_ends_in_noise_changes_nothing() -> None:
    options = {"steps": 3, "schedule": "given", "betas": (0.1, 0.5, 1.0)}
    plain, zero = Chain(**options), Chain(**options, zero_terminal_snr=True)  # type: ignore[arg-type]
    k = torch.arange(3)
    assert zero.levels(k).alpha == pytest.approx(plain.levels(k).alpha, rel=1e-14)


def test_a_chain_with_very_little_signal_left_keeps_it_in_single_precision() -> None:
    chain = Chain(1000, beta_end=0.2)
    alpha = chain.level(torch.ones(1)).alpha
    exact = chain.levels(torch.tensor([999])).alpha
    assert 0 < float(exact) < 1e-22
    assert float(alpha.double() / exact) == pytest.approx(1, rel=1e-5)


def test_times_outside_are_cut_off() -> None:
    chain = Chain(10)
    level, ends = chain.level(torch.tensor([-1.0, 2.0], dtype=F64)), chain.level(torch.tensor([0.0, 1.0], dtype=F64))
    assert torch.equal(level.alpha, ends.alpha)


def test_what_was_first_asked_for_in_inference_mode_can_still_be_differentiated() -> None:
    chain = Chain(23, "cosine")
    with torch.inference_mode():
        chain.level(torch.tensor([0.5], dtype=F64))
    t = torch.tensor([0.5], dtype=F64, requires_grad=True)
    chain.level(t).half_log_snr.sum().backward()
    assert t.grad is not None
    assert t.grad == pytest.approx(chain.rate(t))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "steps must be from 2 to 1,000,000"),
        ({"schedule": "linaer"}, "schedule must be one of"),
        ({"schedule": "given"}, "needs betas"),
        ({"betas": (0.1, 0.2)}, "linear has 2 betas"),
        ({"schedule": "given", "betas": (0.1, 0.2)}, "each of 1000 steps, not 2"),
        ({"schedule": "given", "steps": 3, "betas": (0.1, 1.0, 0.2)}, "index 1 is 1"),
        ({"schedule": "given", "steps": 2, "betas": (0.0, 0.2)}, "index 0 is 0"),
        ({"schedule": "given", "steps": 2, "betas": (0.1, float("nan"))}, "index 1 is nan"),
        ({"schedule": "given", "steps": 2, "betas": (0.1, 1.1)}, "index 1 is 1.1"),
        ({"beta_start": 0.0}, "beta_start and beta_end"),
        ({"beta_end": 1.0}, "beta_start and beta_end"),
        ({"offset": -1.0}, "offset"),
        ({"span": 0.0}, "span"),
        ({"clip": (0.5, 0.1)}, "clip"),
    ],
)
def test_chains_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Chain(**options)  # type: ignore[arg-type]
