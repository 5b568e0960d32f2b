"""The Chamfer distance against its definition, by brute force and by SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ptdiff_pointcloud.metrics.chamfer import chamfer


def clouds(count: int, points: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, points, 3, generator=torch.Generator().manual_seed(seed))


def brute(x: Tensor, y: Tensor) -> Tensor:
    rows = []
    for a in x.double().numpy():
        squares = [cdist(a, b, "sqeuclidean") for b in y.double().numpy()]
        rows.append([s.min(1).mean() + s.min(0).mean() for s in squares])
    return torch.tensor(np.array(rows))


@pytest.mark.parametrize("points", [(1, 1), (64, 64), (64, 90), (767, 700), (1100, 1100), (700, 1300)])
def test_it_is_the_definition(points: tuple[int, int]) -> None:
    x, y = clouds(3, points[0], 0), clouds(4, points[1], 1)
    torch.testing.assert_close(chamfer(x, y), brute(x, y), rtol=1e-9, atol=1e-12)


def test_it_is_squared_and_the_sum_of_both_means() -> None:
    x = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    y = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    # 0 from x to y, (4 + 0) / 2 back
    assert chamfer(x, y).item() == 2.0


@pytest.mark.parametrize("points", [40, 1030])
def test_among_each_other_it_is_symmetric_with_a_zero_diagonal(points: int) -> None:
    x = clouds(5, points, 2)
    within = chamfer(x)
    torch.testing.assert_close(within, chamfer(x, x), rtol=1e-9, atol=1e-12)
    assert torch.equal(within, within.T)
    assert not within.diagonal().any()


def test_far_from_the_origin_small_distances_survive() -> None:
    x, y = clouds(2, 50, 0, 1e-2) + 100, clouds(2, 50, 1, 1e-2) + 100
    torch.testing.assert_close(chamfer(x, y), brute(x, y), rtol=1e-6, atol=0)


@pytest.mark.parametrize("points", [30, 800])
def test_equal_clouds_are_at_distance_zero(points: int) -> None:
    x = clouds(3, points, 0)
    order = torch.randperm(points, generator=torch.Generator().manual_seed(0))
    assert not chamfer(x, x[:, order]).diagonal().any()


SPOILS: dict[str, Callable[[Tensor], Tensor]] = {
    "near copies": lambda x: x + 1e-7 * x.flip(1),
    "on a line": lambda x: x * torch.tensor([1.0, 0, 0]),
    "one place": torch.ones_like,
    "many at few places": lambda x: x.round(),
    "one point far off": lambda x: torch.cat([x[:, 1:], torch.full_like(x[:, :1], 1e6)], 1),
    "small": lambda x: 1e-9 * x,
    "clouds far from each other": lambda x: torch.cat([x[:1], x[1:] + 1e7]),
    "of all sizes": lambda x: x.mul(20).exp(),
}


@pytest.mark.parametrize("points", [200, 800])
@pytest.mark.parametrize("name", SPOILS)
def test_six_digits_are_right_whatever_the_clouds(points: int, name: str) -> None:
    spoil = SPOILS[name]
    x = clouds(3, points, 5).double()
    y = torch.cat([x[:1], clouds(2, points, 6).double()])
    for a, b in ((spoil(x), y), (spoil(x), spoil(y)), (x, spoil(x))):
        torch.testing.assert_close(chamfer(a, b), brute(a, b), rtol=1e-6, atol=0)


@pytest.mark.parametrize("among", [False, True])
def test_progress_counts_every_pair_once(among: bool) -> None:
    seen: list[tuple[int, int]] = []
    x = clouds(5, 10, 0)
    chamfer(x, None if among else clouds(3, 10, 1), lambda done, total: seen.append((done, total)))
    total = 10 if among else 15
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("bad", [torch.zeros(3, 10, 2), torch.zeros(10, 3), torch.zeros(2, 0, 3)])
def test_what_is_no_set_of_clouds_is_refused(bad: Tensor) -> None:
    with pytest.raises(ValueError, match="clouds must have shape"):
        chamfer(bad, clouds(2, 10, 0))


def test_coordinates_that_are_not_finite_are_refused() -> None:
    x = clouds(2, 10, 0)
    x[1, 3, 2] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        chamfer(clouds(2, 10, 0), x)
