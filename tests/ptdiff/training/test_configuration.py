"""One resolver of configurations: what it refuses from Python, before a folder exists, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ptdiff.training.configuration import resolve
from ptdiff.training.train import train_run

TINY = {"modality": "tiny_modality:Tiny", "training": {"steps": 1}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling": {"solver": "huen"}}, "did you mean 'heun'"),
        ({"sampling": {"solver": {"name": "heun", "stpes": 3}}}, "stpes"),
        ({"sampling": {"spacing": "unifrom"}}, "did you mean 'uniform'"),
        ({"sampling": {"guidance": {"name": "cgf"}}}, "did you mean 'cfg'"),
        ({"sampling": {"threshold": "dynamik"}}, "did you mean 'dynamic'"),
        ({"process": "flwo"}, "did you mean 'flow'"),
        ({"training": {"steps": 1, "optimizer": "adamm"}}, "did you mean 'adam"),
        ({"prediction": "epsilon"}, "unknown prediction 'epsilon'"),
        ({"options": 5}, "options must map names to values"),
        ({"options": {"widht": 3}}, "did you mean 'width'"),
    ],
)
def test_a_wrong_name_given_from_python_is_refused_before_training(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        train_run(tmp_path / "run", {**TINY, **values})
    assert not (tmp_path / "run").exists()


def test_a_configuration_needs_a_modality(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name a modality"):
        train_run(tmp_path / "run", {"training": {"steps": 1}})


def test_values_given_are_not_changed_and_options_are_complete() -> None:
    values = {**TINY, "options": {"width": 8}}
    config, kind = resolve(values)
    assert values == {**TINY, "options": {"width": 8}}
    assert config.options["width"] == 8 == kind.width  # type: ignore[attr-defined]
    assert config.options["count"] == 200


def test_a_place_of_data_is_kept_as_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text("x,y\n0,1\n1,2\n")
    monkeypatch.chdir(tmp_path)
    config, _ = resolve({"modality": "points2d", "options": {"data": "table.csv"}})
    assert config.options["data"] == str(tmp_path / "table.csv")
