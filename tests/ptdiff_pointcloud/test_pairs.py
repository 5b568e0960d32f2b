"""Matrices of distances: pruned, resumed, kept on disk, and the bounds that prune them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ptdiff_pointcloud.metrics.bounds import chamfer_bound
from ptdiff_pointcloud.metrics.chamfer import chamfer, chamfer_pairs
from ptdiff_pointcloud.metrics.distances import DISTANCES, all_distances, nearest_clouds
from ptdiff_pointcloud.metrics.matrix import Pairs, matrix
from ptdiff_pointcloud.metrics.matrix_store import Matrix, content_hash


def clouds(count: int, points: int, seed: int) -> Tensor:
    """Boxes of different sides at different places."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.rand(count, 1, 3, generator=generator) + 0.1
    return side * torch.rand(count, points, 3, generator=generator) + torch.rand(count, 1, 3, generator=generator)


def counted(of: Pairs, calls: list[int]) -> Pairs:
    def pairs(i: Tensor, j: Tensor, ceiling: Tensor | None = None) -> Tensor:
        calls.append(len(i))
        return of(i, j, ceiling)

    return pairs


@pytest.mark.parametrize("points", [(50, 50), (300, 280), (1, 20)])
def test_the_chamfer_bound_is_below_and_not_far_below(points: tuple[int, int]) -> None:
    x, y = clouds(12, points[0], 0), clouds(9, points[1], 1)
    bound, true = chamfer_bound(x, y), chamfer(x, y)
    assert (bound <= true).all()
    assert (bound / true).median() > 0.5
    within = chamfer_bound(x, x)
    assert (within <= chamfer(x) + 1e-15).all()
    torch.testing.assert_close(within, within.T)


