"""Chamfer and transport distances against SciPy, POT and line-by-line references."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ptdiff_pointcloud import ops
from ptdiff_pointcloud.metrics import emd
from ptdiff_pointcloud.metrics.chamfer import chamfer as all_pairs

Array = npt.NDArray[np.float64]


def clouds(n: int, seed: int, b: int = 3) -> Tensor:
    return 0.3 * torch.randn(b, n, 3, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("sizes", [(40, 60), (300, 1100), (1, 1)])
@pytest.mark.parametrize("squared", [True, False])
def test_chamfer_is_its_definition(sizes: tuple[int, int], squared: bool) -> None:
    x, y = clouds(sizes[0], 0), clouds(sizes[1], 1)
    costs = [cdist(a, b, "sqeuclidean" if squared else "euclidean") for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    true = [cost.min(1).mean() + cost.min(0).mean() for cost in costs]
    np.testing.assert_allclose(ops.chamfer(x, y, squared=squared), true, rtol=1e-9)


def test_chamfer_is_that_of_the_metrics() -> None:
    x, y = clouds(50, 0), clouds(70, 1)
    torch.testing.assert_close(ops.chamfer(x, y), all_pairs(x, y).diagonal(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("squared", [True, False])
def test_where_clouds_meet_the_gradient_is_zero(squared: bool) -> None:
    x = clouds(20, 0).requires_grad_()
    ops.chamfer(x, x.detach().flip(1), squared=squared).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()


def test_descent_on_chamfer_moves_one_cloud_onto_another() -> None:
    x, y = clouds(30, 0).requires_grad_(), clouds(30, 1)
    before = ops.chamfer(x, y).sum()
    optimizer = torch.optim.Adam([x], lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        ops.chamfer(x, y).sum().backward()
        optimizer.step()
    assert ops.chamfer(x, y).sum() < 0.2 * before


def test_the_exact_distance_is_that_of_pot() -> None:
    ot = pytest.importorskip("ot")
    x, y = clouds(40, 0), clouds(40, 1)
    true = [ot.emd2([], [], cdist(a, b)) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(ops.emd(x, y), true, rtol=1e-9)


@pytest.mark.parametrize(("eps", "power"), [(0.05, 2.0), (0.2, 2.0), (0.05, 1.0)])
def test_sinkhorn_is_that_of_pot(eps: float, power: float) -> None:
    ot = pytest.importorskip("ot")
    x, y = clouds(30, 0), clouds(20, 1)
    plan = ops.sinkhorn_plan(x, y, eps, 300, power)
    for i, (a, b) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        cost = cdist(a, b) ** power
        true = ot.sinkhorn([], [], cost, eps, method="sinkhorn_log", numItermax=2000, stopThr=1e-15, warn=False)
        np.testing.assert_allclose(plan[i], true, atol=1e-8)
        assert math.isclose(float(ops.sinkhorn(x, y, eps, 300, power)[i]), float((true * cost).sum()), rel_tol=1e-6)


def test_sinkhorn_columns_weigh_the_same_and_rows_after_convergence() -> None:
    plan = ops.sinkhorn_plan(clouds(30, 0), clouds(20, 1), 0.05, 300)
    torch.testing.assert_close(plan.sum(1), torch.full((3, 20), 1 / 20, dtype=torch.float64), rtol=1e-12, atol=0)
    torch.testing.assert_close(plan.sum(2), torch.full((3, 30), 1 / 30, dtype=torch.float64), rtol=1e-6, atol=0)


def test_sinkhorn_goes_down_to_the_exact_distance_and_does_not_underflow() -> None:
    x, y = clouds(15, 0), clouds(15, 1)
    exact = ops.emd(x, y)
    near, nearer = (ops.sinkhorn(x, y, eps, 3000, power=1) for eps in (0.03, 0.003))
    assert (near > nearer).all() and (nearer > exact - 1e-9).all()
    torch.testing.assert_close(nearer, exact, rtol=0.01, atol=0)
    assert torch.isfinite(ops.sinkhorn(x, y, 1e-6, 5)).all()
    torch.testing.assert_close(ops.emd(x, y, "sinkhorn"), exact, rtol=0.05, atol=0)


def reference_matching(x: Array, y: Array, levels: list[float]) -> Array:
    """The published kernel, line by line: one source point, then one target point at a time."""
    n, m = len(x), len(y)
    left, right, match = np.ones(n) * max(1, m // n), np.ones(m) * max(1, n // m), np.zeros((n, m))
    for level in levels:
        ratio_left = np.zeros(n)
        for k in range(n):
            weight = np.exp(level * ((x[k] - y) ** 2).sum(1)) * right
            ratio_left[k] = left[k] / (1e-9 + weight.sum())
        ratio_right = np.zeros(m)
        for j in range(m):
            total = (np.exp(level * ((x - y[j]) ** 2).sum(1)) * ratio_left).sum() * right[j]
            ratio_right[j] = min(right[j] / (total + 1e-9), 1.0) * right[j]
            right[j] = max(0.0, right[j] - total)
        for k in range(n):
            weight = np.exp(level * ((x[k] - y) ** 2).sum(1)) * ratio_left[k] * ratio_right
            match[k] += weight
            left[k] = max(0.0, left[k] - weight.sum())
    return match


def test_the_two_approximations_are_the_published_kernels() -> None:
    x, y = clouds(40, 0), clouds(40, 1)
    levels = [-(4.0**j) for j in range(7, -2, -1)]
    for i, (a, b) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        pointflow = (reference_matching(a, b, levels) * cdist(a, b)).sum() / len(a)
        pytorchemd = (reference_matching(a, b, [*levels, 0.0]) * cdist(a, b) ** 2).sum() / len(a)
        assert math.isclose(float(ops.emd(x, y, "pointflow")[i]), pointflow, rel_tol=1e-9)
        assert math.isclose(float(ops.emd(x, y, "pytorchemd")[i]), pytorchemd, rel_tol=1e-9)


@pytest.mark.parametrize("kind", ops.EMDS)
def test_each_variant_is_that_of_the_metrics(kind: str) -> None:
    x, y = clouds(40, 0), clouds(40, 1)
    torch.testing.assert_close(ops.emd(x, y, kind), getattr(emd, kind)(x, y), rtol=1e-9, atol=0)  # type: ignore[arg-type]


def test_no_approximation_passes_for_the_exact_distance() -> None:
    x, y = clouds(60, 0), clouds(60, 1)
    values = [ops.emd(x, y, kind) for kind in ops.EMDS]
    for i, first in enumerate(values):
        for second in values[:i]:
            assert ((first - second).abs() > 1e-4 * first).all()


def test_equal_clouds_are_at_no_distance() -> None:
    x = clouds(30, 0)
    assert torch.equal(ops.emd(x, x.flip(1)), torch.zeros(3).double())
    assert torch.equal(ops.emd(torch.zeros(1, 4, 3), torch.zeros(1, 4, 3), "sinkhorn"), torch.zeros(1))


def test_a_matching_is_one_to_one_and_its_gradient_leads_along_it() -> None:
    x, y = clouds(10, 0, 1).requires_grad_(), clouds(10, 0, 1).flip(1) + 0.01
    ops.emd(x, y).sum().backward()
    assert x.grad is not None
    # every point moves toward its own shifted copy, one tenth of a unit vector
    torch.testing.assert_close(x.grad, torch.full_like(x, -1 / 10 / 3**0.5), rtol=1e-9, atol=0)


def test_wrong_arguments_are_refused() -> None:
    x = clouds(5, 0)
    with pytest.raises(ValueError, match="equally many points"):
        ops.emd(x, clouds(6, 1))
    with pytest.raises(ValueError, match="exact, sinkhorn, pointflow, pytorchemd"):
        ops.emd(x, x, "best")  # type: ignore[arg-type]
    for eps, iterations in ((0.0, 5), (-1.0, 5), (0.1, 0)):
        with pytest.raises(ValueError, match="must be positive"):
            ops.sinkhorn(x, x, eps, iterations)
