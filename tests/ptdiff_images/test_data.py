"""The data half of the options: sources, size, gray, and batches of bytes."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from ptdiff_images import Images


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten pictures of each of two classes, 12 x 16 pixels."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for n in range(20):
        path = tmp_path / "root" / ("cat", "dog")[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(path)
    return tmp_path / "root"


def test_a_folder_of_pictures_is_a_data_set(pictures: Path) -> None:
    data = Images(data=str(pictures), pixels=8).dataset()
    assert data.shape == (3, 8, 8)
    assert data.classes == ("cat", "dog")
    assert data.train is not None
    assert data.val is not None
    assert len(data.train) + len(data.val) == 20
    x, cond = data.train.batch(torch.tensor([0, 3]), 0)
    assert x.dtype == torch.float32
    assert torch.equal((x * 255).round() / 255, x)
    assert cond["label"].dtype == torch.int64
    assert isinstance(data.mean, tuple)
    assert np.shape(data.mean) == (3, 1, 1)
    assert "cached in" in data.summary["text"]
    assert Images(data=str(pictures)).dataset().shape == (3, 32, 32)
    assert Images(data=str(pictures), gray=True, pixels=4).dataset().shape == (1, 4, 4)


def test_batches_are_made_of_bytes_that_stay_bytes(pictures: Path) -> None:
    data = Images(data=str(pictures), pixels=8).dataset()
    assert data.train is not None
    split = data.train.split
    assert split.pixels.dtype == np.uint8
    assert not split.pixels.flags.owndata
    before = split.pixels.copy()
    data.train.batch(torch.arange(4), 0)[0].zero_()
    assert np.array_equal(split.pixels, before)


def test_images_of_a_fixed_size_are_padded_with_black() -> None:
    small, large = (Images(pixels=pixels).dataset() for pixels in (None, 12))
    assert large.shape == (1, 12, 12)
    assert small.train is not None
    assert large.train is not None
    (x, _), (y, _) = (data.train.batch(torch.arange(5), 0) for data in (small, large) if data.train is not None)
    assert torch.equal(y[:, :, 2:10, 2:10], x)
    assert float(y.sum()) == pytest.approx(float(x.sum()))
    assert large.scale < small.scale


def test_the_steps_between_values_are_those_of_the_source(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, *array.shape)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(header + array.tobytes())
    for kind in (Images(), Images(pixels=12), Images(data=str(tmp_path))):
        data = kind.dataset()
        assert data.train is not None
        steps = data.train.batch(torch.arange(10), 0)[0] / kind.bin_width
        assert torch.allclose(steps, steps.round(), atol=1e-4)
        assert steps.round().unique().diff().min() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixels": 0}, "pixels must be from 1"),
        ({"rotate": -1.0}, "rotate must be from 0 to 180"),
        ({"rotate": float("nan")}, "rotate must be"),
        ({"augment": 1.5}, "augment must be a probability"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Images(**options)


def test_images_are_not_cut_to_a_size() -> None:
    with pytest.raises(ValueError, match="8 x 8 pixels can be padded, not cropped to 5"):
        Images(pixels=5).dataset()
