"""`ptdiff_datasets.clouds.cloud_set`: views without copies, and draws that depend on their address alone."""

import time

import numpy as np
import pytest

from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.names import Names
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.clouds.store_format import SHAPE, Index, Store
from ptdiff_datasets.clouds.summary import Summary


def cloud_set(counts: list[int], splits: list[str] | None = None) -> CloudSet:
    """Point j of cloud i is (i, j, 0)."""
    m = len(counts)
    points = np.concatenate([np.stack([np.full(k, i), np.arange(k), np.zeros(k)], 1) for i, k in enumerate(counts)])
    summary = Summary(
        "somewhere",
        "flat",
        "none",
        {"": {"train": m}},
        (),
        0,
        (0, 0, 0),
        (1, 1, 1),
        1.0,
        sum(counts),
        0.0,
        False,
    )
    shapes = np.zeros(m, SHAPE)
    shapes["count"] = counts
    shapes["start"][1:] = np.cumsum(counts)[:-1]
    shapes["label"] = np.arange(m)
    names = Names.of(f"{i}.npy" for i in range(m))
    shapes["name"] = names.ends
    places = np.array([SPLITS.index(split) for split in splits or ["train"] * m], np.uint8)
    classes = [f"class {i}" for i in range(m)]
    index = Index(channels=["points"], shards=[sum(counts)], classes=classes)
    store = Store([{"points": points.astype(np.float32)}], shapes, names, places, index)
    return CloudSet(store, np.arange(m), tuple(classes), np.array([*range(m), -1]), "none", summary)


def test_each_cloud_is_a_view_of_its_own_points() -> None:
    clouds = cloud_set([3, 1, 5])
    assert len(clouds) == 3
    for i, k in enumerate([3, 1, 5]):
        assert clouds.cloud(i).shape == (k, 3)
        assert (clouds.cloud(i)[:, 0] == i).all()
        assert np.shares_memory(clouds.cloud(i), clouds.store.shards[0]["points"])
    for i in (-1, 3):
        with pytest.raises(IndexError, match="of 3"):
            clouds.cloud(i)


def test_a_split_shares_the_points_and_keeps_what_belongs_to_them() -> None:
    clouds = cloud_set([3, 1, 5, 2], ["train", "train", "val", "test"])
    val = clouds.split("val")
    assert (len(val), [*val.ids], val.labels.tolist(), val.counts.tolist()) == (1, ["2.npy"], [2], [5])
    assert np.shares_memory(val.cloud(0), clouds.store.shards[0]["points"])
    np.testing.assert_array_equal(val.cloud(0), clouds.cloud(2))
    assert len(clouds.split("train")) == 2
    assert clouds.split("test").cloud(0)[0, 0] == 3
    assert len(cloud_set([3]).split("val")) == 0
    np.testing.assert_array_equal(
        cloud_set([1, 2, 3], ["train", "val", "train"]).split("train").cloud(1)[:, 0], [2] * 3
    )
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        clouds.split("dev")


def test_rows_have_n_points_of_their_cloud_each_as_often_as_any_other() -> None:
    clouds = cloud_set([100, 7, 20, 1, 10])
    batch = clouds.draw(np.array([2, 0, 1, 3, 4]), 20, 3)
    assert batch.shape == (5, 20, 3)
    assert batch.dtype == np.float32
    for row, (i, k) in zip(batch, [(2, 20), (0, 100), (1, 7), (3, 1), (4, 10)], strict=True):
        assert (row[:, 0] == i).all()
        times = np.bincount(row[:, 1].astype(int), minlength=k)
        assert len(times) == k
        assert set(times) <= {20 // k, -(-20 // k)}


def test_which_points_of_a_small_cloud_come_once_more_is_left_to_chance() -> None:
    clouds = cloud_set([7])
    drawn = np.concatenate([clouds.draw(np.array([0]), 10, seed)[..., 1] for seed in range(700)]).astype(int)
    extra = np.bincount(drawn.ravel(), minlength=7) - 700
    assert (np.abs(extra - 300) < 5 * (700 * 3 / 7 * 4 / 7) ** 0.5).all()  # 5 sigma of a binomial


def test_a_row_is_the_same_alone_in_any_batch_and_in_its_split() -> None:
    clouds = cloud_set([50] * 64, ["train"] * 40 + ["val"] * 24)
    batch = clouds.draw(np.arange(64), 16, 9)
    np.testing.assert_array_equal(clouds.draw(np.array([17]), 16, 9)[0], batch[17])
    order = np.random.default_rng(0).permutation(64)
    np.testing.assert_array_equal(clouds.draw(order, 16, 9), batch[order])
    np.testing.assert_array_equal(clouds.split("val").draw(np.array([5]), 16, 9)[0], batch[45])


def test_other_seeds_and_other_shapes_draw_other_points() -> None:
    clouds = cloud_set([1000, 1000])
    drawn = [clouds.draw(np.array([0, 1]), 50, seed)[..., 1] for seed in (0, 1, -1, 2**63, 2**64 + 1)]
    np.testing.assert_array_equal(drawn[1], drawn[4])  # modulo 2**64
    rows = [tuple(row) for batch in drawn[:4] for row in batch]
    assert len(set(rows)) == 8


def test_every_point_and_every_place_is_equally_likely() -> None:
    clouds = cloud_set([40])
    drawn = np.concatenate([clouds.draw(np.array([0]), 10, seed)[..., 1] for seed in range(4000)]).astype(int)
    for places in (drawn, drawn[:, :1], drawn[:, 9:]):  # also the first and the last of each draw
        counts = np.bincount(places.ravel(), minlength=40)
        expected = places.size / 40
        assert ((counts - expected) ** 2 / expected).sum() < 82  # chi-squared, 39 degrees, p = 1e-4


def test_a_batch_is_drawn_in_a_few_milliseconds() -> None:
    clouds = cloud_set([8192] * 32)
    clouds.draw(np.arange(32), 512, 0)
    times = []
    for seed in range(15):
        started = time.perf_counter()
        clouds.draw(np.arange(32), 512, seed)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.010
