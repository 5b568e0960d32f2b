"""What a run leaves to the machine is decided once, when it begins, and kept in its config.yaml.

So a run goes on as it began, bit for bit, on the same machine; another one keeps its arithmetic and says where that is
slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ptdiff import host
from ptdiff.checkpoint import latest
from ptdiff.config import Config, read, validate
from ptdiff.data import Data
from ptdiff.modality import Modality
from ptdiff.run import Run, RunError, process_rank
from ptdiff.training.trial import settle

WAIT = 600.0
"""Seconds that other ranks wait for the first one's trial."""


def is_open(config: Config) -> bool:
    """Whether a configuration leaves something to the machine."""
    plan = config.training
    return "auto" in (plan.precision, plan.threads, plan.shards, plan.micro_batch, plan.compile)


def comes_of(done: Config, asked: Config) -> bool:
    """Whether ``done`` is what becomes of ``asked`` on some machine: alike but for what ``asked`` leaves to it.

    A run by the clock may also have a shorter warm-up (ptdiff.training.pace).
    """
    left = {key: getattr(done.training, key) for key, value in asked.training if value == "auto"}
    if asked.training.minutes is not None:
        left["warmup"] = min(done.training.warmup, asked.training.warmup)
    return done == asked.model_copy(update={"training": asked.training.model_copy(update=left)})


def settled(run: Run, kind: Modality, data: Data, device: torch.device, ranks: int, say: Callable[[str], None]) -> Run:
    """``run`` with a configuration that leaves nothing open; what was chosen is said and written into the run.

    Only the first rank tries; the others wait for what it writes.
    """
    if not is_open(run.config):
        _warn(run.config, device, say)
        return run
    if process_rank() != 0:
        return _wait(run)
    if latest(run.checkpoints) is not None:
        # begun before threads were part of a configuration: they were those that torch takes by itself
        return Run(run.path, as_torch_does(run.config), run.data)
    found = settle(run.config, kind, data, device, ranks)
    say(found.line())
    return run.settled(found.config, found.facts())


def as_torch_does(config: Config) -> Config:
    """What is open decided without a trial: float32, all threads, a batch in one piece."""
    plan = config.training
    update = {
        "precision": "32" if plan.precision == "auto" else plan.precision,
        "threads": torch.get_num_threads() if plan.threads == "auto" else plan.threads,
        "shards": 1 if plan.shards == "auto" else plan.shards,
        "compile": plan.compile is True,
        "micro_batch": None if plan.micro_batch == "auto" else plan.micro_batch,
    }
    return config.model_copy(update={"training": plan.model_copy(update=update)})


def _warn(config: Config, device: torch.device, say: Callable[[str], None]) -> None:
    plan = config.training
    if plan.precision == "bf16" and (slower := host.emulates_bfloat16(device)) is not None:
        say(
            f"this run is in bfloat16, which this machine emulates, {slower:.2g}x slower than float32: "
            "it goes on so; a new run with --precision 32 would be quicker"
        )
    if device.type == "cpu" and plan.threads != "auto" and plan.threads > host.cores():
        say(f"this run works with {plan.threads} threads, and this machine has {host.cores()} cores")


def _wait(run: Run) -> Run:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if (run.path / "config.yaml").exists():
            config = validate(read(run.path / "config.yaml"))
            if not is_open(config):
                return Run(run.path, config, run.data)
        time.sleep(0.2)
    raise RunError(
        f"{run.path}: the first rank settled no configuration in {WAIT:.0f} s; do all ranks see this folder?"
    )
