"""Every evaluation of a run is kept, and the right one stands for the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from ptdiff.errors import RunError
from ptdiff.experiments.scores import main_score, measured
from ptdiff.modality import registry
from ptdiff.run.config import validate
from ptdiff.run.evaluations import first, keep
from ptdiff.run.folder import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    values = {"modality": "points2d", "options": {"data": "moons", "count": 64}}
    kind = registry.load("points2d", values["options"])  # type: ignore[arg-type]
    return Run.create(tmp_path / "run", validate(values), kind.dataset())


def an_evaluation(n: int, **over: Any) -> dict[str, Any]:
    score = {"value": n / 1000, "low": 0.0, "high": 1.0, "floor": 0.1}
    usual = {"n": n, "protocol": "full-set", "metrics": {"energy": score}, "step": 40}
    return usual | {"reference": {"data": "moons", "split": "val"}, "sampling": {"raw": False}} | over


def kept(run: Run) -> list[str]:
    return sorted(path.name for path in (run.path / "eval").iterdir())


def shown(run: Run) -> Any:
    return json.loads((run.path / "eval.json").read_text())


def test_few_samples_after_many_wipe_nothing_and_comparisons_show_the_many(run: Run) -> None:
    many = keep(run, an_evaluation(120), "full-set")
    few = keep(run, an_evaluation(8), "full-set")
    assert kept(run) == ["full-set-n120.json", "full-set-n8.json"]
    assert shown(run)["n"] == 120
    found, score = measured(run.path), main_score(run.path)
    assert found is not None and found.basis["n"] == 120
    assert score is not None and score[1] == 0.12
    assert first(run, "full-set") == an_evaluation(120)
    # unless a file is named
    for path, n in ((many, 120), (few, 8)):
        one, score = measured(path), main_score(path)
        assert one is not None and one.basis["n"] == n
        assert score is not None and score[1] == n / 1000


@pytest.mark.parametrize(
    ("over", "name"),
    [
        ({"protocol": "pixels"}, "pixels-n500.json"),
        ({"reference": {"data": "moons", "split": "train"}}, "full-set-n500-train.json"),
        ({"reference": {"data": "/else/my circles.npz", "split": "val"}}, "full-set-n500-my-circles.npz.json"),
        ({"sampling": {"raw": True}}, "full-set-n500-raw.json"),
    ],
)
def test_other_protocols_and_references_never_stand_for_a_run_that_has_the_usual_one(
    run: Run, over: dict[str, Any], name: str
) -> None:
    keep(run, an_evaluation(500, **over), "full-set")
    assert shown(run)["n"] == 500
    keep(run, an_evaluation(8), "full-set")
    assert shown(run)["n"] == 8
    keep(run, an_evaluation(500, **over), "full-set")
    assert shown(run)["n"] == 8
    assert kept(run) == sorted(["full-set-n8.json", name])


def test_of_two_equal_ones_the_newest_stands_for_the_run(run: Run) -> None:
    keep(run, an_evaluation(120), "full-set")
    keep(run, an_evaluation(120, metrics={"energy": {"value": 7.0}}), "full-set")
    assert shown(run)["metrics"]["energy"]["value"] == 7.0
    assert kept(run) == ["full-set-n120.json"]


def test_scores_of_weights_that_were_trained_further_are_outdated(run: Run) -> None:
    keep(run, an_evaluation(120), "full-set")
    keep(run, an_evaluation(8, step=80), "full-set")
    assert (shown(run)["step"], shown(run)["n"]) == (80, 8)
    assert kept(run) == ["full-set-n120.json", "full-set-n8.json"]


def test_an_evaluation_of_an_earlier_version_is_read_and_moves_into_the_folder(run: Run) -> None:
    text = json.dumps(an_evaluation(120))
    (run.path / "eval.json").write_text(text)
    found = measured(run.path)
    assert found is not None and found.basis["n"] == 120
    keep(run, an_evaluation(300), "full-set")
    assert shown(run)["n"] == 300
    assert (run.path / "eval" / "full-set-n120.json").read_text() == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"protocol": "full-set", "n": "many"}'])
def test_a_damaged_file_is_replaced_and_never_exported(run: Run, text: str) -> None:
    (run.path / "eval.json").write_text(text)
    with pytest.raises(RunError, match=r"eval\.json cannot be read"):
        first(run, "full-set")
    keep(run, an_evaluation(8), "full-set")
    assert shown(run)["n"] == 8
    assert kept(run) == ["full-set-n8.json"]


def test_a_protocol_is_never_a_path(run: Run) -> None:
    keep(run, an_evaluation(8, protocol="../../other"), "full-set")
    assert kept(run) == ["..-..-other-n8.json"]


def test_a_model_that_ships_keeps_its_own_scores_beside_new_ones(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path / "eval.json").write_text(json.dumps(an_evaluation(400)))
    monkeypatch.setattr(Run, "outputs", property(lambda self: tmp_path / "outputs"))
    keep(run, an_evaluation(8), "full-set")
    assert (tmp_path / "outputs" / "eval.json").is_file()
    found = first(run, "full-set")
    assert found is not None and found["n"] == 400


def test_a_run_without_evaluations_has_none(run: Run) -> None:
    assert first(run, "full-set") is None
