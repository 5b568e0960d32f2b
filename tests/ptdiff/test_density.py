"""Densities of noise levels: their quantiles are the stated ones, and so is what they say of themselves."""

import itertools
import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from ptdiff.density import (
    DENSITIES,
    LEAST,
    MOST,
    Cosine,
    CosineInterpolated,
    Density,
    LogitNormal,
    LogLogistic,
    LogNormal,
    LogUniform,
    LossAware,
    Mode,
    SplitLogNormal,
    Truncated,
    Uniform,
    stratified,
)
from ptdiff.process import PROCESSES, VE, Chain, Flow, Interpolated, TrigFlow, VPCosine, VPLinear

F64 = torch.float64
U = torch.linspace(0.001, 0.999, 999, dtype=F64)
EACH: dict[str, Density] = {name: cls() for name, cls in DENSITIES.items()} | {
    "skewed": SplitLogNormal(0.3, 0.4, 2.0),
    "heavy ends": Mode(-0.9),
    "shifted": Cosine(4.0),
    "interpolated": CosineInterpolated(0.25, 16.0),
    "by the loss": LossAware(LogitNormal(0.5, 0.7)),
}


def test_uniform_spreads_time_evenly() -> None:
    assert torch.allclose(Uniform().levels(U, Flow()).sigma, U)


def test_logit_normal_has_its_quantiles() -> None:
    t = LogitNormal(0.5, 1.3).levels(U, Flow()).sigma.numpy()
    assert scipy.special.logit(t) == pytest.approx(scipy.stats.norm.ppf(U.numpy(), 0.5, 1.3), abs=1e-9)


def test_mode_is_the_formula_of_sd3_in_rising_order() -> None:
    u = U.numpy()
    for s in (-1.0, -0.3, 0.0, 1.29, 2 / (math.pi - 2)):
        paper = 1 - u - s * (np.cos(math.pi / 2 * u) ** 2 - 1 + u)
        t = Mode(s).levels(U, Flow()).sigma
        assert t.numpy() == pytest.approx(np.sort(paper), abs=1e-12)
        assert (t.diff() > 0).all()


def test_densities_of_the_ratio_are_the_same_under_every_process() -> None:
    u = U.numpy()
    expected: list[tuple[Density, object]] = [
        (LogNormal(-0.5, 1.2), scipy.stats.norm.ppf(u, -0.5, 1.2)),
        (LogUniform(0.01, 10), math.log(0.01) + u * math.log(1000)),
        (LogLogistic(-0.2, 0.7), scipy.stats.logistic.ppf(u, -0.2, 0.7)),
        (SplitLogNormal(0.4, 1.2, 1.2), scipy.stats.norm.ppf(u, 0.4, 1.2)),
        (Cosine(2.0), np.log(2.0 * np.tan(math.pi * u / 2))),
    ]
    for process in (cls() for cls in PROCESSES.values()):
        for density, log_ratio in expected:
            assert (-density.levels(U, process).half_log_snr).numpy() == pytest.approx(log_ratio, abs=1e-9)


def test_cosine_is_the_uniform_density_of_trigflow() -> None:
    assert Cosine().levels(U, Flow()).angle == pytest.approx(Uniform().levels(U, TrigFlow()).angle, rel=1e-12)


def test_the_interpolated_cosine_is_the_uniform_density_of_the_interpolated_process() -> None:
    process = Interpolated(VPCosine(), 0.5, 4.0)
    ours, theirs = CosineInterpolated(0.5, 4.0).levels(U, Flow()), Uniform().levels(U, process)
    assert ours.angle == pytest.approx(theirs.angle, rel=1e-12)


def test_the_split_log_normal_has_two_widths_and_no_jump() -> None:
    density = SplitLogNormal(0.3, 0.5, 2.0)
    log_ratio = -density.levels(U, Flow()).half_log_snr
    below = U < 0.5 / 2.5
    assert (log_ratio[below] < 0.3).all()
    assert (log_ratio[~below] > 0.3 - 1e-9).all()
    # the median distance of half a normal distribution from its mode is 0.6745 widths
    at = torch.tensor([0.1, 0.6], dtype=F64)
    assert (-density.levels(at, Flow()).half_log_snr).tolist() == pytest.approx(
        [0.3 - 0.67449 * 0.5, 0.3 + 0.67449 * 2], abs=1e-4
    )


