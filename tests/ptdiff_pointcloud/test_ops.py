"""What all operations on clouds promise: looped = batched, other orders, gradients, CPU = GPU."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ptdiff_pointcloud import ops

Op = Callable[[Tensor, Tensor, Tensor], Tensor]


def inputs(n: int = 30, m: int = 24, b: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (b, n, 3), points (b, m, 3) and their features (b, m, 4), float64."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(0.4 * torch.randn(b, *shape, generator=generator).double() for shape in ((n, 3), (m, 3), (m, 4)))  # type: ignore[return-value]


OPS: dict[str, Op] = {
    "knn": lambda x, y, f: ops.knn(x, y, 4)[0],
    "ball_query": lambda x, y, f: ops.ball_query(x, y, 0.5, 4)[0].double(),
    "gather": lambda x, y, f: ops.gather(f, ops.knn(x, y, 2)[1]),
    "fps": lambda x, y, f: ops.fps(x, 10).double(),
    "three_interpolate": ops.three_interpolate,
    "voxelize": lambda x, y, f: ops.voxelize(y, f, 5),
    "devoxelize": lambda x, y, f: ops.devoxelize(ops.voxelize(y, f, 5), x),
    "chamfer": lambda x, y, f: ops.chamfer(x, y),
    "chamfer root": lambda x, y, f: ops.chamfer(x, y, squared=False),
    "sinkhorn": lambda x, y, f: ops.sinkhorn(x, y, 0.1, 20),
    "emd": lambda x, y, f: ops.emd(x[:, :20], y[:, :20]),
    "emd sinkhorn": lambda x, y, f: ops.emd(x, y, "sinkhorn"),
    "emd pointflow": lambda x, y, f: ops.emd(x[:, :24], y, "pointflow"),
    "emd pytorchemd": lambda x, y, f: ops.emd(x[:, :24], y, "pytorchemd"),
    "normals": lambda x, y, f: ops.estimate_normals(x, 8),
    "normals from the center": lambda x, y, f: ops.estimate_normals(x, 8, orient="center"),
}
PER_POINT = {"knn", "gather", "three_interpolate", "devoxelize", "normals", "normals from the center"}
OF_SETS = {"voxelize", "chamfer", "chamfer root", "sinkhorn", "emd sinkhorn", "emd pointflow", "emd pytorchemd"}
SMOOTH = {"knn", "gather", "three_interpolate", "voxelize", "devoxelize", "chamfer", "chamfer root", "sinkhorn", "emd"}


@pytest.mark.parametrize("name", OPS)
def test_a_batch_is_its_clouds_one_by_one(name: str) -> None:
    args = inputs()
    alone = torch.cat([OPS[name](*(a[i : i + 1] for a in args)) for i in range(3)])
    torch.testing.assert_close(OPS[name](*args), alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(PER_POINT))
def test_permuting_the_queries_permutes_the_result(name: str) -> None:
    x, y, f = inputs()
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(OPS[name](x[:, order], y, f), OPS[name](x, y, f)[:, order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted((PER_POINT | OF_SETS) - {"normals", "normals from the center"}))
def test_permuting_the_points_changes_nothing(name: str) -> None:
    x, y, f = inputs()
    order = torch.randperm(y.shape[1], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(OPS[name](x, y[:, order], f[:, order]), OPS[name](x, y, f), rtol=1e-9, atol=1e-9)


def test_the_points_spread_farthest_do_not_depend_on_their_order() -> None:
    x, _, _ = inputs()
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(1))
    here, there = ops.fps(x, 12), order[ops.fps(x[:, order], 12)]
    assert torch.equal(here, there)


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_gradients_are_those_of_differences(name: str) -> None:
    x, y, f = (a[:2, :7].clone().requires_grad_() for a in inputs(seed=4))

    def op(*args: Tensor) -> Tensor:
        # emd takes the first twenty of both: all seven
        return OPS[name](*args)

    assert torch.autograd.gradcheck(op, (x, y, f), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("points", [30, 1100])
def test_cpu_and_gpu_agree(name: str, points: int) -> None:
    args = inputs(points, points, 2)
    device = OPS[name](*(a.cuda() for a in args))
    assert device.is_cuda
    torch.testing.assert_close(device.cpu(), OPS[name](*args), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(OPS) - {"gather"}))
def test_what_are_no_clouds_is_refused(name: str) -> None:
    x, y, f = inputs()
    with pytest.raises(ValueError, match="cloud"):
        OPS[name](x[0], y[0], f)
    with pytest.raises(ValueError, match="cloud"):
        OPS[name](x.long(), y.long(), f)


def test_float32_is_close_to_float64_far_from_the_origin() -> None:
    x, y, _ = inputs()
    far = (x + 100).float(), (y + 100).float()
    exact = ops.chamfer(far[0].double(), far[1].double())
    torch.testing.assert_close(ops.chamfer(*far).double(), exact, rtol=1e-5, atol=0)
    assert math.isclose(float(exact[0]), float(ops.chamfer(x, y)[0]), rel_tol=1e-3)
