"""Callbacks of training: reports, checkpoints, previews, a clean stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ptdiff.errors import CheckpointError, Diverged
from ptdiff.experiments.loss_curves import curves
from ptdiff.modality.contract import Modality
from ptdiff.modality.ragged import by_size, sets_of
from ptdiff.pictures.files import Picture, save_image
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan, finished, prepared, usual, walk
from ptdiff.solvers import State
from ptdiff.training.module import DiffusionModule
from ptdiff.training.observer import Observer as Observer
from ptdiff.training.report import report
from ptdiff.training.sharded import gathered
from ptdiff.training.slowness import Pace
from ptdiff.training.state import save_state
from ptdiff.training.trackers import Trackers


class Reports(pl.Callback):
    """Writes a line to metrics.jsonl (and to the trackers) every few seconds and at the end."""

    def __init__(self, run: Run, observer: Observer, trackers: Trackers, seconds: float = 5.0) -> None:
        self.run, self.observer, self.trackers, self.seconds = run, observer, trackers, seconds
        self.last = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Report if it is due."""
        assert isinstance(module, DiffusionModule)
        # ranks report together, after a number of steps, because a report sums over them; a single process uses a clock
        due = module.done % (50 * module.plan.inner_steps) < module.plan.inner_steps
        # more frequent at first, so that short runs have curves too
        wait = min(self.seconds, max(0.5, module.elapsed / 20))
        due = due if trainer.world_size > 1 else time.monotonic() - self.last >= wait
        if due or module.notes:
            self._report(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the last report."""
        self._report(trainer, module)

    def _report(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, DiffusionModule)
        if trainer.world_size == 1 and not float(module.bands.counts.sum()):
            return
        values = report(module) | module.notes
        module.notes = {}
        self.last = time.monotonic()
        if not trainer.is_global_zero:
            return
        try:
            self.run.log(values)
        except OSError as error:
            # a full disk must not end a run before a checkpoint is tried
            self.observer.say(f"cannot write metrics.jsonl: {error}")
        self.observer.report(values)
        numbers = {k: v for k, v in values.items() if isinstance(v, float)}
        lists = {key.replace("_by", ""): value for key, value in values.items() if isinstance(value, list)}
        each = {f"{key}_{i}": v for key, value in lists.items() for i, v in enumerate(value) if v is not None}
        self.trackers.log(numbers | each, module.done)


class Slowness(pl.Callback):
    """Reports once if training has become much slower than ``expected`` steps per second, or than at first."""

    def __init__(self, observer: Observer, expected: float | None) -> None:
        self.observer, self.pace = observer, Pace(expected)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Measure the rate and report if it has dropped."""
        assert isinstance(module, DiffusionModule)
        self.pace.see(module.done, module.elapsed)
        line = self.pace.remark()
        if line is not None and trainer.is_global_zero:
            self.observer.say(line)


class Checkpoints(pl.Callback):
    """Saves a checkpoint every few minutes of training and whenever it stops, for any reason.

    A failed save is reported and training continues; three failures in a row end it.  A state that may be that of a
    diverging run is not saved: the save waits until a step is good again.
    """

    def __init__(self, run: Run, observer: Observer, minutes: float) -> None:
        self.run, self.observer, self.seconds = run, observer, 60 * minutes
        self.last, self.failed, self.waiting = 0.0, 0, False

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin to count."""
        assert isinstance(module, DiffusionModule)
        # the time of training, unlike a clock, is the same on all ranks, which save together
        self.last = module.elapsed

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Save if it is due."""
        assert isinstance(module, DiffusionModule)
        if module.elapsed - self.last >= self.seconds:
            self.save(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save the final state."""
        self.save(trainer, module, final=True)

    def save(self, trainer: pl.Trainer, module: pl.LightningModule, *, final: bool = False) -> None:
        """Write a checkpoint now; all ranks take part, and the first one writes."""
        assert isinstance(module, DiffusionModule)
        doubt = module.doubt(final=final)
        if doubt is not None:
            if final:
                raise Diverged(f"{doubt}, at step {module.done}", module.rate)
            if not self.waiting and trainer.is_global_zero:
                self.observer.say(f"no checkpoint at step {module.done}: {doubt}")
            self.waiting = True
            return
        self.last, self.waiting = module.elapsed, False
        self.observer.begin("checkpoint")
        optimizer = module.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        try:
            save_state(module, optimizer, self.run.checkpoints)
            self.failed = 0
        except CheckpointError as error:
            self.failed += 1
            self.observer.say(f"{error} ({self.failed} in a row)")
            if final or self.failed >= 3:
                raise


class Previews(pl.Callback):
    """Draws samples from the averaged weights every few minutes of training, into samples/ and to the trackers.

    Trackers receive another picture at the end, with the curves of the run.  A stop interrupts a picture in progress.
    """

    def __init__(
        self,
        run: Run,
        modality: Modality,
        observer: Observer,
        trackers: Trackers,
        minutes: float,
        count: int = 10,
    ) -> None:
        self.run, self.modality, self.observer, self.trackers = run, modality, observer, trackers
        self.seconds, self.ids = 60 * minutes, torch.arange(count)
        self.last, self.drawn, self.failed = 0.0, -1, False

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin to count."""
        assert isinstance(module, DiffusionModule)
        self.last = module.elapsed

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Draw if it is due."""
        assert isinstance(module, DiffusionModule)
        if module.elapsed - self.last >= self.seconds:
            self.last = module.elapsed
            self._preview(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw the last pictures for the trackers."""
        self._preview(trainer, module, last=True)

    def _preview(self, trainer: pl.Trainer, module: pl.LightningModule, *, last: bool = False) -> None:
        assert isinstance(module, DiffusionModule)
        # all ranks gather the weights, and the first one draws
        weights = gathered(module.averages[0].average)
        missing = self.trackers.take_pictures and self.drawn != module.done
        if not trainer.is_global_zero or not (missing if last else not self.failed):
            return
        self.observer.begin("preview")
        try:
            picture = self._draw(module, weights)
            if picture is None:
                return
            save_image(self.run.path / "samples" / f"step-{module.done:07d}.png", picture)
            self.trackers.picture("samples", picture, module.done)
            if self.trackers.take_pictures:
                self.trackers.picture("curves", curves([self.run.path]), module.done)
            self.drawn = module.done
        except Exception as error:
            # a failing picture (a missing library, a full disk) must not end a run
            self.observer.say(f"no preview at step {module.done}: {type(error).__name__}: {error}")
            self.failed = True

    def _draw(self, module: DiffusionModule, weights: dict[str, Tensor]) -> Picture | None:
        asked = module.stop_requested
        config, data = self.run.config, self.run.data
        plan = Plan.chosen(config.process, config.sampling)
        cond = usual(data, self.ids)
        titles = [data.classes[i] for i in cond["label"].tolist()] if "label" in cond else []
        moved = {key: value.to(module.device) for key, value in cond.items()}
        model = self.run.network().to(module.device).eval()
        model.load_state_dict(weights)
        last: deque[State] = deque(maxlen=1)
        for state in walk(prepared(model, plan, data), plan, self.ids.to(module.device), data.shape, moved):
            if module.stop_requested and not asked:
                return None
            last.append(state)
        samples = finished(last[0], data)
        samples = by_size(samples, lambda x: self.modality.postprocess(x, data))
        return self.modality.visualizer().sheet(sets_of(samples.cpu().numpy()), titles)


SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGBREAK") if hasattr(signal, name)
)
"""Signals that end a run in order: Ctrl-C, kill, a lost terminal, a warning of a batch system; fewer on Windows."""

HANGUP = getattr(signal, "SIGHUP", None)
"""The signal of a lost terminal; None on Windows."""


class OrderlyStop(pl.Callback):
    """A signal finishes the step, saves and ends the run on every rank; a second one ends it immediately.

    ``received`` is the number of the first signal of this process, kept across returns to a checkpoint; ``signal`` is
    that of any rank, once all of them have stopped for it.
    """

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.received: int | None = None
        self.signal: int | None = None
        self.terminals = [stream for stream in (1, 2) if os.isatty(stream)]
        self.unsaid = False
        self.module: DiffusionModule | None = None

    def listen(self) -> None:
        """Install a handler for each of ``SIGNALS``, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            # nohup ignores the loss of the terminal, and so does training then
            if number != HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if number == HANGUP:
            self._leave_terminal()
        if self.received is not None:
            if number == HANGUP:
                # a lost terminal is signalled twice, by the system and by the shell
                return
            raise SystemExit(128 + number)
        self.received = number
        if self.module is not None:
            self.module.stop_requested = True
        try:
            self._say()
        except RuntimeError:
            # the signal interrupted another write, and streams are not reentrant
            self.unsaid = True

    def _leave_terminal(self) -> None:
        """Discard output to terminals that no longer exist: an error of writing must not prevent the checkpoint."""
        for stream in self.terminals:
            if not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)

    def _say(self) -> None:
        self.observer.say("stopping after this step; repeat to stop immediately, without saving")

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Install the handlers again."""
        assert isinstance(module, DiffusionModule)
        self.module = module
        module.stop_requested = self.received is not None
        # again, because Lightning has installed its own handler for SIGTERM
        self.listen()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Stop training if a signal was received."""
        assert isinstance(module, DiffusionModule)
        if self.unsaid:
            self.unsaid = False
            self._say()
        # several ranks stop at the step they agreed on; a single process may stop immediately
        if module.ending or (trainer.world_size == 1 and module.stop_requested):
            trainer.should_stop = True
            number = torch.tensor(self.received or 0, device=module.device)
            self.signal = int(trainer.strategy.reduce(number, reduce_op="max")) or None
