"""Run folders: made once, opened anywhere, and clear about what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptdiff.errors import RunError
from ptdiff.modality import Modality, Visualizer
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.process import Flow
from ptdiff.run.checkpoint import save
from ptdiff.run.config import Config, validate
from ptdiff.run.folder import Run


class Network(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inside, self.out = nn.Linear(3, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor, angle: torch.Tensor, cond: Any) -> torch.Tensor:
        return self.out(torch.tanh(self.inside(x)) * angle[:, None])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Three(Modality):
    width: int = 4

    def dataset(self) -> Data:
        return Data((3,), classes=("a", "b"), train=TensorSplit(torch.randn(50, 3) * 2 + 5)).measured(keep=(-1,))

    def backbone(self, data: Data) -> nn.Module:
        return Network(self.width)

    def visualizer(self) -> Visualizer:
        raise NotImplementedError


@pytest.fixture
def config() -> Config:
    return validate({"modality": f"{__name__}:Three", "options": {"width": 6}})


@pytest.fixture
def run(tmp_path: Path, config: Config) -> Run:
    return Run.create(tmp_path / "runs" / "one", config, Three(6).dataset())


def trained(run: Run, step: int = 1) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    raw, average = run.network().state_dict(), run.network().state_dict()
    save(run.checkpoints, step, {"model": raw, "ema": average, "optimizer": {}}, {"step": step})
    return raw, average


def test_a_run_that_is_opened_is_the_one_that_was_made(run: Run) -> None:
    again = Run.open(run.path)
    assert Run.open(str(run.path)).path == again.path
    assert again.config == run.config
    # an opened run knows its data, but has no samples to count
    mine, theirs = run.data.facts(), again.data.facts()
    assert all(theirs[key] == mine[key] for key in mine if key != "samples")
    assert again.modality() == Three(6)
    x = torch.randn(4, 3)
    assert torch.equal(again.data.normalize(x), run.data.normalize(x))
    assert again.data.train is None


def test_the_folder_holds_text_that_people_can_read_and_no_pickle(run: Run) -> None:
    trained(run)
    names = {p.name for p in run.path.iterdir()}
    assert names == {".lock", "config.yaml", "data.json", "seal.json", "env.json", "samples", "checkpoints", "logs"}
    environment = json.loads((run.path / "env.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    for file in run.path.rglob("*"):
        if file.is_file():
            assert file.suffix in (".yaml", ".json", ".safetensors", ".sha256", "")
            assert not file.read_bytes().startswith((b"\x80", b"PK"))


def test_a_run_is_never_made_over_another(run: Run, config: Config) -> None:
    before = (run.path / "data.json").read_bytes()
    with pytest.raises(RunError, match="already contains a run"):
        Run.create(run.path, config, Data((9,)))
    assert (run.path / "data.json").read_bytes() == before


def test_a_folder_that_was_never_finished_is_no_run_and_may_be_made_again(run: Run, config: Config) -> None:
    (run.path / "config.yaml").unlink()
    with pytest.raises(RunError, match="is not a run folder"):
        Run.open(run.path)
    assert Run.create(run.path, config, run.data).config == config


def test_a_wrong_folder_is_answered_with_the_runs_beside_it(run: Run) -> None:
    with pytest.raises(RunError, match=r"runs: .*one"):
        Run.open(run.path.parent / "two")
    with pytest.raises(RunError, match=r"no config\.yaml"):
        Run.open(run.path.parent / "far" / "away")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", "{}", '{"shape": null}', '{"shape": ["x"], "classes": []}', "\udcff"],
)
def test_data_that_is_damaged_is_told_in_one_line(run: Run, text: str) -> None:
    (run.path / "data.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match=r"data\.json cannot be read") as caught:
        Run.open(run.path)
    assert "\n" not in str(caught.value)


def test_a_configuration_that_is_damaged_is_told_in_one_line(run: Run) -> None:
    (run.path / "config.yaml").write_text("modality: m\ntrainign: {}\n")
    with pytest.raises(ValueError, match="did you mean 'training'"):
        Run.open(run.path)


def test_the_denoiser_has_the_averaged_weights_or_the_raw_ones(run: Run) -> None:
    raw, average = trained(run)
    opened = Run.open(run.path)
    for model, weights in ((opened.denoiser(), average), (opened.denoiser(weights="raw"), raw)):
        assert not model.training
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    x = torch.randn(2, 3)
    out = opened.denoiser()(x, Flow().level(torch.tensor([0.2, 1.0])), {})
    assert torch.isfinite(out).all()


def test_the_newest_checkpoint_that_verifies_is_used_and_the_damaged_one_named(run: Run) -> None:
    _, first = trained(run, 1)
    trained(run, 2)
    (run.checkpoints / "2" / "ema.safetensors").write_bytes(b"")
    lines: list[str] = []
    model = Run.open(run.path).denoiser(lines.append)
    assert torch.equal(model.state_dict()["net.out.weight"], first["net.out.weight"])
    assert len(lines) == 1
    assert "ema.safetensors has changed" in lines[0]


def test_a_run_without_a_checkpoint_says_so(run: Run) -> None:
    with pytest.raises(RunError, match="no usable checkpoint"):
        run.denoiser()


def test_weights_of_another_network_are_refused_in_one_line(run: Run, config: Config) -> None:
    trained(run)
    other = Run(run.path, config.model_copy(update={"options": {"width": 7}}), run.data)
    with pytest.raises(RunError, match="does not fit the modality") as caught:
        other.denoiser()
    assert "\n" not in str(caught.value)


def test_reports_are_lines_in_their_order(run: Run) -> None:
    for step in range(3):
        run.log({"step": step, "loss": 0.1 * step})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]
