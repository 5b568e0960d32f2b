"""Neighbors, farthest points and interpolation against SciPy, Open3D and their definitions."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ptdiff_pointcloud import ops
from ptdiff_pointcloud.ops import neighbors


def clouds(b: int, n: int, seed: int, d: int = 3) -> Tensor:
    return torch.randn(b, n, d, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("sizes", [(50, 40), (20, 1500)])
def test_the_nearest_are_those_of_scipy(sizes: tuple[int, int]) -> None:
    x, points = clouds(2, sizes[0], 0), clouds(2, sizes[1], 1)
    squared, index = ops.knn(x, points, 5)
    for i in range(2):
        distance, true = cKDTree(points[i].numpy()).query(x[i].numpy(), k=5)
        np.testing.assert_array_equal(index[i], true)
        np.testing.assert_allclose(squared[i].sqrt(), distance, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 4])
def test_trees_and_distances_find_the_same(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, points = clouds(2, 60, 0).float(), clouds(2, 70, 1).float()
    everything = ops.knn(x, points, k)
    monkeypatch.setattr(neighbors, "TREES_FROM", 10)
    monkeypatch.setattr(torch, "cdist", None)
    by_trees = ops.knn(x, points, k)
    assert torch.equal(everything[1], by_trees[1])
    assert torch.equal(everything[0], by_trees[0])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    x, sizes, cdist = clouds(3, 40, 0), [], torch.cdist

    def counted(*arguments: Tensor, **options: str) -> Tensor:
        found = cdist(*arguments, **options)
        sizes.append(found.numel())
        return found

    whole = ops.knn(x, x, 5)[1]
    monkeypatch.setattr(torch, "cdist", counted)
    for most in (40, 300, 1600, 3500):
        sizes.clear()
        monkeypatch.setattr(neighbors, "_DISTANCES", most)
        assert torch.equal(ops.knn(x, x, 5)[1], whole)
        assert max(sizes) <= most
        assert sum(sizes) == 3 * 40 * 40


def test_more_neighbors_than_points_are_refused() -> None:
    x = clouds(1, 4, 0)
    for k in (0, 5):
        with pytest.raises(ValueError, match="between 1 and the number of points, 4"):
            ops.knn(x, x, k)


def test_a_ball_holds_the_nearest_within_its_radius() -> None:
    x, points = clouds(2, 30, 0), clouds(2, 40, 1)
    index, inside = ops.ball_query(x, points, 0.8, 6)
    for i in range(2):
        tree = cKDTree(points[i].numpy())
        for j, query in enumerate(x[i].numpy()):
            true = tree.query_ball_point(query, 0.8)
            found = index[i, j][inside[i, j]].tolist()
            assert len(found) == min(6, len(true))
            assert set(found) <= set(true)
            nearest = tree.query(query)[1]
            assert (index[i, j][~inside[i, j]] == nearest).all()
    assert inside.any() and not inside.all()


def test_a_ball_may_ask_for_more_than_there_are() -> None:
    x = clouds(1, 3, 0)
    index, inside = ops.ball_query(x, x, 100.0, 5)
    assert index.shape == inside.shape == (1, 3, 5)
    assert inside[0].sum(-1).tolist() == [3, 3, 3]
    assert (index[..., 3:] == index[..., :1]).all()


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan")])
def test_a_radius_is_positive(radius: float) -> None:
    with pytest.raises(ValueError, match="radius"):
        ops.ball_query(clouds(1, 3, 0), clouds(1, 3, 1), radius, 1)


def greedy(x: Tensor, count: int, first: int) -> list[int]:
    taken = [first]
    while len(taken) < count:
        taken.append(int(torch.cdist(x, x[taken]).amin(1).argmax()))
    return taken


def test_each_sampled_point_is_the_farthest_from_those_before() -> None:
    x = clouds(3, 60, 0)
    for i, index in enumerate(ops.fps(x, 25)):
        first = int((x[i] - x[i].mean(0)).norm(dim=-1).argmax())
        assert index.tolist() == greedy(x[i], 25, first)
    assert ops.fps(x, 25, start=7)[1].tolist() == greedy(x[1], 25, 7)
    assert ops.fps(x, 60).sort().values[2].tolist() == list(range(60))


def test_farthest_points_are_those_of_open3d(open3d: Any) -> None:
    x = clouds(1, 300, 2)[0]
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(x.numpy()))
    theirs = np.asarray(cloud.farthest_point_down_sample(40).points)
    ours = x[ops.fps(x[None], 40, start=0)[0]].numpy()
    np.testing.assert_array_equal(np.sort(ours, axis=0), np.sort(theirs, axis=0))


def test_farthest_points_of_any_dimension_and_out_of_range() -> None:
    x = clouds(1, 20, 0, d=1)
    first, second = ops.fps(x, 2)[0].tolist()
    assert {first, second} == {int(x.argmin()), int(x.argmax())}
    for count, start in ((0, None), (21, None), (3, 20), (3, -1)):
        with pytest.raises(ValueError, match="must be"):
            ops.fps(x, count, start)


def test_interpolation_weighs_three_points_by_inverse_squared_distance() -> None:
    x, points, features = clouds(1, 12, 0), clouds(1, 20, 1), clouds(1, 20, 2, d=4)
    distance, index = cKDTree(points[0].numpy()).query(x[0].numpy(), k=3)
    weight = distance**-2 / (distance**-2).sum(1, keepdims=True)
    true = (weight[..., None] * features[0].numpy()[index]).sum(1)
    np.testing.assert_allclose(ops.three_interpolate(x, points, features)[0], true, rtol=1e-9)


def test_interpolation_is_exact_at_the_points_and_finite_with_its_gradient() -> None:
    points, features = clouds(1, 9, 1), clouds(1, 9, 2, d=4)
    twice = torch.cat([points, points[:, :1]], dim=1).requires_grad_()
    found = ops.three_interpolate(points, twice, torch.cat([features, 1 + features[:, :1]], dim=1))
    torch.testing.assert_close(found[:, 1:], features[:, 1:], rtol=0, atol=0)
    # between two points at one place: halfway between what they hold
    torch.testing.assert_close(found[:, 0], features[:, 0] + 0.5)
    found.sum().backward()
    assert twice.grad is not None and torch.isfinite(twice.grad).all()


def test_interpolation_from_fewer_than_three_points() -> None:
    x, points, features = clouds(1, 5, 0), clouds(1, 1, 1), clouds(1, 1, 2)
    assert torch.equal(ops.three_interpolate(x, points, features), features.expand(1, 5, 3))
