"""Settings left to the machine, chosen once when a run begins and kept in its config.yaml.

So a run resumes bit for bit on the same machine.  On another one it keeps its precision, with a warning if that is slow
there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from ptdiff.errors import RunError
from ptdiff.machine import host
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.run.checkpoint import latest
from ptdiff.run.config import Config, read, validate
from ptdiff.run.folder import Run, process_rank
from ptdiff.training.pace import paced

WAIT = 600.0
"""Seconds for which other ranks wait for the trial of the first one."""


def is_open(config: Config) -> bool:
    """Return True if a configuration leaves anything to the machine."""
    plan = config.training
    return "auto" in (plan.precision, plan.threads, plan.shards, plan.micro_batch, plan.compile)


def comes_of(done: Config, asked: Config) -> bool:
    """Return True if ``done`` is ``asked`` as settled on some machine: equal except for what ``asked`` leaves open.

    A run by the clock may also have a shorter warm-up (ptdiff.training.pace).
    """
    left = {key: getattr(done.training, key) for key, value in asked.training if value == "auto"}
    if asked.training.minutes is not None:
        left["warmup"] = min(done.training.warmup, asked.training.warmup)
    return done == asked.model_copy(update={"training": asked.training.model_copy(update=left)})


def settled(run: Run, kind: Modality, data: Data, device: torch.device, ranks: int, say: Callable[[str], None]) -> Run:
    """``run`` with every "auto" settled; the choice is reported through ``say`` and saved in the run.

    Only the first rank runs the trial; the others wait for its result.
    """
    if is_open(run.config) and latest(run.checkpoints) is not None:
        # the run began before threads were part of a configuration: it used torch's own choice
        run = replace(run, config=as_torch_does(run.config))
    if not is_open(run.config):
        _warn(run.config, device, say)
        return run
    if process_rank() != 0:
        return _wait(run)
    found = paced(run.config, kind, data, device, ranks)
    for line in found.lines:
        say(line)
    return run.settled(found.config, found.settled.facts())


def as_torch_does(config: Config) -> Config:
    """``config`` settled without a trial: float32, all threads, the batch in one piece."""
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
            f"this run is in bfloat16, which this machine emulates, {slower:.2g}x slower than float32; "
            "it stays in bfloat16, but a new run with --precision 32 would be faster"
        )
    if device.type == "cpu" and plan.threads != "auto" and plan.threads > host.cores():
        say(f"this run uses {plan.threads} threads, but this machine only has {host.cores()} cores")


def _wait(run: Run) -> Run:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if (run.path / "config.yaml").exists():
            config = validate(read(run.path / "config.yaml"))
            if not is_open(config):
                return replace(run, config=config)
        time.sleep(0.2)
    raise RunError(
        f"{run.path}: the first rank wrote no configuration within {WAIT:.0f} s; do all ranks see this folder?"
    )
