"""Processes: end points, monotone noise, derived times, and what each of them is by its paper."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ptdiff.choices import choose
from ptdiff.denoiser.network import PREDICTIONS, check_prediction
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.grid import grid
from ptdiff.process import (
    EDM,
    PROCESSES,
    VE,
    Chain,
    Flow,
    Interpolated,
    Level,
    Process,
    Shifted,
    SubVP,
    TrigFlow,
    VEGeometric,
    VPCosine,
    VPLinear,
    check_reach,
    prior_error,
    shift_for,
)
from ptdiff.solvers import solve
from ptdiff.solvers.runge_kutta import Heun


@dataclass(frozen=True)
class Arc(Process):
    """A process of one's own: nothing but its two functions."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t * t

    def sigma(self, t: Tensor) -> Tensor:
        return t


MORE: dict[str, Process] = {
    "own": Arc(),
    "vp-cosine with offset": VPCosine(0.008),
    "chain without terminal SNR": Chain(zero_terminal_snr=True),
    "short chain": Chain(10, "cosine"),
    "shifted chain": Shifted(Chain(100, zero_terminal_snr=True), 3.0),
    "shifted edm": Shifted(EDM(), 0.5, "unit"),
    "shifted vp": Shifted(VPLinear(), 4.0, "flow"),
    "interpolated cosine": Interpolated(VPCosine(), 0.5, 8.0),
}
ALL = [pytest.param(p, id=name) for name, p in ({n: cls() for n, cls in PROCESSES.items()} | MORE).items()]
F64 = torch.float64


