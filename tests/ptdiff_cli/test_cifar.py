"""CIFAR as its authors publish it, from files to figures: trained on, drawn as pictures, measured."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from image_examples import cifar_binary, cifar_pickled
from PIL import Image
from torch import Tensor, nn
from torchmetrics.image import fid

from ptdiff_images.metrics.classifier import Recipe

TINY = ["-o", "size=tiny", "-o", "width=8", "-o", "layers=1", "--set", "training.batch=8"]
LAYOUTS = {
    "binary": ("cifar-10-batches-bin", ".bin", cifar_binary),
    "pickled": ("cifar-10-batches-py", "", cifar_pickled),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and a classifier that is trained for a moment."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("ptdiff_images.metrics.classifier.Recipe", lambda: Recipe(seen=500))


def ten(folder: Path, version: str = "binary") -> Path:
    """CIFAR-10 with 40 images in each of its six batches."""
    inside, suffix, write = LAYOUTS[version]
    (folder / inside).mkdir(parents=True)
    for n in range(1, 6):
        (folder / inside / f"data_batch_{n}{suffix}").write_bytes(write(40, n))
    (folder / inside / f"test_batch{suffix}").write_bytes(write(40, 6))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("version", LAYOUTS)
def test_the_recipe_trains_draws_pictures_and_is_measured(ptdiff: Callable, tmp_path: Path, version: str) -> None:  # type: ignore[type-arg]
    data, run, out = ten(tmp_path / "cifar", version), tmp_path / "run", tmp_path / "pictures"
    done = ptdiff("train", "-c", "cifar10-edm", "--data", data, "--steps", 3, "--out", run, *TINY)
    assert done.returncode == 0, done.stderr
    assert "200 images of 32 x 32 pixels, 10 classes, and 40 held out" in done.stderr
    done = ptdiff("sample", run, "-n", 5, "--format", "png", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "5 samples, 35 network calls each" in done.stderr
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"{n:04d}-images.png" for n in range(5)]
    assert ptdiff("sample", run, "-n", 5, "--out", tmp_path / "s.npz").returncode == 0
    for name, sample in zip(names, np.load(tmp_path / "s.npz")["samples"], strict=True):
        with Image.open(out / name) as picture:
            assert (picture.mode, picture.size) == ("RGB", (32, 32))
            assert np.abs(np.asarray(picture) / 255 - sample.transpose(1, 2, 0)).max() < 0.51 / 255
    done = ptdiff("eval", run, "-n", 40, "--steps", 2, "--json")
    assert done.returncode == 0, done.stderr
    assert {"fid_lenet", "kid_lenet", "precision_lenet", "recall_lenet"} <= json.loads(done.stdout)["metrics"].keys()


def test_a_hundred_classes_are_drawn_by_name(ptdiff: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for name, seed in (("train", 0), ("test", 1)):
        (folder / f"{name}.bin").write_bytes(cifar_binary(200, seed, coarse=True))
    (folder / "fine_label_names.txt").write_text("".join(f"kind_{n}\n" for n in range(100)))
    run, out = tmp_path / "run", tmp_path / "pictures"
    done = ptdiff("train", "-m", "images", "--data", folder, "--steps", 2, "--out", run, *TINY)
    assert done.returncode == 0, done.stderr
    done = ptdiff("sample", run, "-n", 2, "--label", "kind_99", "--steps", 2, "--format", "png", "--out", out)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["0000-kind_99.png", "0001-kind_99.png"]


class StandIn(nn.Module):
    """Eight features of images as bytes (n, 3, h, w), which is what the Inception network is given."""

    num_features = 8

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        assert images.shape[1] == 3
        generator = torch.Generator().manual_seed(0)
        small = nn.functional.adaptive_avg_pool2d(images.float() / 255, 4).flatten(1)
        return small @ torch.randn(small.shape[1], self.num_features, generator=generator)


@pytest.mark.slow
@pytest.mark.parametrize("gray", [False, True])
def test_figures_by_inception_are_those_of_torchmetrics(
    ptdiff: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gray: bool,  # type: ignore[type-arg]
) -> None:
    # torchmetrics itself, with another network in the place of the one whose weights are downloaded
    real = fid.FrechetInceptionDistance
    monkeypatch.setattr(fid, "FrechetInceptionDistance", lambda feature: real(feature=StandIn()))
    data, run = ten(tmp_path / "cifar"), tmp_path / "run"
    options = [*TINY, "-o", f"gray={str(gray).lower()}"]
    assert ptdiff("train", "-c", "cifar10-edm", "--data", data, "--steps", 2, "--out", run, *options).returncode == 0
    done = ptdiff("eval", run, "-n", 40, "--steps", 2, "--protocol", "inception", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"fid_inception", "kid_inception", "precision_inception", "recall_inception"} <= found["metrics"].keys()
    # of the same samples, as files, and of the test batch, which is the whole of what is held out
    assert ptdiff("sample", run, "-n", 40, "--steps", 2, "--format", "png", "--out", tmp_path / "png").returncode == 0
    files = [np.array(Image.open(path)) for path in sorted((tmp_path / "png").iterdir())]
    metric = real(feature=StandIn())
    metric.update(torch.from_numpy(np.stack(files)).permute(0, 3, 1, 2), real=False)
    held = torch.frombuffer(bytearray(cifar_binary(40, 6)), dtype=torch.uint8).reshape(40, 3073)[:, 1:]
    held = held.reshape(40, 3, 32, 32)
    if gray:
        luma = (held * torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]).sum(1, keepdim=True)
        held = luma.round().byte().expand(-1, 3, -1, -1)
    metric.update(held, real=True)
    assert found["metrics"]["fid_inception"]["value"] == pytest.approx(float(metric.compute()), rel=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is not None, reason="torch-fidelity is installed")
def test_without_the_extra_nothing_is_drawn_and_one_line_says_so(ptdiff: Callable, tmp_path: Path) -> None:  # type: ignore[type-arg]
    run = tmp_path / "run"
    assert ptdiff("train", "-m", "images", "--steps", 1, "--out", run, *TINY).returncode == 0
    done = ptdiff("eval", run, "--protocol", "inception")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install 'ptdiff[inception]'" in line
    assert not (run / "eval.json").exists()
