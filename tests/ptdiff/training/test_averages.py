"""Several averages in one run, snapshots of them, and the average of any width that they give afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.documents.atomic import temporary
from ptdiff.errors import RunError, UnknownName
from ptdiff.run.checkpoint import COMMITTED, latest, problem, save
from ptdiff.run.config import validate
from ptdiff.run.folder import Run
from ptdiff.training.ema import Fixed, Power, averages_of
from ptdiff.training.fit import _Blocks, _marks

POWERS: dict[str, Any] = {"averages": [{"name": "power", "std": 0.05}, {"name": "power", "std": 0.1}], "snapshots": 8}


def stop_at(step: int) -> Recorder:
    return Recorder(lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None)


def snapshots(run: Run) -> dict[str, Tensor]:
    """All tensors of all snapshots under one name each; every one of them verifies."""
    from safetensors.torch import load_file

    found = {}
    for folder in run.averages.iterdir():
        assert problem(folder) is None
        for file in folder.glob("*.safetensors"):
            found |= {f"{folder.name}.{file.stem}.{name}": value for name, value in load_file(file).items()}
    return found


def raw(trial: Trial) -> Tensor:
    return trial.tensors()["model.net.out.weight"]


def test_averages_and_snapshots_of_a_stopped_run_end_bit_equal(start: Start) -> None:
    averages = [*POWERS["averages"], {"name": "uniform", "start": 10}, "warm-up"]
    whole, parted = (start(name, **POWERS | {"averages": averages, "inner_steps": 3}) for name in ("whole", "parted"))
    whole.fit()
    assert parted.fit(stop_at(18)).steps == 18
    # what a kill leaves behind, and a snapshot of steps that will be done anew
    temporary(parted.run.averages).mkdir()
    save(parted.run.averages, 35, {"ema-1": {"x": torch.zeros(1)}}, {"profiles": {}}, keep=99)
    (parted.run.averages / "35" / COMMITTED).unlink()
    assert parted.fit().steps == 40
    assert_bit_equal(whole.tensors(), parted.tensors())
    names = {key.split(".")[0] for key in whole.tensors()}
    assert {"ema", "ema-1", "ema-2", "ema-3", "ema-4", "model"} <= names
    assert {path.name for path in parted.run.averages.iterdir()} == {str(5 * k) for k in range(1, 9)}
    assert_bit_equal(snapshots(whole.run), snapshots(parted.run))


def test_further_averages_change_nothing_else(start: Start) -> None:
    plain, more = start("plain"), start("more", **POWERS)
    plain.fit()
    more.fit()
    mine = more.tensors()
    assert_bit_equal(plain.tensors(), {key: value for key, value in mine.items() if not key.startswith("ema-")})


def test_a_width_that_was_not_kept_comes_out_of_the_snapshots(start: Start) -> None:
    kept = start("kept", **POWERS | {"snapshots": 16, "steps": 200})
    direct = start("direct", ema={"name": "power", "std": 0.075}, steps=200)
    kept.fit()
    direct.fit()
    assert torch.equal(raw(kept), raw(direct))
    truth = direct.tensors()["ema.net.out.weight"]
    made = kept.run.denoiser(weights=0.075).state_dict()["net.out.weight"]
    others = [kept.tensors()[f"ema-{k}.net.out.weight"] for k in (1, 2)]
    error = float((made - truth).norm())
    assert error < 0.1 * min(float((other - truth).norm()) for other in others)
    # the text of a number is as good, and a width that was kept is that average
    assert torch.equal(made, kept.run.denoiser(weights="0.075").state_dict()["net.out.weight"])
    torch.testing.assert_close(kept.run.denoiser(weights=0.1).state_dict()["net.out.weight"], others[1])


def test_weights_are_given_by_name(start: Start) -> None:
    trial = start(**POWERS)
    trial.fit()
    for name, part in (("raw", "model"), ("ema", "ema"), ("ema-1", "ema-1"), (None, "ema")):
        found = trial.run.denoiser(weights=name).state_dict()["net.out.weight"]
        assert torch.equal(found, trial.tensors()[f"{part}.net.out.weight"]), name
    with pytest.raises(UnknownName, match=r"unknown weights 'emma': did you mean 'ema'"):
        trial.run.denoiser(weights="emma")
    with pytest.raises(RunError, match="relative width of an average must lie in"):
        trial.run.denoiser(weights=0.9)


def test_a_width_that_the_snapshots_do_not_give_is_refused(start: Start) -> None:
    trial = start(averages=[{"name": "power", "std": 0.05}])
    trial.fit()
    with pytest.raises(RunError, match="the error of its profile would be"):
        trial.run.denoiser(weights=0.25)
    plain = start("plain", steps=2)
    plain.fit()
    with pytest.raises(RunError, match="no power averages"):
        plain.run.denoiser(weights=0.1)


def test_a_damaged_snapshot_is_named_and_left_out(start: Start) -> None:
    trial = start(**POWERS | {"snapshots": 20})
    trial.fit()
    whole = trial.run.denoiser(weights=0.07).state_dict()["net.out.weight"]
    (trial.run.averages / "20" / "ema-1.safetensors").write_bytes(b"nothing")
    lines: list[str] = []
    found = trial.run.denoiser(lines.append, weights=0.07).state_dict()["net.out.weight"]
    assert any("averages/20 is not used: ema-1.safetensors has changed" in line for line in lines)
    torch.testing.assert_close(found, whole, rtol=0.02, atol=0.02)


def test_a_run_from_before_there_were_several_opens(start: Start) -> None:
    trial = start(steps=2)
    text = (trial.run.path / "config.yaml").read_text()
    old = "  ema: 0.998\n".join(
        part for part in text.split("  ema:\n    name: fixed\n    decay: 0.998\n  averages: []\n")
    )
    assert old != text
    (trial.run.path / "config.yaml").write_text(old.replace("  snapshots: 0\n", ""))
    # runs were not sealed then
    (trial.run.path / "seal.json").unlink()
    run = Run.open(trial.run.path)
    assert run.config == trial.run.config
    weights = run.network().state_dict()
    save(run.checkpoints, 7, {"model": weights, "ema": weights}, {"step": 7, "ema_updates": 7})
    assert torch.equal(run.denoiser().state_dict()["net.out.weight"], weights["net.out.weight"])


def test_a_number_is_the_decay_of_the_fixed_average() -> None:
    plan = validate({"modality": "m", "training": {"ema": 0.5, "averages": [0.9, "power"]}}).training
    assert averages_of(plan) == [Fixed(0.5), Fixed(0.9), Power()]
    with pytest.raises(ValueError, match="unknown average 'powr'"):
        averages_of(validate({"modality": "m", "training": {"averages": ["powr"]}}).training)


def test_snapshots_of_no_power_average_are_refused(start: Start) -> None:
    with pytest.raises(ValueError, match=r"set training\.averages to"):
        start(snapshots=3).fit()


def test_a_snapshot_that_cannot_be_written_costs_no_run(start: Start) -> None:
    trial, recorder = start(**POWERS), Recorder()
    Path(trial.run.averages).write_text("in the way")
    assert trial.fit(recorder).steps == 40
    assert sum(line.startswith("cannot save a snapshot: ") for line in recorder.lines) == 8
    assert latest(trial.run.checkpoints) is not None


def test_folders_of_the_user_beside_snapshots_survive_training(start: Start) -> None:
    trial = start(**POWERS)
    for name in ("mine", "999"):
        (trial.run.averages / name).mkdir(parents=True)
        (trial.run.averages / name / "thesis.txt").write_text("years of work")
    (trial.run.averages / ".DS_Store").write_bytes(b"mac")
    assert trial.fit().steps == 40
    assert len(list(trial.run.averages.glob("*/MANIFEST.sha256"))) == 8
    for name in ("mine", "999"):
        assert (trial.run.averages / name / "thesis.txt").read_text() == "years of work"
    assert (trial.run.averages / ".DS_Store").exists()


@pytest.mark.parametrize("parts", [1, 3, 7, 40, 60])
def test_a_block_of_steps_ends_where_a_part_of_the_run_does(parts: int) -> None:
    marks = _marks(40, parts)
    assert marks | {20, 40} == _marks(40, 2, parts, 0) and _marks(None, parts) == {0}
    module = SimpleNamespace(done=3, block=10)
    blocks, ends = [], set()
    for block in _Blocks(module, 40, marks):  # type: ignore[arg-type]
        blocks += list(block)
        ends.add(block.stop)
        module.done = block.stop
    assert blocks == list(range(3, 40))
    assert {mark for mark in marks if mark > 3} <= ends
    assert len(marks) == min(parts, 40) and max(marks) == 40


def test_with_the_clock_alone_snapshots_follow_it(start: Start) -> None:
    trial = start(
        options={"delay": 0.005}, **POWERS | {"steps": None, "minutes": 0.01, "inner_steps": 1, "snapshots": 4}
    )
    trial.fit()
    assert len(list(trial.run.averages.iterdir())) == 4