@pytest.mark.parametrize("process", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_are_finite_at_both_ends(process: Process, dtype: torch.dtype) -> None:
    level = process.level(torch.tensor([0.0, 1.0], dtype=dtype))
    for value in (level.alpha, level.sigma, level.angle, level.scale):
        assert value.dtype == dtype
        assert torch.isfinite(value).all()
        assert (value >= 0).all()
    assert float(level.angle[1]) <= float(torch.tensor(math.pi / 2, dtype=dtype))
    assert (level.scale > 0).all()


@pytest.mark.parametrize("process", ALL)
def test_noise_grows_with_time(process: Process) -> None:
    angle = process.level(torch.linspace(0, 1, 1001, dtype=F64)).angle
    assert (angle.diff() > 0).all()


@pytest.mark.parametrize("process", ALL)
def test_single_precision_keeps_the_digits_of_both_scales(process: Process) -> None:
    # times that single precision holds exactly, and near the clean end
    t = torch.tensor([2.0**-20, 2.0**-10, 0.125, 0.5, 0.75, 1 - 2.0**-10])
    exact, level = process.level(t.double()), process.level(t)
    assert level.sigma.double() == pytest.approx(exact.sigma, rel=2e-5)
    assert level.alpha.double() == pytest.approx(exact.alpha, rel=2e-5)


@pytest.mark.parametrize("process", ALL)
def test_a_level_is_elementwise_and_has_the_shape_of_time(process: Process) -> None:
    t = torch.linspace(0, 1, 6, dtype=F64)
    whole, shaped = process.level(t), process.level(t.reshape(2, 3))
    assert torch.equal(shaped.alpha.flatten(), whole.alpha)
    assert torch.equal(shaped.sigma.flatten(), whole.sigma)
    assert process.level(t[4]).sigma.shape == ()
    assert float(process.level(t[4]).sigma) == pytest.approx(float(whole.sigma[4]), rel=1e-15)


@pytest.mark.parametrize("process", ALL)
def test_time_inverts_the_angle(process: Process) -> None:
    t = torch.linspace(0.01, 0.99, 57, dtype=F64)
    assert torch.allclose(process.time(process.level(t).angle), t, atol=1e-9)


@pytest.mark.parametrize("process", ALL)
def test_the_rate_is_the_slope_of_half_the_log_snr(process: Process) -> None:
    # between the knots of a chain, where there is a slope
    t = (torch.arange(97, dtype=F64) + 0.5) / 99
    step = 1e-6
    after, before = process.level(t + step).half_log_snr, process.level(t - step).half_log_snr
    with torch.inference_mode():
        rate = process.rate(t)
    assert rate == pytest.approx((after - before) / (2 * step), rel=1e-6)
    assert (rate < 0).all()


def test_the_rate_of_a_flow_is_known() -> None:
    t = torch.tensor([1e-9, 0.2, 0.5, 1 - 1e-9], dtype=F64)
    assert Flow().rate(t) == pytest.approx(-1 / (t * (1 - t)), rel=1e-12)


@pytest.mark.parametrize("process", ALL)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_every_prediction_is_finite_at_both_ends_of_every_process_or_refused(process: Process, prediction: str) -> None:
    ends = process.level(torch.tensor([0.0, 1.0]))
    numbers = PREDICTIONS[prediction](ends)
    finite = all(torch.isfinite(n).all() for n in (numbers.skip, numbers.out, numbers.data, numbers.noise))
    noisiest = process.level(torch.ones(1))
    if finite:
        check_prediction(prediction, noisiest)
    else:
        with pytest.raises(ValueError, match="pure noise"):
            check_prediction(prediction, noisiest)


@pytest.mark.parametrize("process", [VPLinear(), VPCosine(), VPCosine(0.1), TrigFlow(), Chain(), Shifted(Chain(), 2)])
def test_variance_is_preserved(process: Process) -> None:
    level = process.level(torch.linspace(0, 1, 101, dtype=F64))
    assert torch.allclose(level.scale, torch.ones(101, dtype=F64), atol=1e-14)


def test_vp_linear_and_sub_vp_are_the_integral_of_beta() -> None:
    t = torch.linspace(0, 1, 100_001, dtype=F64)
    beta = 0.1 + (20.0 - 0.1) * t
    integral = torch.cumulative_trapezoid(beta, t)
    for process in (VPLinear(0.1, 20.0), SubVP(0.1, 20.0)):
        assert torch.allclose(process.alpha(t[1:]), torch.exp(-0.5 * integral), rtol=1e-9)
    assert torch.allclose(SubVP(0.1, 20.0).sigma(t[1:]), 1 - torch.exp(-integral), rtol=1e-9)


def test_vp_linear_keeps_the_digits_of_small_sigma_in_float32() -> None:
    t = torch.tensor([1e-6])
    for process in (VPLinear(), SubVP(), VPCosine(), VPCosine(0.008)):
        assert torch.allclose(process.sigma(t).double(), process.sigma(t.double()), rtol=1e-6)


@pytest.mark.parametrize("process", [VPCosine(), VPCosine(0.008), TrigFlow()])
def test_the_cosines_reach_pure_noise_and_clean_data_exactly(process: Process) -> None:
    level = process.level(torch.tensor([0.0, 1.0]))
    assert level.alpha.tolist() == [1.0, 0.0]
    assert level.sigma.tolist() == [0.0, 1.0]


def test_the_cosine_with_an_offset_is_that_of_its_paper() -> None:
    t, s = torch.linspace(0, 1, 11, dtype=F64), 0.008
    f = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    assert VPCosine(s).alpha(t).square() == pytest.approx(f / f[0], abs=1e-15)
    with pytest.raises(ValueError, match="offset"):
        VPCosine(-0.1)


def test_trigflow_is_the_cosine_without_an_offset() -> None:
    t = torch.linspace(0, 1, 101, dtype=F64)
    ours, theirs = TrigFlow().level(t), VPCosine().level(t)
    assert ours.angle == pytest.approx(t * math.pi / 2, rel=1e-15)
    assert theirs.angle == pytest.approx(ours.angle, rel=1e-15)


def test_ve_spaces_the_root_of_sigma_evenly() -> None:
    process = VE(0.01, 50.0, rho=5.0)
    root = process.sigma(torch.linspace(0, 1, 11, dtype=F64)) ** (1 / 5)
    assert torch.allclose(root.diff(), root.diff()[0].expand(10))
    assert process.sigma(torch.tensor([0.0, 1.0], dtype=F64)).tolist() == pytest.approx([0.01, 50.0])


def test_edm_has_its_published_range_for_data_of_half_the_spread() -> None:
    t = torch.linspace(0, 1, 11, dtype=F64)
    assert EDM().sigma(t) == pytest.approx(VE(0.002, 80.0).sigma(t) / 0.5, rel=1e-12)


def test_the_geometric_process_multiplies_sigma_in_equal_steps() -> None:
    sigma = VEGeometric(0.01, 50.0).sigma(torch.linspace(0, 1, 11, dtype=F64))
    assert sigma == pytest.approx([0.01 * 5000 ** (i / 10) for i in range(11)])


@pytest.mark.parametrize("cls", [VE, EDM, VEGeometric])
@pytest.mark.parametrize("options", [{"sigma_min": 0}, {"sigma_max": -1}, {"sigma_min": float("nan")}])
def test_variance_exploding_processes_refuse_senseless_ranges(cls: type, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sigma"):
        cls(**options)
    with pytest.raises(ValueError, match="below"):
        cls(sigma_min=200.0)


@pytest.mark.parametrize("scale", ["base", "unit", "flow"])
@pytest.mark.parametrize("base", [Flow(), VE(), VPLinear(), Chain(zero_terminal_snr=True)])
def test_a_shift_takes_twice_its_logarithm_from_the_log_snr(base: Process, scale: str) -> None:
    t = torch.linspace(0.01, 0.99, 21, dtype=F64)
    shifted = Shifted(base, 3.0, scale)  # type: ignore[arg-type]
    level = shifted.level(t)
    assert level.half_log_snr == pytest.approx(base.level(t).half_log_snr - math.log(3), abs=1e-12)
    total = {"base": level.scale / base.level(t).scale, "unit": level.scale, "flow": level.alpha + level.sigma}[scale]
    assert total == pytest.approx(1, rel=1e-14)
    assert shifted.chain_steps == base.chain_steps


def test_a_shifted_flow_is_the_flow_at_the_shifted_time_of_sd3() -> None:
    t, s = torch.linspace(0, 1, 101, dtype=F64), 3.0
    moved = s * t / (1 + (s - 1) * t)
    level = Shifted(Flow(), s, "flow").level(t)
    assert level.sigma == pytest.approx(moved, rel=1e-15)
    assert level.alpha == pytest.approx(1 - moved, abs=1e-15)


def test_the_shift_for_more_points_is_the_root_of_how_many_more() -> None:
    assert shift_for(4096, tuned_at=1024) == 2.0
    # as in Hoogeboom et al. 2023: from 64 x 64 to 256 x 256 pixels, log-SNR + 2 log(64 / 256)
    assert shift_for(256**2, 64**2) == 256 / 64
    with pytest.raises(ValueError, match="tuned_at"):
        shift_for(10, 0)


def test_an_interpolated_shift_goes_from_one_shift_to_the_other() -> None:
    t = torch.tensor([0.0, 0.25, 1.0], dtype=F64)
    gap = torch.log(torch.tan(Interpolated(VE(), 0.5, 8.0).level(t).angle) / VE().sigma(t))
    assert gap == pytest.approx([math.log(0.5), 0.75 * math.log(0.5) + 0.25 * math.log(8), math.log(8)], abs=1e-9)
    with pytest.raises(ValueError, match="must be at least data_shift"):
        Interpolated(Flow(), 2.0, 1.0)


def test_the_base_of_a_shift_is_itself_a_choice() -> None:
    nested = {"name": "shifted", "shift": 2, "base": {"name": "shifted", "shift": 3, "base": "vp"}}
    assert choose("process", PROCESSES, nested) == Shifted(Shifted(VPLinear(), 3.0), 2.0)
    with pytest.raises(ValueError, match="shift must be positive"):
        choose("process", PROCESSES, {"name": "shifted", "shift": 0})


def test_a_process_of_ones_own_samples_like_any_other() -> None:
    data = Gaussian(torch.tensor([2.0], dtype=F64), torch.tensor([0.5], dtype=F64))
    x = torch.tensor([[-1.0], [0.0], [1.0]], dtype=F64)
    out = solve(data, x, Heun().table(grid(Arc(), 200)))
    # at alpha = 0 the start is a standard normal number, and the flow map of a Gaussian is linear in it
    assert out.flatten() == pytest.approx([1.5, 2.0, 2.5], abs=2e-3)


def test_terminal_snr_is_what_is_left_of_the_data() -> None:
    assert Flow().terminal_snr == VPCosine(0.008).terminal_snr == Chain(zero_terminal_snr=True).terminal_snr == 0
    assert VE().terminal_snr == pytest.approx(80.0**-2)
    assert VPLinear().terminal_snr == pytest.approx(1 / math.expm1(10.05))


def test_the_error_of_the_start_is_the_variance_that_it_misses() -> None:
    ten = VE(sigma_max=10.0).level(torch.ones((), dtype=F64))
    x0 = 0.7 * torch.special.ndtri((torch.arange(1000, dtype=F64) + 0.5) / 1000)
    x0 = x0 * (0.7 / x0.std(correction=0))
    true = float(x0.var(correction=0) * ten.alpha**2 + ten.sigma**2)
    assert prior_error(ten, 0.7) == pytest.approx(float(ten.scale) ** 2 / true - 1, rel=1e-9)
    assert prior_error(ten, 0.7) == pytest.approx(0.00507, abs=1e-5)
    assert prior_error(ten, 1.0) == 0


@pytest.mark.parametrize(
    ("process", "data_std", "share"),
    [(VE(sigma_max=10.0), 1.0, "0.99%"), (VE(sigma_max=10.0), 3.0, "8.26%"), (Chain(100), 1.0, "36.36%")],
)
def test_a_start_that_is_too_clean_is_refused_with_the_figures(process: Process, data_std: float, share: str) -> None:
    with pytest.raises(ValueError, match=rf"too clean.*terminal SNR.*{share}"):
        check_reach(process.level(torch.ones(())), data_std, tolerance=0.005)


def test_the_widest_direction_decides_and_only_what_failed_is_named() -> None:
    first = VE(sigma_max=10.1).level(torch.ones((), dtype=F64))
    check_reach(first)
    check_reach(first, 5.0)
    with pytest.raises(
        ValueError, match=r"38\.55% of the variance along the data's widest direction \(standard deviation 8\)"
    ):
        check_reach(first, 8.0)
    with pytest.raises(ValueError, match=r"3\.85% of the variance of a single element.*1000 / steps") as caught:
        check_reach(VE(sigma_max=5.0).level(torch.ones((), dtype=F64)), 1.5)
    assert "0.00%" not in str(caught.value)
    assert "widest" not in str(caught.value)


def test_at_the_widest_that_is_let_through_samples_are_a_tenth_too_narrow() -> None:
    first = VE(sigma_max=16.0).level(torch.ones((), dtype=F64))
    check_reach(first, 7.99)
    with pytest.raises(ValueError, match="widest"):
        check_reach(first, 8.01)
    target = Gaussian(torch.zeros(1, dtype=F64), torch.full((1,), 8.0, dtype=F64))
    # the flow of normal data is linear: the noise that it starts from is r wide
    out = solve(target, first.scale.reshape(1, 1), Heun().table(grid(VE(sigma_max=16.0), 200, "karras")))
    assert float(out) / 8 == pytest.approx(0.896, abs=0.002)


def test_wide_data_passes_under_every_process() -> None:
    for process in PROCESSES.values():
        check_reach(process().level(torch.ones(())), 20.0)


def test_a_start_that_is_noise_is_let_through() -> None:
    for process in PROCESSES.values():
        assert abs(check_reach(process().level(torch.ones(())), 3.0)) < 0.01


def test_a_level_broadcasts_against_a_batch() -> None:
    level = Level(torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.5]))
    assert level.like(torch.zeros(2, 7, 3)).alpha.shape == (2, 1, 1)
    scalar = Level(torch.tensor(1.0), torch.tensor(0.0))
    assert scalar.like(torch.zeros(2, 7, 3)).alpha.shape == ()


def test_half_the_log_snr_is_infinite_at_the_ends_and_nowhere_else() -> None:
    level = Flow().level(torch.tensor([0.0, 0.5, 1.0]))
    assert level.half_log_snr.tolist() == [math.inf, 0.0, -math.inf]
