"""Plain tensors as a modality: what is refused, how they are split and scaled, and runs that keep no network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ptdiff.errors import RunError
from ptdiff.modality.tensors import NAME, Plots, Tensors, tensor_data
from ptdiff.run.config import Config
from ptdiff.run.folder import Run


def test_data_is_split_shuffled_and_measured() -> None:
    x = torch.arange(400.0).reshape(200, 2) * 3 + 5
    data = tensor_data(x, torch.arange(200) % 4, held_out=0.25)
    assert data.train is not None
    assert data.val is not None
    assert (len(data.train), len(data.val), data.classes) == (150, 50, ("0", "1", "2", "3"))
    got = torch.cat([split.batch(torch.arange(len(split)), 0)[0] for split in (data.train, data.val)])
    assert torch.equal(got[got[:, 0].argsort()], x)
    # a label stays with its sample
    rows, cond = data.val.batch(torch.arange(50), 0)
    assert torch.equal(cond["label"], ((rows[:, 0] - 5) / 6).round().long() % 4)
    z = data.normalize(data.train.batch(torch.arange(150), 0)[0])
    assert abs(float(z.mean())) < 1e-5
    assert float(z.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_numpy_and_tensors_are_the_same_data() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    one, two = tensor_data(x), tensor_data(torch.from_numpy(x))
    assert one.facts() == two.facts()


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (torch.zeros(1, 2), None, "at least two samples, not float32 of shape \\(1, 2\\)"),
        (torch.zeros(5), None, "not float32 of shape \\(5,\\)"),
        (torch.zeros(5, 2, dtype=torch.int64), None, "floating-point"),
        (torch.tensor([[1.0], [float("nan")], [2.0]]), None, "must be finite: 1 of 3"),
        (
            torch.randn(5, 2),
            torch.zeros(4, dtype=torch.int64),
            "labels must be 5 whole numbers, not int64",
        ),
        (torch.randn(5, 2), torch.zeros(5), "whole numbers, not float32"),
        (torch.randn(5, 2), torch.tensor([0, 1, -1, 0, 0]), "labels must be in 0 ... 1, not -1 ... 1"),
        (torch.ones(5, 2), None, "constant"),
    ],
)
def test_what_is_wrong_with_tensors_is_said(x: torch.Tensor, labels: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tensor_data(x, labels)


def test_the_network_is_copied_and_never_changed() -> None:
    net = nn.Linear(2, 2)
    made = Tensors(tensor_data(torch.randn(10, 2)), net).backbone(tensor_data(torch.randn(10, 2)))
    assert isinstance(made, nn.Linear)
    with torch.no_grad():
        made.weight.zero_()
    assert float(net.weight.detach().abs().sum()) > 0


def test_a_run_without_its_network_says_how_to_open_it(tmp_path: Path) -> None:
    data = tensor_data(torch.randn(10, 2))
    Run.create(tmp_path / "run", Config(modality=NAME), data)
    with pytest.raises(RunError, match=r"ptdiff\.load\(.*network="):
        Run.open(tmp_path / "run").modality()
    kind = Tensors(data, nn.Linear(2, 2))
    assert Run.open(tmp_path / "run", kind=kind).modality() is kind


@pytest.mark.parametrize("shape", [(2,), (5,), (6, 3), (3, 8, 8)])
@pytest.mark.parametrize("titles", [[], ["a", "b", "a"]])
def test_samples_of_any_shape_are_plotted(shape: tuple[int, ...], titles: list[str]) -> None:
    image = Plots().sheet(np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32), titles)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert len(np.unique(image)) > 3