PAIRS = [(d, p) for d, p in itertools.product(EACH, PROCESSES) if d in ("uniform", "mode", "logit-normal")] + [
    (d, "vp") for d in EACH
]


@pytest.mark.parametrize(("density", "process"), PAIRS)
def test_the_density_is_the_slope_of_the_distribution_function(density: str, process: str) -> None:
    which, under = EACH[density], PROCESSES[process]()
    u, step = torch.linspace(0.005, 0.995, 100, dtype=F64), 1e-6
    at, before, after = (which.levels(v, under).half_log_snr for v in (u, u - step, u + step))
    slope = 2 * step / (before - after)
    # where the distribution function has a corner, or the chain a knot, there is no slope
    smooth = ((before - at) / (at - after) - 1).abs() < 1e-3
    assert smooth.double().mean() > 0.95
    assert torch.exp(which.log_density(at, under))[smooth] == pytest.approx(slope[smooth], rel=1e-6)


@pytest.mark.parametrize("process", ["flow", "ve", "vp", "chain"])
@pytest.mark.parametrize("density", EACH)
def test_the_density_integrates_to_one(density: str, process: str) -> None:
    which, under = EACH[density], PROCESSES[process]()
    ends = which.levels(torch.tensor([1e-13, 1 - 1e-13], dtype=F64), under).half_log_snr
    lam = torch.linspace(float(ends[1]), float(ends[0]), 25_001, dtype=F64)
    p = torch.exp(which.log_density(lam, under))
    # the first and the last point may lie on the border, where the density jumps to zero
    assert float(torch.trapezoid(p[1:-1], lam[1:-1])) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("process", ["flow", "ve"])
@pytest.mark.parametrize("density", EACH)
def test_a_truncated_density_is_its_base_given_that_there_is_not_more_noise(density: str, process: str) -> None:
    which, under, u = EACH[density], PROCESSES[process](), torch.linspace(0.01, 0.99, 99, dtype=F64)
    cut = Truncated.of(which, under, 1.0)
    found = cut.levels(u, under)
    assert float(found.angle.max()) <= 1.0
    torch.testing.assert_close(found.angle, which.levels(u * cut.share, under).angle)
    assert float(which.levels(torch.tensor([cut.share], dtype=F64), under).angle) == pytest.approx(1.0, abs=1e-6)
    lam = found.half_log_snr
    torch.testing.assert_close(cut.log_density(lam, under), which.log_density(lam, under) - math.log(cut.share))
    beyond = torch.tensor([-math.log(math.tan(1.1))], dtype=F64)
    assert float(cut.log_density(beyond, under)) == -math.inf


@pytest.mark.parametrize("density", EACH)
def test_the_density_fits_the_histogram_of_its_levels(density: str) -> None:
    which, under, count = EACH[density], VPLinear(), 200_000
    lam = which.levels(stratified(torch.tensor([0.5 / count], dtype=F64), count), under).half_log_snr
    edges = torch.linspace(-3, 3, 61, dtype=F64)
    found = torch.histogram(lam, edges).hist / count / edges.diff()
    fine = torch.linspace(-3, 3, 60 * 20 + 1, dtype=F64)
    p = torch.exp(which.log_density(fine, under))
    cells = torch.stack([torch.trapezoid(p[20 * k : 20 * k + 21], dx=0.005) for k in range(60)]) / 0.1
    assert found == pytest.approx(cells, abs=2e-3)


