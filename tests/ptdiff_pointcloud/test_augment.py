"""Augmentations are functions of (seed, sample) that keep distances; channels come, go and are written whole."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.modality.data import Data, TensorSplit, unaugmented
from ptdiff_datasets.formats.catalog import WRITERS, read_cloud
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.data.augment import Augmentation, Augmented
from ptdiff_pointcloud.data.channels import turned

ALL = Augmentation(rotate=True, mirror=True, scale=0.25, jitter=0.01)
BOTH = ("xyz", "normals")


def clouds(count: int = 6, width: int = 3) -> torch.Tensor:
    return torch.randn(count, 40, width, generator=torch.Generator().manual_seed(0))


def test_a_row_depends_on_its_id_and_the_seed_alone() -> None:
    samples = Augmented(TensorSplit(clouds(width=6)), ALL, BOTH)
    ids = torch.tensor([3, 0, 5, 3])
    whole, _ = samples.batch(ids, 7)
    for i, row in enumerate(ids):
        assert torch.equal(samples.batch(row[None], 7)[0][0], whole[i])
    assert torch.equal(whole[0], whole[3])
    for other in (8, 7 + 2**40):
        assert not torch.equal(samples.batch(ids, other)[0], whole)


def test_a_turn_keeps_heights_and_distances() -> None:
    x = clouds()
    turned = Augmentation(rotate=True)(x, torch.arange(6), 3, ("xyz",))
    assert torch.equal(turned[..., 1], x[..., 1])
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5)
    # a rotation and no reflection
    for a, b in zip(x.double(), turned.double(), strict=True):
        assert torch.linalg.det(torch.linalg.lstsq(a, b).solution) == pytest.approx(1, abs=1e-4)


def test_turns_are_uniform() -> None:
    x = torch.tensor([[[1.0, 0.0, 0.0]]]).expand(4000, 1, 3)
    turned = Augmentation(rotate=True)(x, torch.arange(4000), 0, ("xyz",))
    angle = torch.atan2(turned[:, 0, 2], turned[:, 0, 0])
    counts = torch.histc(angle, 8, -torch.pi, torch.pi)
    assert (counts - 500).abs().max() < 5 * (500 * 7 / 8) ** 0.5


def test_a_mirror_changes_the_sign_of_x_for_half() -> None:
    x = clouds(400)
    seen = Augmentation(mirror=True)(x, torch.arange(400), 1, ("xyz",))
    flipped = (seen[..., 0] == -x[..., 0]).all(1)
    assert torch.equal(seen[..., 1:], x[..., 1:])
    assert torch.equal(seen[~flipped], x[~flipped])
    assert abs(int(flipped.sum()) - 200) < 5 * 10


def test_a_scale_lies_between_its_bounds() -> None:
    x = clouds(200)
    seen = Augmentation(scale=0.25)(x, torch.arange(200), 1, ("xyz",))
    factor = (seen / x).mean(dim=(1, 2))
    assert 0.8 <= float(factor.min()) < 0.83
    assert 1.2 < float(factor.max()) <= 1.25
    assert torch.allclose(seen, x * factor[:, None, None], rtol=1e-4)
    assert abs(float(factor.log().mean())) < 0.05


def test_jitter_has_its_deviation_and_is_never_the_same() -> None:
    x = clouds(200)
    noise = Augmentation(jitter=0.1)(x, torch.arange(200), 1, ("xyz",)) - x
    assert float(noise.std()) == pytest.approx(0.1, rel=0.03)
    assert abs(float(noise.mean())) < 0.003
    assert len(noise.flatten().unique()) > 20_000


def test_normals_turn_with_their_points_and_colors_stay() -> None:
    normals = torch.nn.functional.normalize(clouds(), dim=-1)
    x = torch.cat([normals * 2, normals, torch.rand(6, 40, 3)], dim=-1)
    seen = Augmentation(rotate=True, mirror=True, scale=0.5)(x, torch.arange(6), 9, ("xyz", "normals", "colors"))
    direction = torch.nn.functional.normalize(seen[..., :3], dim=-1)
    assert torch.allclose(direction, seen[..., 3:6], atol=1e-6)
    assert torch.equal(seen[..., 6:], x[..., 6:])


def test_only_training_samples_are_augmented() -> None:
    plain, moved = (
        PointCloud(points=32, dense=128, classes=("chair",), shapes_per_class=10, rotate=rotate).dataset()
        for rotate in (False, True)
    )
    assert plain.train is not None and plain.val is not None and moved.train is not None and moved.val is not None
    ids = torch.arange(1)
    assert torch.equal(plain.val.batch(ids, 0)[0], moved.val.batch(ids, 0)[0])
    assert not torch.equal(plain.train.batch(ids, 0)[0], moved.train.batch(ids, 0)[0])


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2)])
def test_the_up_axis_becomes_y_by_a_rotation_and_back(up: str, axis: int) -> None:
    basis = np.eye(3)
    found = turned(basis, up)
    assert found[axis].tolist() == [0, 1, 0]
    assert np.linalg.det(found) == 1
    assert np.array_equal(turned(found, up, back=True), basis)


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Colored ellipsoids with normals, z up."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    for i in range(6):
        normals = random.standard_normal((300, 3))
        normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
        colors = np.clip((normals + 1) * 127.5, 0, 255).astype(np.uint8)
        WRITERS[".ply"](tmp_path / "scans" / f"{i}.ply", normals * [1, 1, 3], normals, colors)
    return tmp_path / "scans"


def test_channels_come_in_their_order_with_a_scale_each(scans: Path) -> None:
    data = PointCloud(data=str(scans), points=64, up="z", channels=("xyz", "normals", "colors")).dataset()
    assert data.shape == (64, 9)
    assert data.train is not None
    x, _ = data.train.batch(torch.arange(3), 0)
    assert torch.allclose(x[..., 3:6].norm(dim=-1), torch.ones(3, 64), atol=1e-5)
    assert float(x[..., 6:].abs().max()) <= 1
    # the colors are those of the unturned normals: x, y, z up
    unturned = torch.stack([x[..., 3], -x[..., 5], x[..., 4]], dim=-1)
    assert torch.allclose(unturned, x[..., 6:], atol=0.02)
    assert np.ptp(x[0, :, 1]) > 2 * np.ptp(x[0, :, 0])  # the long axis is up
    z = data.normalize(data.train.batch(torch.arange(5), 4)[0])
    for part in (z[..., :3], z[..., 3:6], z[..., 6:]):
        assert float(part.square().mean()) == pytest.approx(1, rel=0.1)
    assert torch.allclose(data.world(data.normalize(x)), x, atol=1e-5)


def test_samples_with_channels_are_tidied_and_written(scans: Path, tmp_path: Path) -> None:
    kind = PointCloud(data=str(scans), points=64, channels=("xyz", "normals", "colors"))
    drawn = kind.postprocess(2 * torch.randn(2, 64, 9), Data((64, 9)))
    assert torch.allclose(drawn[..., 3:6].norm(dim=-1), torch.ones(2, 64), atol=1e-5)
    assert float(drawn[..., 6:].abs().max()) <= 1
    formats = kind.formats()
    assert set(formats) == {"ply", "pcd", "xyz"}
    for suffix, write in formats.items():
        write(tmp_path / f"a.{suffix}", drawn[0].numpy())
        cloud = read_cloud(tmp_path / f"a.{suffix}")
        np.testing.assert_allclose(cloud.points, drawn[0, :, :3], rtol=1e-6)
        assert cloud.normals is not None and cloud.colors is not None
        np.testing.assert_allclose(cloud.normals, drawn[0, :, 3:6], rtol=1e-6)
        np.testing.assert_allclose(cloud.colors / 127.5 - 1, drawn[0, :, 6:], atol=1 / 255)
    assert set(PointCloud().formats()) == {"ply", "pcd", "xyz", "npy", "las", "laz"}


def test_procedural_shapes_have_normals_and_no_colors() -> None:
    data = PointCloud(points=32, dense=128, classes=("mug",), shapes_per_class=2, channels=BOTH).dataset()
    assert data.train is not None
    x, _ = data.train.batch(torch.arange(2), 0)
    assert torch.allclose(x[..., 3:].norm(dim=-1), torch.ones(2, 32), atol=1e-4)
    plain = PointCloud(points=32, dense=128, classes=("mug",), shapes_per_class=2).dataset()
    assert plain.train is not None
    assert torch.equal(plain.train.batch(torch.arange(2), 0)[0], x[..., :3])
    with pytest.raises(ValueError, match="no colors"):
        PointCloud(channels=("xyz", "colors")).dataset()


def test_channels_that_the_files_lack_are_named(scans: Path) -> None:
    np.save(scans / "bare.npy", np.random.default_rng(1).random((50, 3)))
    with pytest.raises(ValueError, match="no normals for 1 of 7 shapes"):
        PointCloud(data=str(scans), points=16, channels=BOTH).dataset()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": ("normals",)}, "start with xyz"),
        ({"channels": ("xyz", "xyz")}, "name each channel once"),
        ({"rescale": -0.1}, "rescale must be finite"),
        ({"jitter": float("inf")}, "jitter must be finite"),
        ({"up": "z"}, "up has no effect on procedural shapes"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PointCloud(**options)  # type: ignore[arg-type]


def test_comparisons_take_training_samples_as_they_are() -> None:
    plain = TensorSplit(clouds(width=6))
    assert unaugmented(Augmented(plain, ALL, BOTH)) is plain
    assert unaugmented(plain) is plain
