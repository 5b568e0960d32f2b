"""``ptdiff config``: what training would use, checks without training, and a schema that an editor finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml


def test_what_is_shown_of_a_run_is_its_configuration(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    shown = ptdiff("config", "show", run)
    assert shown.returncode == 0, shown.stderr
    assert yaml.safe_load(shown.stdout) == yaml.safe_load((run / "config.yaml").read_text())
    as_json = json.loads(ptdiff("config", "show", run, "--json").stdout)
    assert {"format": 2, **as_json} == yaml.safe_load(shown.stdout)


@pytest.mark.parametrize("of", [["mnist-ddpm"], ["-m", "points2d"], ["-m", "points2d", "-o", "width=8"]])
def test_what_is_shown_trains(ptdiff, of: list[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "deep" / "c.yaml"
    done = ptdiff("config", "show", *of, "--out", out)
    assert done.returncode == 0, done.stderr
    checked = ptdiff("config", "validate", out)
    assert checked.returncode == 0 and "a valid configuration of" in checked.stderr
    assert ptdiff("config", "show", out).stdout == out.read_text().partition("\n")[2]


def test_an_editor_finds_the_schema_beside_the_file_wherever_both_are(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert ptdiff("config", "show", "-m", "images", "--out", tmp_path / "a" / "c.yaml").returncode == 0
    shutil.move(tmp_path / "a", tmp_path / "elsewhere")
    text = (tmp_path / "elsewhere" / "c.yaml").read_text()
    first, _, rest = text.partition("\n")
    assert first.startswith("# yaml-language-server: $schema=") and str(tmp_path) not in text
    place = tmp_path / "elsewhere" / first.partition("=")[2]
    checker = jsonschema.Draft202012Validator(json.loads(place.read_text()))
    checker.validate(yaml.safe_load(rest))
    assert not checker.is_valid(yaml.safe_load(rest) | {"traning": {}})
    assert json.loads(ptdiff("config", "schema").stdout) == json.loads(place.read_text())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modality: points2d\ntrainig: {lr: 1}", "did you mean 'training'?"),
        ("modality: points2d\nsampling: {solver: huen}", "did you mean 'heun'?"),
        ("modality: points2d\noptions: {blocks: 1000000000}", "blocks must be at most 1,000"),
        ("modality: points2d\ntraining: {batch: yes}", "should be a number, not true"),
        ("modality: points2d\nseed: 1\nseed: 2", "the key 'seed' appears twice"),
        ("seed: 1", "name a modality"),
        ("modality: *a", "not"),
        ("[", "not YAML"),
    ],
)
def test_a_file_with_a_fault_is_refused_in_one_line(ptdiff, text: str, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "c.yaml").write_text(text)
    done = ptdiff("config", "validate", tmp_path / "c.yaml")
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_run_and_json(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(ptdiff("config", "validate", run, "--json").stdout)
    assert found == {"file": str(run / "config.yaml"), "ok": True, "modality": "points2d"}
