"""Densities of noise levels: their quantiles are the stated ones."""

import math

import pytest
import scipy.special
import scipy.stats
import torch

from ptdiff.density import DENSITIES, LogitNormal, LogNormal, LogUniform, Uniform, stratified
from ptdiff.process import PROCESSES, Flow

U = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)


def test_uniform_spreads_time_evenly() -> None:
    assert torch.allclose(Uniform().levels(U, Flow()).sigma, U)


def test_logit_normal_has_its_quantiles() -> None:
    t = LogitNormal(0.5, 1.3).levels(U, Flow()).sigma.numpy()
    assert scipy.special.logit(t) == pytest.approx(scipy.stats.norm.ppf(U.numpy(), 0.5, 1.3), abs=1e-9)


def test_log_normal_and_log_uniform_are_stated_in_the_ratio_whatever_the_process() -> None:
    for process in (cls() for cls in PROCESSES.values()):
        level = LogNormal(-0.5, 1.2).levels(U, process)
        assert torch.log(level.sigma / level.alpha).numpy() == pytest.approx(scipy.stats.norm.ppf(U, -0.5, 1.2))
        level = LogUniform(0.01, 10).levels(U, process)
        assert torch.log(level.sigma / level.alpha).numpy() == pytest.approx(
            math.log(0.01) + U.numpy() * math.log(1000)
        )


@pytest.mark.parametrize("density", DENSITIES)
def test_levels_are_finite_for_the_most_extreme_numbers(density: str) -> None:
    u = stratified(torch.zeros(1, dtype=torch.float64), 4)
    u = torch.cat([u, 1 - u, torch.tensor([math.ulp(0.5) / 2, 1 - math.ulp(0.5)], dtype=torch.float64)])
    for process in (cls() for cls in PROCESSES.values()):
        level = DENSITIES[density]().levels(u.clamp(math.ulp(0.5) / 2, 1 - math.ulp(0.5)), process)
        assert torch.isfinite(level.alpha).all()
        assert torch.isfinite(level.sigma).all()
        assert (level.scale > 0).all()


def test_stratified_numbers_fill_every_stratum_once_and_are_uniform_over_offsets() -> None:
    for offset in (0.0, 0.31, 0.999999):
        u = stratified(torch.tensor([offset], dtype=torch.float64), 32)
        assert sorted((u * 32).floor().long().tolist()) == list(range(32))
    offsets = torch.rand(2000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first = stratified(offsets, 32)[:, 0]
    assert scipy.stats.kstest(first.numpy(), "uniform").pvalue > 1e-3
