"""Runs of earlier versions: opened, sampled to the same values, continued; and newer formats are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ptdiff.errors import RunError
from ptdiff.run import config
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan, draw
from ptdiff.solvers.runge_kutta import Heun
from ptdiff.training.fit import fit

EARLIER = Path(__file__).parent / "earlier_formats"
"""A tiny run of every version with a format of its own, and six samples that this version made of it."""
VERSIONS = ["0.1.0", "0.2.0"]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_run_gives_the_samples_that_its_version_made_of_it(version: str) -> None:
    run = Run.open(EARLIER / version)
    plan = Plan(Plan.chosen(run.config.process, run.config.sampling).process, Heun(), steps=6)
    with np.load(EARLIER / f"{version}.npz", allow_pickle=False) as file:
        before, label = file["samples"], torch.from_numpy(file["label"])
    with torch.inference_mode():
        x = draw(run.denoiser(), run.data, plan, torch.arange(6), {"label": label}, run.data.shape)
    assert run.config.modality == "points2d"
    assert np.allclose(x.numpy(), before, atol=1e-4)


def test_a_run_is_continued(version: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(EARLIER / version, path)
    values = config.read(path / "config.yaml")
    values["training"]["steps"] = 220
    (path / "config.yaml").write_text(config.validate(values).to_yaml())
    run = Run.open(path)
    kind = run.modality()
    fit(run, kind, kind.dataset())
    assert run.checkpoint().step == 220


@pytest.mark.parametrize("number", [99, 0, "two", True])
def test_a_newer_or_impossible_format_is_refused_by_name(number: object, tmp_path: Path) -> None:
    for name in ("config.yaml", "data.json"):
        path = tmp_path / name / "run"
        shutil.copytree(EARLIER / "0.2.0", path)
        file = path / name
        values = yaml.safe_load(file.read_text())
        values["format"] = number
        file.write_text(json.dumps(values))
        with pytest.raises((ValueError, RunError), match=rf"{name}.* format .*{number}"):
            Run.open(path)


def test_the_newest_run_that_is_kept_has_the_present_format() -> None:
    assert yaml.safe_load((EARLIER / VERSIONS[-1] / "config.yaml").read_text())["format"] == config.FORMAT
    assert "format" not in yaml.safe_load((EARLIER / "0.1.0" / "config.yaml").read_text())
