"""A small trained run, made once through the command line, and a way to call it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ptdiff_datasets"))  # for image_examples

Call = Callable[..., CompletedProcess[str]]

SMALL = ["-o", "count=256", "-o", "width=32", "-o", "blocks=1", "--set", "training.batch=64"]


@pytest.fixture(scope="session")
def ptdiff() -> Call:
    """Call the command line's main function in this process; one process per call would spend its time on imports."""
    from ptdiff_cli.main import main

    def call(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> CompletedProcess[str]:
        argv = ["ptdiff", *map(str, arguments)]
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            mock.patch.object(sys, "argv", argv),
            mock.patch.dict(os.environ, {"COLUMNS": "80", **(env or {})}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            contextlib.chdir(cwd or Path.cwd()),
        ):
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return CompletedProcess(argv, code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def run(ptdiff: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of points2d on moons, 60 steps."""
    path = tmp_path_factory.mktemp("runs") / "moons"
    done = ptdiff("train", "-m", "points2d", "--data", "moons", "--steps", 60, "--out", path, *SMALL)
    assert done.returncode == 0, done.stderr
    return path
