"""Searches of trees against SciPy's and by brute force, and the threads that they take."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from ptdiff_pointcloud.metrics.trees import Floats, Tree, trees_of


def cloud(points: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(points, 3))


@pytest.mark.parametrize("points", [1, 2, 15, 16, 17, 33, 900])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_nearest_point_is_that_of_brute_force(points: int, scale: float) -> None:
    data, queries = scale * cloud(points, 0), scale * cloud(50, 1)
    tree = Tree(data)
    distances, places = tree.nearest(queries)
    true = cdist(queries, data)
    np.testing.assert_allclose(distances, true.min(1), rtol=1e-12)
    np.testing.assert_allclose(tree.squares(queries), true.min(1) ** 2, rtol=1e-12)
    # places are among the points in the tree's own order
    np.testing.assert_array_equal(tree.points[places], data[true.argmin(1)])


def test_a_tree_holds_every_point_once() -> None:
    data = cloud(300, 2).round(1)
    assert sorted(map(tuple, Tree(data).points)) == sorted(map(tuple, data))


@pytest.mark.parametrize("distinct", [1, 3])
def test_many_points_at_few_places_are_found(distinct: int) -> None:
    places = cloud(distinct, 3)
    tree = Tree(np.repeat(places, 700, axis=0))
    np.testing.assert_allclose(tree.nearest(cloud(40, 4))[0], cdist(cloud(40, 4), places).min(1))


def test_trees_of_float32_clouds_are_searched_in_float64() -> None:
    clouds = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(0)) + 1e4
    for tree, points in zip(trees_of(clouds), clouds.double().numpy(), strict=True):
        assert not tree.squares(points).any()
        assert tree.points.dtype == np.float64


THREADS = """
from threadpoolctl import threadpool_info
from ptdiff_pointcloud.metrics.matrix import spread

def openmp(_):
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp"]

for found in [*spread(openmp, range(4)), openmp(0)]:
    print(*found)
"""


def test_a_thread_that_work_is_spread_over_gives_libraries_no_more_threads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    *spread_over, outside = [line.split() for line in done.stdout.splitlines()]
    assert len(spread_over) == 4
    for found in spread_over:
        assert len(found) >= 2  # torch's and the trees'
        assert set(found) == {"1"}
    assert set(outside) == {"2"}
