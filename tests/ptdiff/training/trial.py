"""Runs of the tiny modality, in this process and in others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptdiff.modality import Modality
from ptdiff.modality.data import Data
from ptdiff.run.checkpoint import latest
from ptdiff.run.folder import Run
from ptdiff.training.fit import Outcome, fit
from ptdiff.training.observer import Observer

HERE = str(Path(__file__).parent)


class Recorder(Observer):
    """Observer that keeps the reports of a run."""

    def __init__(self, act: Callable[[int], None] | None = None) -> None:
        self.lines: list[str] = []
        self.reports: list[dict[str, Any]] = []
        self.steps: list[int] = []
        self.act = act

    def say(self, line: str) -> None:
        self.lines.append(line)

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        self.steps.append(done)
        if self.act is not None:
            self.act(done)

    def report(self, values: dict[str, Any]) -> None:
        self.reports.append(values)


@dataclass
class Trial:
    """A run with its data."""

    run: Run
    modality: Modality
    data: Data

    def fit(self, observer: Observer | None = None, **options: Any) -> Outcome:
        return fit(self.run, self.modality, self.data, observer=observer, **options)

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, averaged weights, moments and all else of the newest checkpoint, each under one name."""
        found = latest(self.run.checkpoints)
        assert found is not None
        return {
            f"{part}.{name}": value
            for part in sorted(file.stem for file in found.path.glob("*.safetensors"))
            for name, value in found.tensors(part).items()
        }

    def state(self) -> dict[str, Any]:
        found = latest(self.run.checkpoints)
        assert found is not None
        return {"step": found.step} | dict(found.state)


Start = Callable[..., Trial]


def assert_bit_equal(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    assert not different, f"{len(different)} of {len(mine)} differ, {different[0]} among them"


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([HERE, *filter(None, sys.path)]),
        **more,
    }


def command(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start ``ptdiff`` with these arguments in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ptdiff_cli.main", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )
