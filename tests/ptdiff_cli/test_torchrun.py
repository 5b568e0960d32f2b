"""Ranks that torchrun starts share one run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ptdiff.run.folder import Run


def _torchrun(folder: Path, *out: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ptdiff_cli.main", "train"]
    options = ["-m", "points2d", "-o", "count=500", "--steps", "6", "--devices", "2", "--device", "cpu", *out]
    settings = ["--precision", "32", "--set", "training.threads=1"]
    return subprocess.run(
        [*command, *options, *settings],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.slow
def test_two_ranks_of_torchrun_train_one_run_like_one_process(tmp_path: Path) -> None:
    done = _torchrun(tmp_path, "--out", "two")
    assert done.returncode == 0, done.stderr[-2000:]
    one = [sys.executable, "-m", "ptdiff_cli.main", "train", "-m", "points2d", "-o", "count=500", "--steps", "6"]
    settings = ["--precision", "32", "--set", "training.threads=1", "--set", "training.shards=1"]
    subprocess.run([*one, *settings, "--out", "one"], cwd=tmp_path, check=True, capture_output=True, timeout=250)
    two, alone = (Run.open(tmp_path / name).checkpoint() for name in ("two", "one"))
    assert two.step == alone.step == 6
    for name, value in alone.tensors("model").items():
        assert torch.allclose(two.tensors("model")[name], value, atol=1e-6, rtol=1e-5), name


@pytest.mark.slow
def test_ranks_without_a_common_folder_are_refused_in_one_line(tmp_path: Path) -> None:
    done = _torchrun(tmp_path)
    assert done.returncode != 0
    assert "ranks that are started separately need the same --out" in done.stderr
