"""A small trained run, made once through the command line, and a way to call it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ["-o", "count=256", "-o", "width=32", "-o", "layers=1", "--set", "training.batch=64", "--threads", "1"]


@pytest.fixture(scope="session")
def ptdiff() -> Call:
    """Run the command line in a process of its own, as a user does."""

    def call(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ptdiff_cli.main", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", **(env or {})},
            timeout=240,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def run(ptdiff: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of points2d on moons, 60 steps."""
    path = tmp_path_factory.mktemp("runs") / "moons"
    done = ptdiff("train", "-m", "points2d", "--data", "moons", "--steps", 60, "--out", path, *SMALL)
    assert done.returncode == 0, done.stderr
    return path