def test_densities_of_known_form_keep_all_digits() -> None:
    lam = torch.linspace(-4, 4, 41, dtype=F64)
    y = -lam.numpy()
    expected: list[tuple[Density, object]] = [
        (LogNormal(-0.5, 1.2), scipy.stats.norm.logpdf(y, -0.5, 1.2)),
        (SplitLogNormal(-0.5, 1.2, 1.2), scipy.stats.norm.logpdf(y, -0.5, 1.2)),
        (LogUniform(0.001, 1000), scipy.stats.uniform.logpdf(y, math.log(0.001), math.log(1e6))),
        (LogLogistic(-0.5, 0.7), scipy.stats.logistic.logpdf(y, -0.5, 0.7)),
        (Cosine(2.0), scipy.stats.hypsecant.logpdf(y, math.log(2.0))),
    ]
    for density, known in expected:
        assert density.log_density(lam, VPLinear()).numpy() == pytest.approx(known, abs=1e-13), density
    t = torch.sigmoid(lam)  # of the flow, lambda = log((1 - t) / t)
    assert Uniform().log_density(-lam, Flow()) == pytest.approx(torch.log(t * (1 - t)), abs=1e-12)
    logit = scipy.stats.norm.logpdf(lam.numpy(), 0.5, 1.3)
    assert LogitNormal(0.5, 1.3).log_density(-lam, Flow()).numpy() == pytest.approx(logit, abs=1e-12)


@pytest.mark.parametrize("density", ["uniform", "logit-normal", "mode"])
def test_there_is_no_density_where_the_process_does_not_go(density: str) -> None:
    outside = torch.tensor([-math.log(81.0), -math.log(0.0019), math.inf, -math.inf], dtype=F64)
    inside = torch.tensor([-math.log(79.0), -math.log(0.0021)], dtype=F64)
    assert (EACH[density].log_density(outside, VE()) == -math.inf).all()
    assert torch.isfinite(EACH[density].log_density(inside, VE())).all()
    assert (LogUniform(0.002, 80.0).log_density(outside, Flow()) == -math.inf).all()


def test_a_density_says_the_same_in_single_precision_and_in_inference_mode() -> None:
    lam = torch.linspace(-3, 3, 7)
    with torch.inference_mode():
        single = Uniform().log_density(lam, Chain(100, "cosine"))
    assert single.dtype == F64
    assert single == pytest.approx(Uniform().log_density(lam.double(), Chain(100, "cosine")), abs=1e-6)


@pytest.mark.parametrize("density", EACH)
def test_levels_are_finite_for_the_most_extreme_numbers(density: str) -> None:
    u = torch.cat([stratified(torch.zeros(1, dtype=F64), 4), torch.tensor([LEAST, MOST], dtype=F64)])
    for process in (cls() for cls in PROCESSES.values()):
        level = EACH[density].levels(u, process)
        assert level.alpha.dtype == level.sigma.dtype == F64
        assert torch.isfinite(level.alpha).all()
        assert torch.isfinite(level.sigma).all()
        assert (level.scale > 0).all()


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (LogitNormal, {"std": 0.0}),
        (LogNormal, {"std": -1.0}),
        (SplitLogNormal, {"std_low": 0.0}),
        (LogUniform, {"low": 90.0}),
        (LogLogistic, {"scale": math.nan}),
        (Mode, {"s": 2.0}),
        (Cosine, {"shift": 0.0}),
        (CosineInterpolated, {"noise_shift": 0.5}),
        (LossAware, {"bins": 0}),
        (LossAware, {"floor": 0.0}),
        (LossAware, {"decay": 1.5}),
    ],
)
def test_options_outside_their_range_are_refused(cls: type, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        cls(**options)


def test_stratified_numbers_fill_every_stratum_once_and_are_uniform_over_offsets() -> None:
    for offset in (0.0, 0.31, 0.999999):
        u = stratified(torch.tensor([offset], dtype=F64), 32)
        assert sorted((u * 32).floor().long().tolist()) == list(range(32))
        assert float(u.min()) >= LEAST and float(u.max()) <= MOST
    offsets = torch.rand(2000, 1, generator=torch.Generator().manual_seed(0), dtype=F64)
    first = stratified(offsets, 32)[:, 0]
    assert scipy.stats.kstest(first.numpy(), "uniform").pvalue > 1e-3
