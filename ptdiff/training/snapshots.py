"""Snapshots of the power averages during a run, from which averages of other widths are made (ptdiff.run.posthoc).

RUN/averages/<step>/{ema.safetensors, ema-1.safetensors, …, state.json, …}      written like checkpoints
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from ptdiff.documents.atomic import clear
from ptdiff.errors import CheckpointError
from ptdiff.run.checkpoint import discard_after, save
from ptdiff.run.folder import Run
from ptdiff.training.ema import profiles
from ptdiff.training.module import DiffusionModule
from ptdiff.training.observer import Observer
from ptdiff.training.sharded import gathered


class Snapshots(pl.Callback):
    """Saves ``count`` snapshots, each at the end of an equal part of the run."""

    def __init__(self, run: Run, observer: Observer, count: int) -> None:
        self.run, self.observer, self.count, self.taken = run, observer, count, 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Remove snapshots of later steps, and incomplete ones; whatever else lies there is left alone."""
        assert isinstance(module, DiffusionModule)
        self.taken = module.passed(self.count)
        if trainer.is_global_zero:
            # steps that will be repeated, perhaps at another learning rate
            clear(self.run.averages)
            discard_after(self.run.averages, module.done)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Save a snapshot if a part of the run is over."""
        assert isinstance(module, DiffusionModule)
        passed = module.passed(self.count)
        if passed == self.taken:
            return
        self.taken = passed
        if (doubt := module.doubt()) is not None:
            if trainer.is_global_zero:
                self.observer.say(f"no snapshot at step {module.done}: {doubt}")
            return
        found = profiles(module.averages)
        by_name = module.averages_by_name()
        # all ranks gather the averages, and the first one writes
        parts = {name: gathered(by_name[name].average) for name in found}
        if not trainer.is_global_zero:
            return
        try:
            save(self.run.averages, module.done, parts, {"profiles": found}, keep=self.count + 1)
        except CheckpointError as error:
            # post-hoc averages get worse without the snapshot, but the run is unaffected
            self.observer.say(f"cannot save a snapshot: {error}")