def test_equal_points_have_a_bound_too() -> None:
    assert not chamfer_bound(torch.ones(2, 5, 3), torch.ones(3, 4, 3)).any()


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("jitter", [0.0, 1e-13, 1e-9])
def test_bounds_lie_below_the_distances_of_near_copies_wherever_they_are(offset: float, jitter: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([clouds(4, 60, 16), clouds(4, 60, 17) + 300]).double() + offset
    y = x[:, torch.randperm(60, generator=generator)]
    y = y + jitter * torch.randn(y.shape, generator=generator, dtype=torch.float64)
    y[:, :5] = torch.nextafter(y[:, :5], y[:, :5] + 1)
    for kind in ("cd", "emd_exact"):
        bound = DISTANCES[kind].bound
        assert bound is not None
        assert (bound(x, y) <= all_distances(kind, x, y)).all()


@pytest.mark.parametrize(("kind", "number", "points"), [("cd", 60, 40), ("cd", 20, 800), ("emd_exact", 20, 150)])
@pytest.mark.parametrize("among", [False, True])
def test_pruning_keeps_every_least_distance_and_its_place(
    monkeypatch: pytest.MonkeyPatch, kind: str, number: int, points: int, among: bool
) -> None:
    monkeypatch.setattr("ptdiff_pointcloud.metrics.matrix.BLOCK", 16)
    x = clouds(number, points, 2)
    y = None if among else clouds(number - 4, points, 3)
    full, few = all_distances(kind, x, y), all_distances(kind, x, y, nearest=True)
    if among:
        full.fill_diagonal_(torch.inf)
        few.fill_diagonal_(torch.inf)
    for axis in (0, 1):
        assert torch.equal(full.min(axis).values, few.min(axis).values)
        assert torch.equal(full.min(axis).indices, few.min(axis).indices)
    finite = few.isfinite()
    assert torch.equal(full[finite], few[finite])
    assert finite.double().mean() < 0.5


@pytest.mark.parametrize(("kind", "points"), [("cd", 20), ("cd", 800), ("emd_exact", 20), ("emd_exact", 150)])
def test_a_ceiling_hides_nothing_below_it(kind: str, points: int) -> None:
    x, y = clouds(8, points, 18), clouds(8, points, 19)
    i, j = torch.cartesian_prod(torch.arange(8), torch.arange(8)).T
    of = DISTANCES[kind].pairs(x, y)
    true = of(i, j)
    assert torch.equal(of(i, j, true), true)
    half = of(i, j, 0.3 * true)
    assert torch.equal(half[half.isfinite()], true[half.isfinite()])


def test_rows_alone_need_fewer_pairs() -> None:
    x, y = clouds(60, 40, 4), clouds(60, 40, 5)
    bound, calls, rows_only = chamfer_bound(x, y), [], []  # type: ignore[var-annotated]
    matrix(counted(chamfer_pairs(x, y), calls), (60, 60), bound=bound)
    least = matrix(counted(chamfer_pairs(x, y), rows_only), (60, 60), bound=bound, columns=False).amin(1)
    assert sum(rows_only) < sum(calls) < 3600
    assert torch.equal(least, chamfer(x, y).amin(1))
    found, place = nearest_clouds(x, y)
    assert torch.equal(found, least)
    assert torch.equal(place, chamfer(x, y).argmin(1))


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = clouds(12, 800, 6)
    alone = all_distances("cd", x, nearest=True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(alone, all_distances("cd", x, nearest=True))


def test_a_finished_matrix_is_read_and_not_computed(tmp_path: Path) -> None:
    x, y = clouds(10, 30, 7), clouds(12, 30, 8)
    kept = Matrix(tmp_path, "cd", content_hash(x), content_hash(y))
    calls: list[int] = []
    first = matrix(counted(chamfer_pairs(x, y), calls), (10, 12), kept=kept)
    again = matrix(counted(chamfer_pairs(x, y), calls), (10, 12), kept=kept)
    assert torch.equal(first, again)
    assert sum(calls) == 120


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("among", [False, True])
def test_an_interrupted_matrix_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruned: bool, among: bool
) -> None:
    monkeypatch.setattr("ptdiff_pointcloud.metrics.matrix._SAVE", 0.0)
    x = clouds(40, 30, 9)
    y = x if among else clouds(40, 30, 10)
    bound = chamfer_bound(x, y) if pruned else None
    kept = Matrix(tmp_path, "cd", content_hash(x), content_hash(y))
    whole = matrix(chamfer_pairs(x, y), (40, 40), among=among, bound=bound)
    calls: list[int] = []

    def interrupted(i: Tensor, j: Tensor, ceiling: Tensor | None = None) -> Tensor:
        if sum(calls) >= 64:
            raise KeyboardInterrupt
        return counted(chamfer_pairs(x, y), calls)(i, j, ceiling)

    with pytest.raises(KeyboardInterrupt):
        matrix(interrupted, (40, 40), among=among, bound=bound, kept=kept)
    before = sum(calls)
    found = matrix(counted(chamfer_pairs(x, y), calls), (40, 40), among=among, bound=bound, kept=kept)
    assert torch.equal(found, whole)
    if not pruned:
        assert sum(calls) == (780 if among else 1600)
    assert before >= 64


def test_a_cache_is_used_and_knows_its_clouds(tmp_path: Path) -> None:
    x, y = clouds(6, 30, 11), clouds(6, 30, 12)
    assert torch.equal(all_distances("cd", x, y, cache=tmp_path), chamfer(x, y))
    other = y + 1e-3
    torch.testing.assert_close(all_distances("cd", x, other, cache=tmp_path), chamfer(x, other))
    assert len(list(tmp_path.glob("*.distances"))) == 2


@pytest.mark.parametrize("spoil", ["cut", "flip", "name", "empty"])
def test_a_damaged_file_is_refused(tmp_path: Path, spoil: str) -> None:
    x, y = clouds(6, 30, 13), clouds(6, 30, 14)
    all_distances("cd", x, y, cache=tmp_path)
    (path,) = tmp_path.glob("*.distances")
    raw = path.read_bytes()
    if spoil == "cut":
        path.write_bytes(raw[:-9])
    elif spoil == "flip":
        path.write_bytes(raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:])
    elif spoil == "empty":
        path.write_bytes(b"")
    else:
        y = y + 1
        path.rename(Matrix(tmp_path, "cd-all", content_hash(x), content_hash(y)).path)
    with pytest.raises(ValueError, match="is damaged"):
        all_distances("cd", x, y, cache=tmp_path)


def test_the_hash_is_of_shape_and_values() -> None:
    x = clouds(2, 6, 15)
    assert content_hash(x) == content_hash(x.double().float().clone())
    assert content_hash(x) != content_hash(x.reshape(3, 4, 3))
    assert content_hash(x) != content_hash(x + 1e-3)
