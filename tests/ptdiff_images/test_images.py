"""The modality: sources, pictures, files."""

import dataclasses
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from ptdiff.errors import UnknownName
from ptdiff.modality import Data
from ptdiff_datasets.errors import DataError
from ptdiff_images import Images
from ptdiff_images.picture import to_bytes

REAL = Path(os.environ.get("PTDIFF_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "mnist"


def write(path: Path, array: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def test_digits_have_ten_classes_and_unit_variance() -> None:
    data = Images().dataset()
    assert data.shape == (1, 8, 8)
    assert data.classes == tuple("0123456789")
    assert data.train is not None
    x, condition = data.train.batch(torch.arange(len(data.train)), 0)
    assert x.min() == 0
    assert x.max() == 1
    z = data.normalize(x)
    assert float(z.mean()) == pytest.approx(0, abs=1e-5)
    assert float(z.square().mean()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(data.world(z), x, atol=1e-6)
    assert condition["label"].unique().tolist() == list(range(10))


def test_a_folder_of_idx_files_names_its_classes(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte", np.random.default_rng(0).integers(0, 256, (12, 9, 7), np.uint8))
    data = Images(data=str(tmp_path)).dataset()
    assert data.shape == (1, 9, 7)
    assert data.classes == ()
    write(tmp_path / "train-labels-idx1-ubyte", np.array([0, 2] * 6, np.uint8))
    assert Images(data=str(tmp_path)).dataset().classes == ("0", "2")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real MNIST is not in {REAL} (set PTDIFF_TEST_DATA)")
def test_the_real_mnist_is_a_data_set() -> None:
    data = Images(data=str(REAL)).dataset()
    assert data.shape == (1, 28, 28)
    assert len(data.classes) == 10
    assert data.mean == pytest.approx((0.1307,), abs=0.003)
    assert data.scale == pytest.approx(0.3081, abs=0.003)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("digit", UnknownName, "did you mean 'digits'"),
        ("no/where", DataError, "no/where does not exist"),
        ("train-images-idx3-ubyte.gz", DataError, "train-images"),
    ],
)
def test_wrong_sources_are_answered_clearly(data: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Images(data=data).dataset()


def test_an_empty_folder_and_a_wrong_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        Images(data=str(tmp_path)).dataset()
    with pytest.raises(ValueError, match="width must be at least 1"):
        Images(width=0)


def test_the_sheet_enlarges_pixels_to_squares_and_keeps_the_gray() -> None:
    image = np.random.default_rng(0).random((1, 8, 8)).astype(np.float32)
    sheet = Images().visualizer().sheet(image[None], [])
    gap = 12
    inner = sheet[gap:-gap, gap:-gap]
    assert inner.shape == (128, 128, 3)
    assert np.array_equal(inner[::16, ::16, 0], np.rint(image[0] * 255))
    assert np.array_equal(inner, inner[::16, ::16].repeat(16, 0).repeat(16, 1))


def test_sheets_of_many_images_stay_moderate() -> None:
    picture = Images().visualizer()
    for count, side in ((1, 300), (64, 28), (1000, 28)):
        sheet = picture.sheet(np.zeros((count, 1, side, side), np.float32), [str(n) for n in range(count)])
        assert max(sheet.shape) < 2600


def test_colors_keep_their_channels_and_values_are_cut_off() -> None:
    image = np.zeros((3, 2, 2), np.float32)
    image[0, 0, 0], image[1, 0, 1], image[2, 1, 0] = 2.0, 0.5, -1.0
    assert to_bytes(image).tolist() == [[[255, 0, 0], [0, 128, 0]], [[0, 0, 0], [0, 0, 0]]]
    for wrong in (np.zeros((2, 4, 4)), np.zeros((4, 4)), np.full((1, 2, 2), np.nan)):
        with pytest.raises(ValueError, match="image"):
            to_bytes(wrong.astype(np.float32))


def test_a_png_holds_the_image_in_its_own_size(tmp_path: Path) -> None:
    image = (np.arange(64, dtype=np.float32) / 63).reshape(1, 8, 8)
    Images().formats()["png"](tmp_path / "d.png", image)
    back = np.asarray(PillowImage.open(tmp_path / "d.png").convert("L"))
    assert np.array_equal(back, np.rint(image[0] * 255))


def test_samples_are_cut_off_at_black_and_white() -> None:
    cut = Images().postprocess(torch.tensor([-1.0, 0.25, 1.5]), Data((3,)))
    assert cut.tolist() == [0, 0.25, 1]


def test_every_option_explains_itself_and_importing_is_light() -> None:
    assert all(option.metadata["help"] for option in dataclasses.fields(Images))
    heavy = "[m for m in ('torch', 'numpy', 'PIL', 'sklearn') if m in sys.modules]"
    code = f"import sys, ptdiff_images; print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
