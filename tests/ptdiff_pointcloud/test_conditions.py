"""What a model is given: parts of shapes, addressed by id and seed, that look like parts of shapes."""

import numpy as np
import pytest
import torch

from ptdiff.modality.data import Data, TensorSplit
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.data.conditions import Conditioned, crop, for_task, given_cloud, half_space, observed, view


def sphere(n: int, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def data(n: int = 100) -> Data:
    x = torch.stack([torch.from_numpy(sphere(n, i)) for i in range(6)]) * 3 + 5
    return Data((n, 3), mean=(5.0, 5.0, 5.0), scale=3.0, unordered=True, train=TensorSplit(x))


def test_a_crop_leaves_out_a_neighborhood() -> None:
    for seed in range(20):
        points, random = sphere(200), np.random.default_rng(seed)
        kept = crop(points, random)
        assert 0.25 <= kept.mean() <= 0.75
        # the first draw is the center
        center = points[np.random.default_rng(seed).integers(200)]
        distance = np.linalg.norm(points - center, axis=1)
        assert distance[kept].min() >= distance[~kept].max()


def test_a_half_space_is_one_side_of_a_plane() -> None:
    for seed in range(20):
        kept = half_space(sphere(200), np.random.default_rng(seed))
        assert 0.25 <= kept.mean() <= 0.75
        towards = sphere(200)[kept].mean(0)
        # the cap of a sphere about its axis: few points, so that the axis is known to some degrees
        height = sphere(200) @ (towards / np.linalg.norm(towards))
        assert height[kept].min() > height[~kept].max() - 0.4


def test_a_view_sees_the_front_of_a_sphere() -> None:
    for seed in range(20):
        points = sphere(2000)
        kept = view(points, np.random.default_rng(seed))
        ahead = np.random.default_rng(seed).standard_normal(3)
        height = points @ (ahead / np.linalg.norm(ahead))
        assert kept[height > 0.3].mean() > 0.85
        assert kept[height < -0.3].mean() < 0.15


def test_of_two_walls_only_the_nearer_is_seen() -> None:
    flat = np.random.default_rng(0).uniform(-1, 1, (1000, 3)).astype(np.float32)
    for seed in range(5):
        ahead = np.random.default_rng(seed).standard_normal(3)
        ahead /= np.linalg.norm(ahead)
        wall = flat - np.outer(flat @ ahead, ahead)
        kept = view(np.concatenate([wall, wall + ahead]).astype(np.float32), np.random.default_rng(seed))
        assert not kept[:1000].any()
        assert kept[1000:].all()


@pytest.mark.parametrize("points", [np.zeros((5, 3)), np.ones((1, 3)), np.eye(3)[:2]])
def test_degenerate_clouds_keep_some_point(points: np.ndarray) -> None:
    for seed in range(10):
        assert observed(points.astype(np.float32), np.random.default_rng(seed)).any()


def test_batches_hold_observed_points_of_the_shape_in_model_units() -> None:
    made = for_task(data(), "complete", 30).train
    assert made is not None and len(made) == 6
    x, cond = made.batch(torch.arange(6), seed=3)
    model = data().normalize(x)
    mask = cond["partial_mask"]
    assert cond["partial"].shape == (6, 30, 3) and mask.dtype == torch.int64
    assert set(mask.unique().tolist()) <= {0, 1}
    assert (mask.sum(1) >= 20).all()
    for cloud, partial, there in zip(model, cond["partial"], mask > 0, strict=True):
        nearest = (partial[there][:, None] - cloud).norm(dim=-1).amin(1)
        assert nearest.max() == 0
        assert len(partial[there].unique(dim=0)) == there.sum()
        assert not partial[~there].any()


def test_only_what_is_observed_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptdiff_pointcloud.data.conditions.observed", lambda cloud, random: cloud[:, 0] > 0.5)
    cond = Conditioned(data().train, data(), "complete", 100).batch(torch.arange(6), seed=3)[1]  # type: ignore[arg-type]
    there = cond["partial_mask"] > 0
    assert there.any(1).all() and (cond["partial"][there][:, 0] > 0.5).all()


def test_what_is_given_depends_on_the_id_and_the_seed_alone() -> None:
    made = for_task(data(), "complete", 30).train
    assert made is not None
    together = made.batch(torch.arange(6), seed=3)[1]
    alone = made.batch(torch.tensor([4, 2]), seed=3)[1]
    for name, value in alone.items():
        assert torch.equal(value, together[name][[4, 2]])
    other = made.batch(torch.arange(6), seed=4)[1]
    assert not torch.equal(other["partial"], together["partial"])


def test_parts_differ_from_the_whole_and_coarse_clouds_do_not() -> None:
    partial, coarse = (
        Conditioned(data(400).train, data(400), task, 400).batch(torch.arange(6), 0)[1]  # type: ignore[arg-type]
        for task in ("complete", "upsample")
    )
    assert (partial["partial_mask"].sum(1) < 320).all()
    assert (coarse["coarse_mask"] == 1).all()
    few = Conditioned(data(400).train, data(400), "upsample", 100).batch(torch.arange(6), 0)[1]["coarse"]  # type: ignore[arg-type]
    # a uniform sample of spheres, centered where they are
    assert few.mean(1).norm(dim=-1).max() < 0.3


def test_generation_is_given_nothing() -> None:
    plain = data()
    assert for_task(plain, "generate", 30) is plain


def test_one_cloud_is_given_to_all_samples() -> None:
    cond = given_cloud("partial", data(), torch.full((7, 3), 8.0), 4)
    assert torch.equal(cond["partial"], torch.ones(4, 7, 3))
    assert torch.equal(cond["partial_mask"], torch.ones(4, 7, dtype=torch.int64))


@pytest.mark.parametrize("task", ["complete", "upsample"])
def test_the_task_is_an_option_of_the_modality(task: str) -> None:
    few = {"points": 32, "dense": 128, "shapes_per_class": 1, "classes": ("chair", "table"), "size": "tiny"}
    kind = PointCloud(task=task, observed=16, **few)  # type: ignore[arg-type]
    made = kind.dataset()
    assert made.train is not None
    x, cond = made.train.batch(torch.arange(2), 0)
    net = kind.backbone(made)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    angle = torch.full((2,), 0.7)
    model = made.normalize(x)
    assert (net(model, angle, cond) - net(model, angle, {"label": cond["label"]})).abs().max() > 1e-4
