"""Brownian paths: moments, additivity, and independence of everything but (seed, sample, time)."""

import math
from itertools import pairwise

import pytest
import torch

from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import Flow
from ptdiff.solvers import Draw, Stage, Table
from ptdiff.solvers.brownian import CELLS, BrownianPath
from ptdiff.solvers.exponential import DDPM

# from 0, below the floor, inside one octave, over octave borders, both sides of a border of cells, far out
TIMES = [0.0, 3e-8, 4e-7, 1e-4, 0.3, 0.31, 0.7, 1.0, 1.0005, 1.0 + 1 / CELLS, 1.0014, 1.3, 1.8, 2.5, 9.0, 5e4, 6e7]
IDS = torch.arange(100)
SHAPE = (240,)


@pytest.fixture(scope="module")
def increments() -> list[torch.Tensor]:
    path = BrownianPath(1, IDS, SHAPE)
    return [path.increment(a, b).double() for a, b in pairwise(TIMES)]


def test_increments_are_standard_normal_numbers(increments: list[torch.Tensor]) -> None:
    for z in increments:
        n = z.numel()
        assert abs(float(z.mean())) < 4 / n**0.5
        assert abs(float(z.square().mean()) - 1) < 4 * (2 / n) ** 0.5
        assert abs(float(z.pow(4).mean()) - 3) < 4 * (96 / n) ** 0.5


def test_increments_over_different_intervals_samples_and_elements_are_uncorrelated(
    increments: list[torch.Tensor],
) -> None:
    z = torch.stack([z.flatten() for z in increments])
    correlation = z @ z.T / z.shape[1] - torch.eye(len(z))
    off = correlation - torch.diag(torch.diag(correlation))
    assert float(off.abs().max()) < 4.5 / z.shape[1] ** 0.5
    for z in increments:
        assert abs(float((z[1:] * z[:-1]).mean())) < 4 / z.numel() ** 0.5
        assert abs(float((z[:, 1:] * z[:, :-1]).mean())) < 4 / z.numel() ** 0.5


def test_increments_add_up(increments: list[torch.Tensor]) -> None:
    path = BrownianPath(1, IDS, SHAPE)
    for i in range(0, len(TIMES), 3):
        for j in range(i + 1, len(TIMES)):
            whole = path.increment(TIMES[i], TIMES[j]).double()
            parts = sum(
                (increments[k] * math.sqrt((TIMES[k + 1] - TIMES[k]) / (TIMES[j] - TIMES[i])) for k in range(i, j)),
                start=torch.zeros(()),
            )
            assert torch.allclose(whole, parts, atol=5e-6)


def test_an_increment_depends_on_seed_sample_and_interval_alone() -> None:
    fresh = BrownianPath(1, IDS, SHAPE)
    walked = BrownianPath(1, IDS, SHAPE)
    for k in range(40):
        walked.increment(0.1 * 1.2**k, 0.1 * 1.2 ** (k + 1))
    alone = BrownianPath(1, torch.tensor([17]), SHAPE)
    for a, b in [(0.0, 0.5), (0.31, 0.32), (0.9, 77.7), (1.0, 2.0), (0.31, 0.32)]:
        assert torch.equal(walked.increment(a, b), fresh.increment(a, b))
        assert torch.equal(alone.increment(a, b)[0], fresh.increment(a, b)[17])
        assert not torch.isclose(BrownianPath(2, IDS, SHAPE).increment(a, b), fresh.increment(a, b)).all(dim=1).any()


def test_last_bits_of_a_time_do_not_matter() -> None:
    path = BrownianPath(0, torch.arange(3), (5,))
    for a in (0.123, 1.0, 57.1):
        near = a * (1 + 1e-15)
        assert torch.equal(path.increment(a, 3 * a), path.increment(near, 3 * near))


def test_a_walk_needs_few_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counting(*args):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        return normal(*args)

    monkeypatch.setattr("ptdiff.solvers.brownian.normal", counting)
    path = BrownianPath(0, torch.arange(1), (1,))
    times = [0.1 * 100 ** (k / 160) for k in range(161)]
    for a, b in pairwise(times):
        path.increment(a, b)
    # 7 octaves, 24 levels in each: most of the ten halvings are shared
    assert calls / 160 < 7.5


@pytest.mark.parametrize(("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_times_that_are_no_interval_are_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="an increment of a Brownian path needs SNR"):
        BrownianPath(0, IDS, SHAPE).increment(start, end)


@pytest.mark.parametrize(("start", "end"), [(1.2002, 1.2003), (1.0, 1.0 + 1e-12), (1e-300, 2e-300)])
def test_levels_inside_one_cell_are_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="too close for a Brownian path"):
        BrownianPath(0, IDS, SHAPE).increment(start, end)


def test_draws_of_a_table_are_the_paths_or_fresh() -> None:
    levels = ((0.0, 1.0), (0.5, 0.5), (0.8, 0.2))
    path_draw, fresh = Draw(levels[0], levels[1]), Draw(levels[1], levels[2], fresh=0)
    again = Draw(levels[1], levels[2], fresh=1)
    table = Table((Stage(1.0), Stage(1.0, noise=((path_draw, 1.0), (fresh, 1.0), (again, 1.0)))), levels[:2])
    path = BrownianPath(4, torch.arange(8), (3,))
    noise = path.noise(table)
    assert torch.equal(noise(0), path.increment(0.0, 1.0))
    assert torch.equal(noise(1), normal(4, Stream.FRESH, torch.arange(8), 1, (3,)))
    assert not torch.isclose(noise(1), noise(2)).any()


def test_tables_of_different_lengths_walk_along_one_path() -> None:
    path = BrownianPath(0, torch.arange(4), (7,))
    coarse, fine = DDPM().table(grid(Flow(), 10)), DDPM().table(grid(Flow(), 20))
    of_coarse, of_fine = path.noise(coarse), path.noise(fine)
    for k, draw in enumerate(coarse.draws):
        a, b = draw.span
        middle = fine.draws[2 * k].span[1]
        pieces = (middle - a, of_fine(2 * k)), (b - middle, of_fine(2 * k + 1))
        joined = sum((math.sqrt(span / (b - a)) * z for span, z in pieces), start=torch.zeros(()))
        assert torch.allclose(of_coarse(k), joined, atol=1e-5)
