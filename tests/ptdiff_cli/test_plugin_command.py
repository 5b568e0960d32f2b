"""``ptdiff plugin check``: lines and numbers for people, JSON for programs, and what a failure says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Call = Callable[..., CompletedProcess[str]]

FAULTY = '''
"""Points on a line whose order is drawn from the global random state."""
from dataclasses import dataclass
from ptdiff.modality import Data, Modality, TensorSplit, option


class Shuffled(TensorSplit):
    def batch(self, ids, seed):
        import torch
        return super().batch(ids, seed)[0] + torch.rand(()), {}


@dataclass(frozen=True)
class Faulty(Modality):
    """Points on a line."""

    count: int = option(64, "points", least=1)

    def dataset(self):
        import torch
        x = torch.linspace(0, 9, self.count)[:, None]
        return Data((1,), train=Shuffled(x)).measured()

    def backbone(self, data): ...
    def visualizer(self): ...
'''


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "faulty_plugin.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "faulty_plugin", raising=False)
    return "faulty_plugin:Faulty"


def test_every_check_is_a_line_under_its_part_and_the_end_counts_them(ptdiff: Call) -> None:
    done = ptdiff("plugin", "check", "points2d", "-o", "count=64", "--only", "options", "--only", "data")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "options" and "data" in lines
    assert "  ok    options are a frozen dataclass" in lines
    assert "  skip  plain samples are those without augmentation (the training split has no attribute plain)" in lines
    assert lines[-1].endswith("26 passed, 0 failed; 2 skipped")


def test_a_failure_says_what_to_change_and_ends_with_code_1(ptdiff: Call, faulty: str) -> None:
    done = ptdiff("plugin", "check", faulty, "--only", "samples ignore the global random state")
    assert done.returncode == 1
    assert "  FAIL  samples ignore the global random state\n        batch(ids, seed) uses a global" in done.stdout
    assert "ptdiff.noise" in done.stdout
    assert done.stderr == f"error: {faulty}: 1 of 1 checks failed\n"


def test_json_has_every_finding_and_the_counts(ptdiff: Call, faulty: str) -> None:
    done = ptdiff("plugin", "check", faulty, "--json", "--only", "data")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["plugin"] == faulty
    assert found["ran"] + found["skipped"] == len(found["checks"])
    failed = {check["check"] for check in found["checks"] if check["problem"]}
    assert found["failed"] == len(failed)
    assert {"samples ignore the global random state", "the same ids and seed give the same samples"} <= failed
    assert set(found["checks"][0]) == {"check", "part", "proves", "problem", "skipped", "seconds"}


def test_unknown_checks_and_plugins_are_answered(ptdiff: Call, faulty: str) -> None:
    done = ptdiff("plugin", "check", faulty, "--only", "color")
    assert done.returncode == 2
    assert "unknown check 'color'" in done.stderr
    done = ptdiff("plugin", "check", "pints2d")
    assert done.returncode == 2
    assert "did you mean 'points2d'?" in done.stderr
