"""Exported folders: loaded again bit for bit, refused when spoiled, free of paths of this machine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ptdiff.errors import RunError
from ptdiff.model import Model, load
from ptdiff.run.exported import CARD, CONFIG, PICTURE, WEIGHTS, cache
from ptdiff.run.folder import Run
from ptdiff.run.models import outputs
from ptdiff.training.train import train


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    """The model, exported without an image."""
    return Path(model.export(tmp_path / "moons-v1", samples=0, license="mit"))


def test_a_folder_samples_the_same_bits_as_its_run(model: Model, folder: Path) -> None:
    there = load(folder)
    assert torch.equal(there.sample(7, seed=3).samples, model.sample(7, seed=3).samples)
    assert there.data.classes == model.data.classes
    assert there.run.path.parent.parent == cache()
    assert sorted(path.name for path in folder.iterdir()) == sorted([CARD, CONFIG, WEIGHTS])


def test_it_is_unpacked_once_and_read_only(folder: Path) -> None:
    first, again = load(folder), load(str(folder))
    assert first.run.path == again.run.path
    assert outputs(first.run.path) == Path("runs", "models", "moons-v1")
    with pytest.raises(RunError, match="read-only"):
        first.run.refuse_model()


def test_changed_digits_in_the_cache_are_noticed(folder: Path) -> None:
    run = load(folder).run.path
    facts = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(facts | {"scale": 2 * facts["scale"]}))
    with pytest.raises(RunError, match=r"data.json is not what training measured: scale"):
        Run.open(run)


def test_a_new_export_under_the_same_name_is_another_run(model: Model, folder: Path) -> None:
    before = load(folder).run.path
    model.export(folder, samples=0, half=True, replace=True)
    assert load(folder).run.path != before


def test_training_starts_from_a_folder(folder: Path, tmp_path: Path) -> None:
    tuned = train(start=folder, steps=1, out=tmp_path / "tuned")
    assert tuned.run.config.modality == "points2d"


def test_float16_has_half_the_size_and_nearly_the_same_estimates(model: Model, folder: Path, tmp_path: Path) -> None:
    half = Path(model.export(tmp_path / "half", samples=0, half=True))
    assert (half / WEIGHTS).stat().st_size < 0.6 * (folder / WEIGHTS).stat().st_size
    gap = load(half).sample(50).samples - model.sample(50).samples
    assert 0 < float(gap.abs().max()) < 0.05


def test_the_card_has_metadata_scores_and_floors(model: Model, folder: Path) -> None:
    text = (folder / CARD).read_text(encoding="utf-8")
    _, metadata, body = text.split("---\n", 2)
    facts = yaml.safe_load(metadata)
    assert (facts["library_name"], facts["license"]) == ("ptdiff", "mit")
    scores = json.loads((model.run.path / "eval.json").read_text(encoding="utf-8"))["metrics"]
    for name, score in scores.items():
        low, high, floor = (f"{score[key]:.4g}" for key in ("low", "high", "floor"))
        assert f"| {name} | {score['value']:.4g} | {low} to {high} | {floor} |" in body
    assert {found["type"] for found in facts["model-index"][0]["results"][0]["metrics"]} == set(scores)
    assert "n = 50" in body and "look better than they are" in body


def test_hugging_face_reads_the_card(folder: Path) -> None:
    cards = pytest.importorskip("huggingface_hub")
    card = cards.ModelCard.load(folder / CARD)
    assert card.data.library_name == "ptdiff"
    assert card.data.eval_results[0].dataset_name == "moons"


def test_the_image_shows_samples(model: Model, tmp_path: Path) -> None:
    place = Path(model.export(tmp_path / "pictured", samples=20))
    assert (place / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert f"]({PICTURE})" in (place / CARD).read_text(encoding="utf-8")


def test_paths_of_this_machine_are_not_exported(tmp_path: Path) -> None:
    table = tmp_path / "private" / "rows.csv"
    table.parent.mkdir()
    table.write_text("x,y\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(60)))
    run = train("points2d", steps=1, options={"data": str(table)}, out=tmp_path / "run")
    said: list[str] = []
    place = Path(run.export(tmp_path / "out", samples=0, say=said.append))
    assert str(tmp_path) not in (place / CONFIG).read_text() + (place / CARD).read_text()
    assert any("paths of this machine" in line for line in said)
    assert len(load(place).sample(3)) == 3


def _config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        facts = json.loads((folder / CONFIG).read_text())
        change(facts)
        (folder / CONFIG).write_text(json.dumps(facts))

    return spoil


def _flip(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-5] ^= 1
    (folder / WEIGHTS).write_bytes(content)


SPOILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (_flip, "has changed since it was exported"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "weights cannot be read"),
    "weights cut off": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9]), "not copied completely"),
    "another library": (_config(lambda facts: facts.update(library_name="diffusers")), "not 'diffusers'"),
    "a newer format": (_config(lambda facts: facts.update(format=99)), "format 99.*update ptdiff"),
    "a newer configuration": (_config(lambda facts: facts["config"].update(format=99)), "format 99.*update ptdiff"),
    "an unknown key": (_config(lambda facts: facts["config"].update(sead=1)), "unknown configuration key 'sead'"),
    "no configuration": (_config(lambda facts: facts.pop("config")), "config is missing"),
    "not JSON": (lambda folder: (folder / CONFIG).write_text("{"), "config.json"),
    "nested too deep": (lambda folder: (folder / CONFIG).write_text("[" * 100_000), "config.json"),
    "too large": (lambda folder: (folder / CONFIG).write_text(" " * (5 << 20)), "at most"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_folder_is_refused_in_one_line(folder: Path, tmp_path: Path, name: str) -> None:
    spoil, reason = SPOILS[name]
    spoil(folder)
    with pytest.raises(RunError, match=reason) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert not list(cache().rglob("*")) or not list(cache().rglob("config.yaml"))


def test_a_file_never_decides_what_is_imported(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "payload.py").write_text("from pathlib import Path\nPath('harm').touch()\nclass Model: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _config(lambda facts: facts["config"].update(modality="payload:Model"))(folder)
    with pytest.raises((RunError, ValueError)):
        load(folder)
    assert not (tmp_path / "harm").exists()


def test_only_an_earlier_export_is_overwritten(model: Model, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--replace"):
        model.export(folder, samples=0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="exists"):
        model.export(tmp_path / "mine", samples=0, replace=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_failed_export_leaves_nothing(model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(Path, "rename", _no_rename)
    with pytest.raises(OSError, match="no"):
        model.export(folder, samples=0, replace=True)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def _no_rename(self: Path, target: Path) -> Path:
    raise OSError("no")


def test_a_run_on_plain_tensors_cannot_be_exported(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor, angle: torch.Tensor, cond: object) -> torch.Tensor:
            y: torch.Tensor = self.layer(torch.cat([x, angle[:, None]], 1))
            return y

    run = train(torch.randn(40, 2), network=Net(), steps=1, out=tmp_path / "own")
    with pytest.raises(RunError, match="nobody else could load it"):
        run.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_moved_folder_keeps_its_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere" / "moons-v1")
    assert Run.open(tmp_path / "elsewhere" / "moons-v1").path == Run.open(folder).path
