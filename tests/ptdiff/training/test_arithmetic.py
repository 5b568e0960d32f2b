"""A run that is resumed under other circumstances says what differs, and keeps its precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_fit import stop_at
from trial import Recorder, Start, Trial

from ptdiff.machine import host
from ptdiff.training.module import DiffusionModule


def resumed(trial: Trial, **training: Any) -> list[str]:
    """The lines of a resumed run about circumstances."""
    plan = trial.run.config.training.model_copy(update=training)
    run = replace(trial.run, config=trial.run.config.model_copy(update={"training": plan}))
    seen = Recorder()
    Trial(run, trial.modality, trial.data).fit(seen)
    return [line for line in seen.lines if "resumed with" in line]


def test_other_threads_and_another_instruction_set_are_said(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = start(steps=6, inner_steps=1, threads=2)
    monkeypatch.setattr(host, "instruction_set", lambda: "AVX512")
    trial.fit(stop_at(2))
    monkeypatch.setattr(host, "instruction_set", lambda: "AVX2")
    assert resumed(trial, threads=1) == [
        "resumed with threads 1 (was 2), instruction set AVX2 (was AVX512): "
        "results differ by rounding; precision stays 32"
    ]


def test_the_same_circumstances_are_not_mentioned(start: Start) -> None:
    trial = start(steps=6, inner_steps=1)
    trial.fit(stop_at(2))
    assert resumed(trial) == []


def test_a_checkpoint_of_an_earlier_version_says_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptdiff.training.state.circumstances", lambda *_: {})
    trial = start(steps=6, inner_steps=1)
    trial.fit(stop_at(2))
    assert resumed(trial, threads=2) == []


def test_a_run_in_bfloat16_stays_in_it_where_it_is_slow(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = start(steps=6, inner_steps=1, precision="bf16")
    trial.fit(stop_at(2))
    used: list[bool] = []
    losses_of = DiffusionModule.losses_of

    def watched(self: DiffusionModule, *given: Any) -> Any:
        used.append(self.plan.precision == "bf16")
        return losses_of(self, *given)

    monkeypatch.setattr(DiffusionModule, "losses_of", watched)
    monkeypatch.setattr(host, "emulates_bfloat16", lambda device: 58.0)
    monkeypatch.setattr(host, "instruction_set", lambda: "none")
    seen = Recorder()
    trial.fit(seen)
    assert len(used) == 4 and all(used)
    assert trial.run.config.training.precision == "bf16"
    assert any("emulates" in line and "stays in bfloat16" in line for line in seen.lines)
    assert any(line.endswith("precision stays bf16") for line in seen.lines)
    assert trial.tensors()["model.net.out.weight"].dtype == torch.float32
