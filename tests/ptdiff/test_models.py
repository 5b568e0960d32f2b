"""Models that ship: found by name without an import, and left as they are."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from ptdiff.errors import RunError
from ptdiff.modality.registry import GROUP, modalities, package_folder
from ptdiff.run.checkpoint import problem, save
from ptdiff.run.folder import Run
from ptdiff.run.models import Model, located, models, outputs, ships
from ptdiff.training.fit import fit


def _plugin(folder: Path, name: str, *shipped: str, code: str = "import no_such_package") -> None:
    """A distribution as pip leaves it, with models; its code fails when it is imported."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    for model in shipped:
        place = folder / name / "models" / model
        place.mkdir(parents=True)
        (place / "config.yaml").write_text(f"modality: {name}\n")
        (place / "card.json").write_text(json.dumps({"summary": f"{model} of {name}"}))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}:Kind\n")


def _run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("modality: points2d\n")
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, away from that of plugins."""
    plugins, place = tmp_path / "site", tmp_path / "here"
    plugins.mkdir()
    place.mkdir()
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.chdir(place)
    _plugin(plugins, "aa", "spiral", "both")
    _plugin(plugins, "zz", "both")
    return place


@pytest.mark.usefixtures("own")
def test_a_strangers_models_are_found_and_its_package_is_not_imported() -> None:
    found = {(m.name, m.modality): m for m in models()}
    assert {("spiral", "aa"), ("both", "aa"), ("both", "zz"), ("shapes", "pointcloud")} <= set(found)
    assert found["spiral", "aa"].summary == "spiral of aa"
    assert "aa" not in sys.modules and "zz" not in sys.modules


def test_a_module_without_a_package_of_its_own_ships_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "alone.py").write_text("")
    _run(tmp_path / "models" / "strange")
    (tmp_path / "alone-1.0.dist-info").mkdir()
    (tmp_path / "alone-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: alone\nVersion: 1.0\n")
    (tmp_path / "alone-1.0.dist-info" / "entry_points.txt").write_text(f"[{GROUP}]\nalone = alone:Kind\n")
    listed = next(one for one in modalities() if one.name == "alone")
    assert package_folder(listed) is None


def test_a_run_folder_wins_over_a_name_and_is_named(own: Path) -> None:
    said: list[str] = []
    assert located("spiral").parts[-3:] == ("aa", "models", "spiral")
    _run(own / "spiral")
    assert located("spiral", said.append) == Path("spiral")
    assert len(said) == 1 and "the run in the folder ./spiral" in said[0] and "aa/models/spiral" in said[0]
    said.clear()
    assert located(own / "spiral", said.append) == own / "spiral"
    assert said == []


def test_a_folder_that_is_no_run_does_not_hide_a_model_and_a_file_does(own: Path) -> None:
    said: list[str] = []
    (own / "spiral").mkdir()
    assert located("spiral", said.append).parts[-3:] == ("aa", "models", "spiral")
    assert said == ["spiral is the installed model: the folder ./spiral is not a run"]
    (own / "spiral").rmdir()
    (own / "spiral").touch()
    assert located("spiral") == Path("spiral")


@pytest.mark.usefixtures("own")
def test_a_name_of_two_modalities_asks_which() -> None:
    with pytest.raises(ValueError, match=r"aa and zz each have a model 'both': give its folder, .*both and "):
        located("both")


def test_what_is_neither_gives_the_nearest_model_and_the_runs_there(own: Path) -> None:
    _run(own / "runs" / "demo")
    with pytest.raises(RunError, match=r"did you mean 'shapes'\?.*models: .*shapes.*runs: runs/demo"):
        Run.open("shappes")
    with pytest.raises(RunError, match=r"did you mean 'demo'\?"):
        Run.open("demmo")
    # a path is no name
    with pytest.raises(RunError, match=r"has no config\.yaml$"):
        Run.open("elsewhere/shapes")


@pytest.mark.usefixtures("own")
def test_what_is_made_of_a_model_goes_elsewhere() -> None:
    found = Run.open("swissroll")
    assert ships(found.path) and outputs(found.path) == found.outputs == Path("runs/models/swissroll")
    with pytest.raises(RunError, match="train --from swissroll"):
        Run.create(found.path, found.config, found.data)
    with pytest.raises(RunError, match="read-only"):
        fit(found, found.modality(), found.data)


def test_runs_keep_what_is_made_of_them(own: Path) -> None:
    assert outputs(_run(own / "mine")) == own / "mine"


OURS = [model for model in models() if model.modality in ("pointcloud", "images", "points2d")]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.name)
def test_a_model_has_float16_weights_that_verify_and_a_card(model: Model) -> None:
    run = Run.open(model.path)
    checkpoint = run.checkpoint(lambda line: pytest.fail(line))
    assert problem(checkpoint.path) is None
    half, whole = checkpoint.tensors("ema"), run.denoiser().state_dict()
    for name, value in half.items():
        assert value.dtype == torch.float16 if value.is_floating_point() else True, name
        # float16 to float32 is exact
        assert whole[name].dtype == torch.float32 and torch.equal(whole[name].half(), value), name
    card = model.card
    assert card["name"] == model.name and card["licence"]["weights"] == "MIT" and card["licence"]["data"]
    assert card["parameters"] == sum(value.numel() for value in half.values())
    assert card["command"].startswith("python benchmarks/models.py") and card["machine"]["instruction_set"]
    assert 0 < card["float16"]["rms"] < 2e-3
    for score in card["figures"].values():
        assert {"value", "low", "high", "floor"} <= set(score)
    text = (model.path / "README.md").read_text(encoding="utf-8")
    assert card["command"] in text and "floor" in text


def test_three_models_ship_in_at_most_three_megabytes() -> None:
    assert {model.name for model in OURS} == {"shapes", "digits", "swissroll"}
    sizes = [file.stat().st_size for model in OURS for file in model.path.rglob("*") if file.is_file()]
    assert sum(sizes) <= 3 * 10**6


def test_weights_that_a_model_does_not_have_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"unknown weights 'raw'.*ema"):
        Run.open("swissroll").denoiser(weights="raw")


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.name)
def test_the_estimates_of_a_model_are_better_than_the_mean_of_its_data(model: Model) -> None:
    """At medium noise; a network that has learned nothing has an error of about one."""
    from ptdiff.process import Flow

    run = Run.open(model.path)
    train = run.modality().dataset().train
    assert train is not None
    x, cond = train.batch(torch.arange(32) * (len(train) // 32), 0)
    z = run.data.normalize(x)
    level = Flow().level(torch.full((32,), 0.4))
    noisy = level.like(z).alpha * z + level.like(z).sigma * torch.randn(
        z.shape, generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        error = float((run.denoiser()(noisy, level, cond) - z).square().mean())
    # what is known of one number by itself, Gaussian: sigma^2 / (alpha^2 + sigma^2)
    assert math.isfinite(error) and error < 0.9 * 0.16 / (0.36 + 0.16)


def test_a_damaged_model_is_not_used(tmp_path: Path) -> None:
    run = tmp_path / "one"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "data.json"):
        (run / name).write_bytes((Run.open("swissroll").path / name).read_bytes())
    made = save(run / "checkpoints", 3, {"ema": {"x": torch.zeros(2).half()}}, {"step": 3, "elapsed": 1.0})
    (made.path / "ema.safetensors").write_bytes(b"spoiled")
    with pytest.raises(RunError, match="no usable checkpoint"):
        Run.open(run).checkpoint()
