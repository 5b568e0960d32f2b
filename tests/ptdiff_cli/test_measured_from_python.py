"""Evaluations and likelihoods from Python: the same as those of the commands, and refused for the same reasons."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
import typer.main

import ptdiff
from ptdiff.errors import DataError, UnknownName
from ptdiff.evaluation import MOST, evaluate
from ptdiff.likelihood.divergence import Exact
from ptdiff.likelihood.flow import FlowPath
from ptdiff.modality.data import TensorSplit
from ptdiff.model.likelihoods import split_likelihood
from ptdiff_cli.main import app
from ptdiff_points2d import Points2D

Call = Callable[..., CompletedProcess[str]]

EVAL = ["n", "note", "protocol", "measures", "metrics", "sets", "reference", "sampling", "weights", "step"]
PLAN = ["process", "solver", "steps", "spacing", "end", "guidance", "threshold", "noise", "precision", "seed"]


@pytest.fixture
def call(request: pytest.FixtureRequest) -> Call:
    """The fixture ``ptdiff``, whose name is the package's here."""
    found: Call = request.getfixturevalue("ptdiff")
    return found


def test_an_evaluation_is_that_of_the_command(call: Call, run: Path, tmp_path: Path) -> None:
    done = call("eval", run, "-n", 40, "--steps", 4, "--seed", 3, "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    lines: list[str] = []
    found = evaluate(ptdiff.load(run, device="cpu"), n=40, steps=4, seed=3, say=lines.append)
    written, told = json.loads(done.stdout), json.loads(json.dumps(found.to_json()))
    for both in (written, told):
        # as they are at the moment
        both.pop("machine")
        both["sampling"].pop("threads")
    assert list(told) == list(written)
    assert list(written) == EVAL and list(written["sampling"]) == [*PLAN, "shape", "calls", "raw"]
    assert told == written
    assert any("comparing 40 samples with 40 of the val split" in line for line in lines)
    assert json.loads(found.save(tmp_path / "deep" / "mine.json").read_text())["metrics"] == written["metrics"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "unknown split 'test'"),
        ({"protocol": "ful-set"}, "did you mean 'full-set'"),
        ({"solver": "huen"}, "did you mean 'heun'"),
        ({"speed": 3}, "unknown option of sampling 'speed'"),
    ],
)
def test_a_wrong_name_is_refused(run: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        evaluate(ptdiff.load(run), n=4, **options)  # type: ignore[arg-type]


def test_data_without_the_split_is_bad_data(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Points2D.dataset
    monkeypatch.setattr(Points2D, "dataset", lambda self: replace(whole(self), val=None))
    model = ptdiff.load(run)
    with pytest.raises(DataError, match="no val split"):
        evaluate(model, n=4)
    with pytest.raises(DataError, match="no val split with at least two samples"):
        split_likelihood(model)
    for command in ("eval", "likelihood"):
        done = call(command, run, "-n", 4)
        assert done.returncode == 3
        assert "no val split" in done.stderr and "Traceback" not in done.stderr


def test_data_that_cannot_be_read_is_bad_data(call: Call, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Points2D) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Points2D, "dataset", broken)
    with pytest.raises(DataError, match="data: the disk is gone"):
        evaluate(ptdiff.load(run), n=4)
    done = call("eval", run, "-n", 4)
    assert (done.returncode, done.stderr.strip()) == (3, "error: data: the disk is gone")


def test_a_model_that_holds_its_samples_is_evaluated_on_those(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ptdiff.load(run)
    data = model.modality.dataset()
    x = torch.zeros(20, 2) + torch.arange(20)[:, None]
    model = replace(model, data=replace(model.data, train=data.train, val=TensorSplit(x, torch.arange(20) % 2)))
    monkeypatch.setattr(Points2D, "dataset", lambda self: pytest.fail("the data was read again"))
    assert torch.equal(evaluate(model, n=20, steps=2).sets.reference, x)


def test_a_likelihood_is_that_of_the_command(call: Call, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "values.npz"
    done = call("likelihood", run, "-n", 6, "--steps", 4, "--exact", "--device", "cpu", "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    model = ptdiff.load(run, device="cpu")
    path = FlowPath(model.plan.process, 4)
    found = split_likelihood(model, 6, path=path, divergence=Exact())
    assert json.loads(json.dumps(found.to_json())) == json.loads(done.stdout)
    with np.load(out, allow_pickle=False) as file:
        ids, nats = torch.from_numpy(file["id"]), file["nats"]
    val = model.modality.dataset().val
    assert val is not None
    x, cond = val.batch(ids, 0)
    alone = model.likelihood(x, label=cond["label"], path=path, divergence=Exact())
    np.testing.assert_allclose(alone.nats.numpy(), nats, rtol=1e-12)
    assert alone.negative()["bits_per_dimension"].value == pytest.approx(-nats.mean() / 2 / np.log(2))


def test_the_help_says_how_many_samples_are_compared() -> None:
    command = typer.main.get_command(app()).get_command(None, "eval")  # type: ignore[attr-defined]
    (option,) = [parameter for parameter in command.params if "--count" in parameter.opts]
    assert option.help.endswith(f"at most {MOST}.")
