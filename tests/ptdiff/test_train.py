"""``ptdiff.train``: on a modality by name, a modality object, plain tensors; and what is refused before training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ptdiff
from ptdiff.errors import RunError, UnknownName
from ptdiff.modality import Data, Modality, Visualizer, option
from ptdiff.modality.tensors import Plots, tensor_data

QUICK: dict[str, Any] = {"device": "cpu", "training": {"batch": 64, "precision": "32", "threads": 1, "shards": 1}}
SMALL = {"width": 16, "blocks": 1, "count": 500}


class Net(nn.Module):
    """A small network in the contract's form: noise level and label are features beside x."""

    def __init__(self) -> None:
        super().__init__()
        self.label = nn.Embedding(3, 4)
        self.layers = nn.Sequential(nn.Linear(2 + 2 + 4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Tensor:
        label = self.label(1 + cond["label"]) if "label" in cond else x.new_zeros(len(x), 4)
        return self.layers(torch.cat([x, angle.cos()[:, None], angle.sin()[:, None], label], dim=1))


@dataclass(frozen=True)
class Own(Modality):
    """A modality of a script: not installed."""

    width: int = option(32, "channels of the network")

    def dataset(self) -> Data:
        return tensor_data(two_blobs()[0])

    def backbone(self, data: Data) -> nn.Module:
        return Net()

    def visualizer(self) -> Visualizer:
        return Plots()


def two_blobs(n: int = 2000) -> tuple[Tensor, Tensor]:
    """Points around (-2, 0), class 0, and (2, 0), class 1."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(n) % 2
    return torch.randn(n, 2, generator=generator) * 0.3 + torch.stack([4.0 * label - 2, 0 * label], dim=1), label


def test_a_network_of_ones_own_learns_plain_tensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, label = two_blobs()
    net = Net()
    model = ptdiff.train(x, label, network=net, steps=400, out=tmp_path / "run", **QUICK)
    for name, center in (("0", -2), ("1", 2)):
        samples = model.sample(200, label=name, steps=10).samples
        assert float(samples[:, 0].mean()) == pytest.approx(center, abs=0.25)
        assert float(samples[:, 0].std()) < 0.6
    # the run keeps weights and no network: the same module, untrained, opens it
    again = ptdiff.load(tmp_path / "run", network=net, device="cpu")
    assert torch.equal(again.sample(5, seed=3).samples, model.sample(5, seed=3).samples)
    with pytest.raises(RunError, match="network="):
        ptdiff.load(tmp_path / "run")


def test_a_modality_by_name_and_as_an_object_give_the_same_run(tmp_path: Path) -> None:
    from ptdiff_points2d import Points2D

    one = ptdiff.train("points2d", options=SMALL, steps=20, out=tmp_path / "one", **QUICK)
    two = ptdiff.train(Points2D(**SMALL), steps=20, out=tmp_path / "two", **QUICK)
    assert one.run.config == two.run.config
    assert torch.equal(one.sample(4).samples, two.sample(4).samples)
    # and it can be opened without the object
    assert torch.equal(ptdiff.load(tmp_path / "two", device="cpu").sample(4).samples, one.sample(4).samples)


def test_a_modality_that_is_not_installed_is_trained_and_opened_again(tmp_path: Path) -> None:
    kind = Own(width=8)
    model = ptdiff.train(kind, steps=20, out=tmp_path / "run", **QUICK)
    assert model.run.config.options == {"width": 8}
    with pytest.raises(UnknownName, match="own"):
        ptdiff.load(tmp_path / "run")
    again = ptdiff.load(tmp_path / "run", modality=kind, device="cpu")
    assert torch.equal(again.sample(4).samples, model.sample(4).samples)


def test_without_a_folder_the_run_is_temporary() -> None:
    model = ptdiff.train("points2d", options=SMALL, steps=2, **QUICK)
    assert model.run.path.is_dir()
    assert Path.cwd() not in model.run.path.parents


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling": {"solver": "huen"}}, "unknown solver 'huen': did you mean 'heun'"),
        ({"process": "vpp"}, "unknown process 'vpp': did you mean 'vp'"),
        ({"training": {"batsh": 3}}, "batsh.*did you mean 'batch'"),
        ({"weightning": "p2"}, "weightning.*did you mean 'weighting'"),
        ({"training": {"lr": -1.0}}, "lr.*greater than 0"),
        ({"options": {"widht": 3}}, "widht.*did you mean 'width'"),
        ({"device": "gpu"}, "gpu"),
        ({"network": nn.Linear(2, 2)}, "its own backbone"),
    ],
)
def test_what_is_wrong_is_refused_before_training(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ptdiff.train("points2d", steps=5, out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_tensors_need_a_network_and_a_wrong_modality_is_named() -> None:
    with pytest.raises(ValueError, match="needs a network"):
        ptdiff.train(torch.randn(10, 2))
    with pytest.raises(UnknownName, match="did you mean 'points2d'"):
        ptdiff.train("point2d")


def test_progress_is_told_in_lines() -> None:
    lines: list[str] = []
    ptdiff.train("points2d", options=SMALL, steps=5, say=lines.append, **QUICK)
    assert any("first step" in line for line in lines)
