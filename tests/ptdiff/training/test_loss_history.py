"""Levels drawn by their loss: the mean loss stays that of the base density, and its variance falls."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptdiff.density import LEAST, MOST, LossAware, stratified
from ptdiff.training.loss_history import LossHistory

U = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000


def taught(squares: Tensor, floor: float = 0.01, decay: float = 0.9) -> LossHistory:
    """A history that has seen many losses with these second moments by bin."""
    history = LossHistory(LossAware(bins=len(squares), floor=floor, decay=decay))
    history.sums = torch.stack([1e9 * squares, torch.full_like(squares, 1e9)])
    return history


MOMENTS = torch.tensor([9.0, 0.25, 1.0, 0.04, 4.0], dtype=torch.float64)


def test_without_losses_levels_are_those_of_the_base() -> None:
    place, importance = LossHistory(LossAware()).aim(U)
    torch.testing.assert_close(place, U)
    torch.testing.assert_close(importance, torch.ones_like(U))


def test_bins_are_drawn_as_often_as_the_root_of_their_second_moment() -> None:
    place, importance = taught(MOMENTS, floor=1e-9).aim(U)
    counts = torch.bincount((place * 5).long(), minlength=5) / len(U)
    share = torch.sqrt(MOMENTS) / torch.sqrt(MOMENTS).sum()
    torch.testing.assert_close(counts.double(), share, atol=1e-5, rtol=0)
    torch.testing.assert_close(importance, (1 / (5 * share))[(place * 5).long()], rtol=1e-6, atol=0)


def test_the_mean_loss_is_that_of_the_base_whatever_was_learned() -> None:
    def loss(place: Tensor) -> Tensor:
        return 1 + torch.sin(7 * place) + place**3

    exact = 1 + (1 - math.cos(7)) / 7 + 1 / 4
    for history in (LossHistory(LossAware()), taught(MOMENTS), taught(MOMENTS, floor=0.5)):
        place, importance = history.aim(U)
        # an edge of a bin falls between two of the numbers
        assert float((importance * loss(place)).mean()) == pytest.approx(exact, abs=3e-5)
        assert float(importance.mean()) == pytest.approx(1, abs=3e-5)


def test_the_variance_of_the_mean_loss_falls_to_its_bound() -> None:
    # a loss that is constant in a bin has no variance left, with a floor of nothing
    root = torch.sqrt(MOMENTS)
    place, importance = taught(MOMENTS, floor=1e-12).aim(U)
    weighted = importance * root[(place * 5).long()]
    assert float(weighted.var()) < 1e-6 < 0.5 < float(root.var())


def test_places_rise_with_the_numbers_stay_inside_and_importances_are_bounded() -> None:
    for moments in (MOMENTS, torch.tensor([1e30, 0.0, 0.0], dtype=torch.float64), torch.zeros(4, dtype=torch.float64)):
        u = torch.cat([torch.tensor([LEAST], dtype=torch.float64), U, torch.tensor([MOST], dtype=torch.float64)])
        place, importance = taught(moments, floor=0.01).aim(u)
        assert bool((place.diff() >= 0).all())
        assert float(place.min()) >= LEAST and float(place.max()) <= MOST
        assert float(importance.max()) <= 1 / 0.01 + 1e-9
        assert torch.isfinite(importance).all()


def test_stratified_numbers_stay_spread_over_the_learned_density() -> None:
    u = stratified(torch.tensor([0.37], dtype=torch.float64), 16)
    place, _ = taught(MOMENTS).aim(u)
    p = taught(MOMENTS).probabilities()
    counts = torch.bincount((place * 5).long(), minlength=5)
    assert bool(((counts - 16 * p).abs() < 1).all())


def test_what_was_measured_is_summed_by_bin_and_forgotten() -> None:
    history = LossHistory(LossAware(bins=4, decay=0.5))
    place = torch.tensor([0.1, 0.2, 0.6, MOST], dtype=torch.float64)
    history.learn(history.measured(place, torch.tensor([1.0, 3.0, 2.0, -5.0])))
    assert history.sums.tolist() == [[10.0, 0.0, 4.0, 25.0], [2.0, 0.0, 1.0, 1.0]]
    history.learn(history.measured(place[:1], torch.tensor([2.0])))
    assert history.sums.tolist() == [[9.0, 0.0, 2.0, 12.5], [2.0, 0.0, 0.5, 0.5]]


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    history = LossHistory(LossAware(bins=8))
    place, losses = U[::4000], torch.rand(100, generator=torch.Generator().manual_seed(0))
    parts = history.measured(place[:37], losses[:37]) + history.measured(place[37:], losses[37:])
    torch.testing.assert_close(parts, history.measured(place, losses))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_losses_that_are_not_finite_teach_nothing(bad: float) -> None:
    history = LossHistory(LossAware(bins=2))
    place = torch.tensor([0.1, 0.2, 0.9], dtype=torch.float64)
    assert history.measured(place, torch.tensor([bad, 3.0, bad])).tolist() == [[9.0, 0.0], [1.0, 0.0]]


def test_a_bin_that_was_not_seen_is_as_the_others() -> None:
    history = LossHistory(LossAware(bins=3, floor=1e-9))
    history.learn(history.measured(torch.tensor([0.1, 0.5]), torch.tensor([2.0, 2.0])))
    torch.testing.assert_close(history.probabilities(), torch.full((3,), 1 / 3, dtype=torch.float64))
