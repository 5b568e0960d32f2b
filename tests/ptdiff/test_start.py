"""Fine-tuning: what a run takes over from another, and what not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality import Modality, Visualizer, option
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.run.checkpoint import sha256
from ptdiff.run.fine_tuning import begun, inherited
from ptdiff.run.folder import Run
from ptdiff.training.module import DiffusionModule
from ptdiff.training.train import train_run

HERE = f"{__name__}:Numbers"
SHORT = {"steps": 40, "batch": 32, "validations": 0, "warmup": 10, "lr": 4e-3, "precision": "32"}


class Network(nn.Module):
    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.level, self.out = LevelEmbedding(width, classes), nn.Linear(width + 3, 3)

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        return self.out(torch.cat([x, torch.tanh(self.level(angle, cond))], dim=-1))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Numbers(Modality):
    """Three numbers, about a center of each class."""

    of_data = ("data", "shift")

    data: str = option("near", "near or far")
    shift: float = option(0.0, "of data")
    names: tuple[str, ...] = option(("a", "b"), "classes")
    width: int = option(16, "of the network")

    def dataset(self) -> Data:
        drawn = torch.Generator().manual_seed(0)
        labels = torch.arange(96) % len(self.names) if self.names else None
        centers = torch.tensor([[ord(name) - 97.0] * 3 for name in self.names or "a"])
        x = centers[labels if labels is not None else torch.zeros(96).long()] + 0.1 * torch.randn(
            96, 3, generator=drawn
        )
        x = x * (100 if self.data == "far" else 1) + self.shift
        return Data((3,), classes=self.names, train=TensorSplit(x, labels)).measured(keep=(-1,))

    def backbone(self, data: Data) -> nn.Module:
        return Network(len(data.classes), self.width)

    def visualizer(self) -> Visualizer:
        raise NotImplementedError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Run:
    values = {"modality": HERE, "options": {"shift": 5.0}, "training": SHORT, "seed": 3, "process": "vp"}
    return train_run(tmp_path_factory.mktemp("runs") / "first", values)


def _weights(source: Run, **options: Any) -> tuple[dict[str, Tensor], dict[str, Any], NetworkDenoiser]:
    kind = Numbers(**options)
    data = kind.dataset()
    denoiser = NetworkDenoiser(kind.backbone(data), source.config.prediction)
    start = begun(source, source.config, denoiser, data)
    denoiser.load_state_dict(start.weights)
    return dict(start.weights), dict(start.origin), denoiser


def test_weights_are_the_averaged_ones_bit_for_bit_and_the_origin_is_told(source: Run) -> None:
    weights, origin, _ = _weights(source)
    average = source.checkpoint().tensors("ema")
    assert weights.keys() == average.keys()
    assert all(torch.equal(weights[name], average[name]) for name in weights)
    digest = sha256(source.checkpoint().path / "ema.safetensors")
    assert origin == {"name": "first", "step": 40, "sha256": digest, "new": []}


def test_classes_go_by_name_and_a_new_one_begins_as_no_class(source: Run) -> None:
    table = source.denoiser().state_dict()["net.level.label.weight"]
    weights, origin, denoiser = _weights(source, names=("z", "b", "a"))
    rows = weights["net.level.label.weight"]
    assert torch.equal(rows, table[[0, 0, 2, 1]])
    assert origin["new"] == ["z"]
    x, angle = torch.randn(4, 3), torch.rand(4)
    with torch.no_grad():
        new = denoiser.net(x, angle, {"label": torch.zeros(4, dtype=torch.int64)})
        assert torch.equal(new, source.denoiser().net(x, angle, {}))


def test_where_no_label_was_hidden_a_new_class_begins_as_the_mean_of_all(tmp_path: Path) -> None:
    told = train_run(tmp_path / "told", {"modality": HERE, "training": SHORT | {"condition_dropout": 0.0}})
    table = told.denoiser().state_dict()["net.level.label.weight"]
    rows = _weights(told, names=("a", "z"))[0]["net.level.label.weight"]
    assert torch.equal(rows, torch.stack([table[0], table[1], table[1:].mean(dim=0)]))


def test_without_classes_the_network_is_what_it_was_when_told_none(source: Run) -> None:
    denoiser = _weights(source, names=())[2]
    x, angle = torch.randn(4, 3), torch.rand(4)
    with torch.no_grad():
        assert torch.allclose(denoiser.net(x, angle, {}), source.denoiser().net(x, angle, {}), atol=1e-6)


def test_of_a_run_without_classes_every_class_begins_alike(tmp_path: Path) -> None:
    plain = train_run(tmp_path / "plain", {"modality": HERE, "options": {"names": ()}, "training": SHORT})
    denoiser = _weights(plain, names=("a", "b"))[2]
    x, angle = torch.randn(2, 3), torch.rand(2)
    with torch.no_grad():
        assert torch.equal(denoiser.net(x, angle, {"label": torch.tensor([0, 1])}), plain.denoiser().net(x, angle, {}))


def test_another_network_is_refused_by_the_name_of_the_part(source: Run) -> None:
    with pytest.raises(
        ValueError,
        match=r"differs from that of first: net.level.mlp.0.weight is \(16, 14\) there and is \(8, 14\) here",
    ):
        _weights(source, width=8)
    changed = source.config.model_copy(update={"prediction": "x0"})
    data = source.modality().dataset()
    with pytest.raises(ValueError, match="predicts velocity, not x0"):
        begun(source, changed, NetworkDenoiser(source.modality().backbone(data), "x0"), data)


def test_the_configuration_is_taken_over_and_slowed_down(source: Run) -> None:
    same, other = inherited(source, {}), inherited(source, {"data": "far"})
    assert same["process"] == {"name": "vp"} and same["seed"] == 3
    assert same["training"]["lr"] == pytest.approx(1e-3) and same["training"]["warmup"] == 5
    assert same["training"]["steps"] is None and same["training"]["minutes"] is None
    assert same["options"]["shift"] == 5.0
    assert "shift" not in other["options"] and "data" not in other["options"] and other["options"]["width"] == 16


def test_training_goes_on_from_the_run_with_the_scale_of_its_own_data(source: Run, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in source.path.rglob("*") if file.is_file()}
    values = {"options": {"data": "far"}, "training": {"steps": 2}}
    tuned = train_run(tmp_path / "second", values, start=source.path)
    assert tuned.data.scale == pytest.approx(100 * source.data.scale, rel=1e-5)  # type: ignore[operator]
    assert json.loads((tuned.path / "env.json").read_text())["origin"]["name"] == "first"
    # two small steps from where the other ended
    theirs, ours = source.denoiser().state_dict(), tuned.denoiser(weights="raw").state_dict()
    moved = sum(float((ours[k] - theirs[k]).square().sum()) for k in ours) ** 0.5
    assert 0 < moved < 0.1 * sum(float(v.square().sum()) for v in theirs.values()) ** 0.5
    assert all(torch.equal(tuned.network().state_dict()[k], theirs[k]) for k in theirs)
    assert before == {file: file.read_bytes() for file in source.path.rglob("*") if file.is_file()}


def test_the_first_loss_is_lower_than_from_scratch(source: Run) -> None:
    data = source.modality().dataset()
    fresh = NetworkDenoiser(source.modality().backbone(data), source.config.prediction)
    losses = []
    for denoiser in (_weights(source, shift=5.0)[2], fresh):
        module = DiffusionModule(denoiser, data, source.config)
        with torch.no_grad():
            losses.append(float(module.losses(0, next(module.randomness(range(1))))[0].mean()))
    assert losses[0] < 0.8 * losses[1]


def test_damaged_weights_to_begin_with_are_named(source: Run, tmp_path: Path) -> None:
    tuned = train_run(tmp_path / "third", {"training": {"steps": 1}}, start=source.path)
    (tuned.path / "start" / "0" / "model.safetensors").write_bytes(b"")
    with pytest.raises(Exception, match="the initial weights of the run"):
        tuned.network()


def test_another_modality_and_no_end_are_refused(source: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a model of .*Numbers, not of images"):
        train_run(tmp_path / "a", {"modality": "images", "training": {"steps": 1}}, start=source.path)
    with pytest.raises(ValueError, match="the run would never end"):
        train_run(tmp_path / "b", {}, start=source.path)
