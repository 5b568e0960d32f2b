"""The data of the point-cloud modality: addressed, re-sampled, disjoint and measured, from either source."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from ptdiff.modality.data import Data, Split
from ptdiff.modality.registry import load
from ptdiff_datasets.shapes import CLASSES, make_shape
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.data.sources import HELD_OUT, FolderSamples, ShapeSamples


@pytest.fixture
def meshes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve boxes and twelve balls of several sizes, and a file that is no mesh."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "meshes"
    for name in ("ball", "box"):
        (root / name).mkdir(parents=True)
        for i in range(12):
            size = 1 + i / 4
            mesh = trimesh.creation.box((size, 2, 3)) if name == "box" else trimesh.creation.icosphere(2, size)
            mesh.export(root / name / f"{i}.obj")
    (root / "box" / "broken.ply").write_text("this is no mesh")
    return root


def splits(data: Data) -> tuple[Split, Split]:
    assert data.train is not None
    assert data.val is not None
    return data.train, data.val


Open = Callable[[], Data]


@pytest.fixture(params=["shapes", "folder"])
def dataset(request: pytest.FixtureRequest, meshes: Path) -> Open:
    if request.param == "shapes":
        return lambda: PointCloud(points=64, dense=512, shapes_per_class=3).dataset()
    return lambda: PointCloud(data=str(meshes), points=64, dense=512).dataset()


def test_a_row_depends_on_its_id_and_the_seed_alone(dataset: Open) -> None:
    train, _ = splits(dataset())
    ids = torch.tensor([5, 0, 15, 5])
    x, cond = train.batch(ids, 7)
    again, _ = splits(dataset())
    for i, row in enumerate(ids):
        alone, label = again.batch(row[None], 7)
        assert torch.equal(alone[0], x[i])
        assert torch.equal(label["label"][0], cond["label"][i])
    assert x.dtype == torch.float32
    assert cond["label"].dtype == torch.int64


def test_every_seed_draws_other_points_of_the_same_shape(dataset: Open) -> None:
    train, _ = splits(dataset())
    ids = torch.arange(4)
    x, y = train.batch(ids, 1)[0], train.batch(ids, 2)[0]
    shared = [len(set(map(tuple, a.tolist())) & set(map(tuple, b.tolist()))) for a, b in zip(x, y, strict=True)]
    # 64 of 512 twice: 8 in common on average
    assert all(count < 25 for count in shared)
    assert (x.amax(1) - y.amax(1)).abs().max() < 0.3


@pytest.mark.parametrize("source", ["shapes", "folder"])
def test_seeds_share_few_points_however_small_the_dense_clouds(source: str, meshes: Path) -> None:
    options = {"shapes_per_class": 1} if source == "shapes" else {"data": str(meshes)}
    train, _ = splits(PointCloud(points=128, dense=32, **options).dataset())  # type: ignore[arg-type]
    x, y = train.batch(torch.tensor([0]), 1)[0][0], train.batch(torch.tensor([0]), 2)[0][0]
    # 128 of 512 twice: 32 in common on average
    assert len(set(map(tuple, x.tolist())) & set(map(tuple, y.tolist()))) < 60


def test_training_and_held_out_shapes_are_different_shapes(dataset: Open) -> None:
    train, val = splits(dataset())
    x, y = (s.batch(torch.arange(len(s)), 0)[0].sort(dim=1).values.flatten(1) for s in (train, val))
    assert torch.cdist(x, y).min() > 1e-3


def test_model_units_have_mean_zero_and_unit_variance(dataset: Open) -> None:
    data = dataset()
    z = data.normalize(splits(data)[0].batch(torch.arange(len(splits(data)[0])), 11)[0])
    assert z.mean(dim=(0, 1)).abs().max() < 0.1
    assert abs(float(z.square().mean()) - 1) < 0.1
    assert isinstance(data.scale, float)
    assert np.shape(data.mean) == (3,)
    assert data.shape == (64, 3)
    assert data.unordered


def test_measuring_many_points_takes_few_clouds(meshes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, ...]] = []
    for kind in (ShapeSamples, FolderSamples):

        def batch(self: Any, ids: Tensor, seed: int, make: Any = kind.batch) -> Any:
            x, cond = make(self, ids, seed)
            drawn.append(tuple(x.shape))
            return x, cond

        monkeypatch.setattr(kind, "batch", batch)
    monkeypatch.setattr("ptdiff_pointcloud.data.sources._MEASURED", 1000)
    PointCloud(points=200, classes=("table",), shapes_per_class=8).dataset()
    PointCloud(data=str(meshes), points=62).dataset()
    PointCloud(data=str(meshes), points=2000).dataset()
    assert [shape[0] for shape in drawn] == [5, 16, 1]


def test_the_facts_of_the_data_survive_the_run_folder(dataset: Open) -> None:
    data = dataset()
    back = Data.from_facts(data.facts())
    assert (back.shape, back.classes, back.mean, back.scale) == (
        data.shape,
        data.classes,
        data.mean,
        data.scale,
    )
    assert max(len(line) for line in data.summary["text"].splitlines()) <= 80


def test_shapes_are_those_of_their_class_and_seed() -> None:
    train = ShapeSamples([CLASSES.index("mug"), CLASSES.index("chair")], 5, 100, points=40, dense=40)
    x, cond = train.batch(torch.tensor([7]), 3)
    assert cond["label"].tolist() == [1]
    expected = make_shape("chair", 103).points(40)
    assert np.array_equal(np.sort(x[0].numpy(), axis=0), np.sort(expected, axis=0))


def test_every_class_comes_equally_often_and_in_turn() -> None:
    train, val = splits(PointCloud(points=8, dense=8, shapes_per_class=20).dataset())
    assert (len(train), len(val)) == (200, 20)
    for split in (train, val):
        labels = split.batch(torch.arange(len(split)), 0)[1]["label"]
        assert labels[:10].tolist() == list(range(10))
        assert (torch.bincount(labels) == len(split) // 10).all()


def test_seeds_of_held_out_shapes_begin_where_training_never_gets() -> None:
    train, val = splits(PointCloud(points=8, shapes_per_class=7).dataset())
    assert isinstance(train, ShapeSamples)
    assert isinstance(val, ShapeSamples)
    assert train.first + train.count < val.first == HELD_OUT


def test_more_points_than_the_dense_cloud_are_still_different_points() -> None:
    train, _ = splits(PointCloud(points=600, dense=100, shapes_per_class=1).dataset())
    assert len(train.batch(torch.tensor([0]), 0)[0][0].unique(dim=0)) == 600


def test_classes_can_be_chosen_by_name() -> None:
    data = PointCloud(classes=("table", "chair"), points=8, shapes_per_class=2).dataset()
    assert data.classes == ("chair", "table")
    assert splits(data)[0].batch(torch.arange(4), 0)[1]["label"].tolist() == [0, 1, 0, 1]


def test_a_wrong_class_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'chair'"):
        PointCloud(classes=("chiar",)).dataset()


def test_a_wrong_name_of_data_is_answered_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="did you mean 'shapes'"):
        PointCloud(data="shape").dataset()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"normalize": "box"}, "normalize has no effect on procedural shapes"),
        ({"data": "x/y", "shapes_per_class": 9}, "shapes_per_class has no effect on a folder"),
        ({"network": "pointnet", "inducers": 8}, "inducers has no effect on pointnet"),
        ({"network": "pointnet", "heads": 8}, "heads has no effect on pointnet"),
        ({"neighbors": 9}, "neighbors has no effect on set-transformer"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load("ptdiff_pointcloud:PointCloud", options)


@pytest.mark.parametrize("options", [{}, {"network": "pointnet", "neighbors": 4}, {"data": "x/y", "normalize": "none"}])
def test_the_options_of_a_run_folder_load_again(options: dict[str, Any]) -> None:
    made = load("ptdiff_pointcloud:PointCloud", options)
    assert load("ptdiff_pointcloud:PointCloud", asdict(made)) == made


def test_there_is_no_shape_beyond_the_last() -> None:
    with pytest.raises(IndexError):
        ShapeSamples([0], 2, 0, 8, 8).batch(torch.tensor([2]), 0)


def test_a_folder_of_meshes_becomes_labelled_clouds(meshes: Path) -> None:
    data = PointCloud(data=str(meshes), points=200).dataset()
    train, val = splits(data)
    assert data.classes == ("ball", "box")
    assert len(train) + len(val) == 24
    x, cond = train.batch(torch.arange(len(train)), 0)
    ball = x[cond["label"] == 0]
    # a ball of any size in a box of diagonal 1: all points at one distance
    assert (ball.norm(dim=-1) - 0.5 / 3**0.5).abs().max() < 0.01
    assert "broken.ply" in data.summary["text"]
    assert data.summary["source"] == str(meshes)


def test_a_flat_folder_has_no_labels(meshes: Path) -> None:
    data = PointCloud(data=str(meshes / "ball"), points=16).dataset()
    assert data.classes == ()
    # the balls are twins, of which none may be held out from the others
    assert data.train is not None and data.val is None
    assert data.train.batch(torch.arange(2), 0)[1] == {}


def test_one_class_of_a_folder_can_be_chosen(meshes: Path) -> None:
    data = load("ptdiff_pointcloud:PointCloud", {"data": str(meshes), "points": 16, "classes": ["box"]}).dataset()
    assert data.classes == ("box",)


def test_a_folder_with_a_single_shape_has_nothing_held_out(meshes: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (meshes / "box" / "0.obj").rename(tmp_path / "one" / "0.obj")
    data = PointCloud(data=str(tmp_path / "one"), points=16).dataset()
    assert data.train is not None
    assert len(data.train) == 1
    assert data.val is None


def test_a_run_of_an_earlier_version_keeps_its_split(tmp_path: Path) -> None:
    for label, count in (("chair", 30), ("sofa", 5)):
        (tmp_path / label).mkdir()
        for i in range(count):
            np.savetxt(tmp_path / label / f"{i}.xyz", np.random.default_rng(i).random((60, 3)) * (i + 1))
    kind = PointCloud(data=str(tmp_path), points=16)
    now = kind.dataset()
    assert kind.as_of(Data.from_facts(now.facts())) == kind
    summary = {key: value for key, value in now.summary.items() if key != "split_rule"}
    before = kind.as_of(Data((16, 3), summary=summary))
    assert before.split == "hashed"
    assert PointCloud().as_of(PointCloud(points=16, shapes_per_class=1).dataset()).split == "stratified"
