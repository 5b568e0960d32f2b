"""Fitting: a run folder, data and a Trainer in; a trained run out."""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from ptdiff.checkpoint import Checkpoint, latest
from ptdiff.data import Data
from ptdiff.modality import Modality
from ptdiff.run import Run
from ptdiff.training.callbacks import Checkpoints, Observer, OrderlyStop, Previews, Reports
from ptdiff.training.module import DiffusionModule, Diverged
from ptdiff.training.state import load_state

ROLLBACKS = 3
"""So many returns to the last good checkpoint, each with half the learning rate, before a run is given up."""


@dataclass(frozen=True)
class Hardware:
    """Where training runs, in Lightning's words."""

    devices: int | str = "auto"
    nodes: int = 1
    strategy: str = "auto"
    compile: bool = False


@dataclass(frozen=True)
class Outcome:
    """How training ended: the steps done, the seconds spent on them, and the signal that stopped it, if one did."""

    steps: int
    seconds: float
    signal: int | None = None


class _Blocks:
    """The optimiser steps still to do, in ranges of ``inner`` for one Lightning step each."""

    def __init__(self, first: int, last: int, inner: int) -> None:
        self.ranges = [range(s, min(s + inner, last)) for s in range(first, last, inner)]

    def __len__(self) -> int:
        return len(self.ranges)

    def __iter__(self) -> Iterator[range]:
        return iter(self.ranges)


class _Restore(pl.Callback):
    """Puts the newest good checkpoint into the module once its optimiser exists."""

    def __init__(self, run: Run, observer: Observer) -> None:
        self.run, self.observer = run, observer

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, DiffusionModule)
        found = latest(self.run.checkpoints, self.observer.say, repair=trainer.is_global_zero)
        optimizer = module.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        if found is not None:
            rate = module.rate
            load_state(module, optimizer, found)
            module.rate = min(rate, module.rate)


def fit(
    run: Run,
    modality: Modality,
    data: Data,
    *,
    hardware: Hardware | None = None,
    loggers: list[Any] | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Train ``run`` on ``data`` from its newest checkpoint, or from the beginning, to the end of its configuration.

    Raises Diverged when the loss stays non-finite after three returns to a good checkpoint, and CheckpointError when
    the run cannot be saved.
    """
    keep_freed_memory()
    hardware, observer = hardware or Hardware(), observer or Observer()
    rate = 1.0
    for attempt in range(ROLLBACKS + 1):
        try:
            return _fit(run, modality, data, hardware, loggers or [], observer, rate)
        except Diverged as error:
            if attempt == ROLLBACKS:
                raise
            rate *= 0.5
            observer.say(f"{error}: back to the last checkpoint, at {rate:g} of the learning rate")
    raise AssertionError("unreachable")


def _fit(
    run: Run,
    modality: Modality,
    data: Data,
    hardware: Hardware,
    loggers: list[Any],
    observer: Observer,
    rate: float,
) -> Outcome:
    plan = run.config.training
    if hardware.devices not in ("auto", 1, "1") or hardware.nodes > 1:
        # the gradients of ranks are joined once a Lightning step
        plan = plan.model_copy(update={"inner_steps": 1})
    torch.manual_seed(run.config.seed)
    module = DiffusionModule(run.network(), data, run.config.model_copy(update={"training": plan}))
    module.rate = rate
    if hardware.compile:
        module.denoiser.net.compile()
    found = latest(run.checkpoints)
    first = 0 if found is None else found.step
    stop = OrderlyStop(observer)
    callbacks = [
        _Restore(run, observer),
        Reports(run, observer),
        Previews(run, modality, observer, plan.preview_minutes),
        Checkpoints(run, observer, plan.save_minutes),
        stop,
    ]
    if _finished(module, found):
        return Outcome(first, 0.0 if found is None else float(found.state["elapsed"]))
    with warnings.catch_warnings():
        # Lightning advises on loaders and loggers that are not its own
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="auto",
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy=hardware.strategy,
            logger=loggers or False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
        )
        trainer.fit(module, train_dataloaders=_Blocks(first, plan.steps, plan.inner_steps))
    return Outcome(module.done, module.elapsed, stop.signal)


def _finished(module: DiffusionModule, found: Checkpoint | None) -> bool:
    """Whether a checkpoint already is the end of its run."""
    if found is None:
        return False
    module.done, module.elapsed = int(found.state["step"]), float(found.state["elapsed"])
    return module.progress >= 1


def keep_freed_memory() -> None:
    """Tell glibc to keep large freed blocks: by default every activation above 32 MiB is mapped and unmapped anew.

    Nearly halves the time of a training step on CPUs.  Does nothing where the C library is another.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
    mallopt(top_pad, 256 << 20)
