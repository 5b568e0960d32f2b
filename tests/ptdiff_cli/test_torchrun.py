"""Ranks that torchrun starts share one run, with replicas of the network or a sharded one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.run.folder import Run

Call = Callable[..., subprocess.CompletedProcess[str]]

MODALITIES = {
    "points2d": ["-o", "count=300", "-o", "width=16", "-o", "blocks=1"],
    "pointcloud": [
        *("-o", "points=32", "-o", "dense=64", "-o", "shapes_per_class=6", "-o", "classes=[chair,table]"),
        *("-o", "width=16", "-o", "layers=1", "-o", "heads=2", "-o", "inducers=4"),
    ],
    "images": ["-o", "width=8", "-o", "layers=1", "-o", "pixels=8"],
}
"""Tiny networks of every modality."""

FIXED = [
    *("--precision", "32", "--set", "training.threads=1", "--set", "training.shards=1", "--set", "training.batch=8"),
    *("--set", "training.micro_batch=null", "--set", "training.validations=2"),
    # AdamW divides by the size of a gradient, so a bias before a normalization walks a step of this size by rounding
    *("--set", "training.lr=5e-4"),
]


def _ranks(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "-m", "ptdiff_cli.main"]
    return subprocess.run(
        [sys.executable, "-m", *launcher, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def _train(ptdiff: Call, folder: Path, name: str, steps: int, strategy: str | None) -> None:
    """Train a run of ``name`` in ``folder``, or continue one, to that many steps; without a strategy on one device."""
    begin = ["train", "-m", name, "--out", "run", *MODALITIES[name], *FIXED, "--no-compile"]
    command = [*(["resume", "run"] if (folder / "run").exists() else begin), "--steps", steps, "--device", "cpu"]
    if strategy is None:
        done = ptdiff(*command, cwd=folder)
    else:
        done = _ranks(folder, *command, "--devices", 2, "--strategy", strategy)
    assert done.returncode == 0, done.stderr[-2000:]


def _assert_close(folder: Path, other: Path) -> None:
    mine, theirs = (Run.open(each / "run").checkpoint() for each in (folder, other))
    assert (mine.step, mine.parts) == (theirs.step, theirs.parts)
    for part in mine.parts:
        for name, value in mine.tensors(part).items():
            difference = float((theirs.tensors(part)[name] - value).abs().max()) if value.numel() else 0.0
            assert difference <= 1e-6, f"{part}.{name}: {difference}"


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


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MODALITIES)
def test_runs_change_their_strategy_and_keep_the_weights_of_one_rank(ptdiff: Call, tmp_path: Path, name: str) -> None:
    # every checkpoint is continued by another strategy
    orders: dict[str, list[str | None]] = {
        "one": [None] * 3,
        "first": ["fsdp", "ddp", None],
        "second": [None, "fsdp", "ddp"],
    }
    for order, strategies in orders.items():
        (tmp_path / order).mkdir()
        for steps, strategy in zip((4, 8, 12), strategies, strict=True):
            _train(ptdiff, tmp_path / order, name, steps, strategy)
    for order in ("first", "second"):
        _assert_close(tmp_path / order, tmp_path / "one")
    # and generate and evaluate like a run of one rank
    found = {}
    for order in ("one", "first"):
        folder = tmp_path / order
        options = ["-n", 4, "--steps", 3, "--raw", "--precision", "32", "--device", "cpu"]
        done = ptdiff("sample", "run", *options, "--out", "s.npz", cwd=folder)
        assert done.returncode == 0, done.stderr
        done = ptdiff("eval", "run", *options, "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        scores = {key: value["value"] for key, value in json.loads(done.stdout)["metrics"].items()}
        found[order] = np.load(folder / "s.npz")["samples"], scores
    (x, mine), (y, theirs) = found.values()
    np.testing.assert_allclose(y, x, atol=1e-4 * max(1.0, float(np.abs(x).max())))
    assert theirs == pytest.approx(mine, rel=1e-2, abs=1e-3)


def test_commands_that_ranks_would_repeat_refuse_torchrun_in_one_line(ptdiff: Call, tmp_path: Path) -> None:
    torchrun = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "RANK": "1"}
    for command in ("sample", "eval"):
        done = ptdiff(command, "run", cwd=tmp_path, env=torchrun)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"{command} runs in one process, not on 2 ranks: leave out torchrun" in done.stderr
        assert "--workers" in done.stderr
    # a single process of torchrun is like any other
    alone = ptdiff("sample", "run", cwd=tmp_path, env={**torchrun, "WORLD_SIZE": "1", "RANK": "0"})
    assert "torchrun" not in alone.stderr and "run" in alone.stderr


def test_wrong_strategies_are_refused_in_one_line(ptdiff: Call, tmp_path: Path) -> None:
    train = ["train", "-m", "points2d", "--steps", 1, "-o", "count=64", "--out", "run"]
    for options, line in (
        (["--devices", 2, "--strategy", "fdsp"], "unknown strategy 'fdsp': did you mean 'fsdp'?"),
        (["--strategy", "fsdp"], "strategy fsdp needs several devices to shard the network over, not one"),
    ):
        done = ptdiff(*train, *options, "--device", "cpu", cwd=tmp_path)
        assert done.returncode == 2 and line in done.stderr.splitlines()[-1], done.stderr
        assert not (tmp_path / "run").exists()
