"""Voxels against loops and SciPy's interpolation; normals against Open3D and surfaces that are known."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor

from ptdiff_datasets.shapes import make_shape
from ptdiff_pointcloud import ops


def clouds(b: int, n: int, seed: int, d: int = 3) -> Tensor:
    return torch.randn(b, n, d, generator=torch.Generator().manual_seed(seed)).double()


def test_a_node_holds_the_mean_of_its_points() -> None:
    x, features = 0.6 * clouds(2, 200, 0), clouds(2, 200, 1, d=2)
    grid = ops.voxelize(x, features, 4)
    for i in range(2):
        cells: dict[tuple[int, ...], list[Tensor]] = {}
        for point, feature in zip(x[i], features[i], strict=True):
            node = tuple(min(3, max(0, round((float(c) + 1) * 1.5))) for c in point)
            cells.setdefault(node, []).append(feature)
        true = torch.zeros(2, 4, 4, 4).double()
        for (a, b, c), found in cells.items():
            true[:, a, b, c] = torch.stack(found).mean(0)
        torch.testing.assert_close(grid[i], true)
        assert 10 < len(cells) < 64


def test_points_that_are_absent_do_not_count() -> None:
    x, features = clouds(1, 50, 0), clouds(1, 50, 1)
    present = torch.arange(50)[None] < 30
    hostile = torch.where(present[..., None], features, torch.nan)
    assert torch.equal(ops.voxelize(x, hostile, 3, present), ops.voxelize(x[:, :30], features[:, :30], 3))


def test_points_read_the_grid_as_scipy_interpolates() -> None:
    grid, x = clouds(2, 4**3, 0, d=5).mT.reshape(2, 5, 4, 4, 4), 0.9 * torch.tanh(clouds(2, 30, 1))
    axis = np.linspace(-1, 1, 4)
    for i in range(2):
        true = RegularGridInterpolator((axis, axis, axis), grid[i].permute(1, 2, 3, 0).numpy())(x[i].numpy())
        np.testing.assert_allclose(ops.devoxelize(grid, x)[i], true, atol=1e-12)


def test_points_beyond_the_cube_count_as_on_its_faces() -> None:
    x, features = 3 * clouds(1, 40, 0), clouds(1, 40, 1)
    grid = ops.voxelize(x, features, 4)
    assert torch.equal(grid, ops.voxelize(x.clamp(-1, 1), features, 4))
    torch.testing.assert_close(ops.devoxelize(grid, x), ops.devoxelize(grid, x.clamp(-1, 1)))


def test_at_the_nodes_there_and_back_is_the_identity() -> None:
    axis = torch.linspace(-1, 1, 3).double()
    x = torch.cartesian_prod(axis, axis, axis)[None]
    features = clouds(1, 27, 1)
    torch.testing.assert_close(ops.devoxelize(ops.voxelize(x, features, 3), x), features)


def test_half_precision_sums_in_float32() -> None:
    # 300 ones: bfloat16 sums stop at 256
    grid = ops.voxelize(torch.zeros(1, 300, 3), torch.ones(1, 300, 1, dtype=torch.bfloat16), 3)
    assert grid.dtype == torch.bfloat16
    assert grid[0, 0, 1, 1, 1] == 1


def test_a_grid_has_two_nodes_a_side_at_least() -> None:
    with pytest.raises(ValueError, match="resolution"):
        ops.voxelize(clouds(1, 4, 0), clouds(1, 4, 1), 1)
    with pytest.raises(ValueError, match="grid"):
        ops.devoxelize(torch.zeros(2, 3, 4, 4, 4), torch.zeros(1, 5, 3))


def test_normals_are_those_of_open3d(open3d: Any) -> None:
    x = make_shape("chair", 0).points(600).astype(np.float64)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(x))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(16), fast_normal_computation=False)
    theirs = np.asarray(cloud.normals)
    ours = ops.estimate_normals(torch.from_numpy(x)[None], 16)[0].numpy()
    np.testing.assert_allclose(np.abs((ours * theirs).sum(-1)), 1, atol=1e-6)


@pytest.mark.parametrize("orient", ["tree", "center"])
def test_normals_of_a_sphere_point_out(orient: str) -> None:
    x = torch.nn.functional.normalize(clouds(2, 500, 0), dim=-1)
    normals = ops.estimate_normals(x + 5, 12, orient=orient)  # type: ignore[arg-type]
    assert ((normals * x).sum(-1) > 0.9).all()


def test_a_tree_orients_a_torus_and_the_center_cannot() -> None:
    u, v = (6.283185307 * torch.rand(2, 1500, generator=torch.Generator().manual_seed(0)).double()).unbind()
    out = torch.stack([v.cos() * u.cos(), v.sin(), v.cos() * u.sin()], dim=-1)
    ring = torch.stack([u.cos(), 0 * u, u.sin()], dim=-1)
    x = (ring + 0.4 * out)[None]
    assert ((ops.estimate_normals(x)[0] * out).sum(-1) > 0).all()
    assert ((ops.estimate_normals(x, orient="center")[0] * out).sum(-1) < 0).any()


def test_disjoint_parts_are_each_oriented() -> None:
    ball = torch.nn.functional.normalize(clouds(1, 200, 0), dim=-1)
    normals = ops.estimate_normals(torch.cat([ball - 5, ball + 5], dim=1), 10)
    assert ((normals * torch.cat([ball, ball], dim=1)).sum(-1) > 0).all()


def test_normals_have_unit_length_even_where_points_coincide() -> None:
    normals = ops.estimate_normals(torch.zeros(1, 9, 3), 5)
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(1, 9))


def test_normals_need_three_points_in_space() -> None:
    for x, k in ((clouds(1, 2, 0), 16), (clouds(1, 9, 0), 2), (clouds(1, 9, 0, d=2), 4)):
        with pytest.raises(ValueError, match="three neighbors"):
            ops.estimate_normals(x, k)
    with pytest.raises(ValueError, match="tree or center"):
        ops.estimate_normals(clouds(1, 9, 0), 4, orient="up")  # type: ignore[arg-type]
