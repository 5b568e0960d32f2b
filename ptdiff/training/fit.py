"""Fitting: from a run folder, data and a Trainer to a trained run."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from ptdiff.errors import Diverged
from ptdiff.machine.host import device, keep_freed_memory
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.run.checkpoint import Checkpoint, latest
from ptdiff.run.folder import Run, process_rank
from ptdiff.training.arithmetic import changed, circumstances
from ptdiff.training.autotuned import settled
from ptdiff.training.backends import MetricsTable
from ptdiff.training.callbacks import HANGUP, SIGNALS, Checkpoints, OrderlyStop, Previews, Reports, Slowness
from ptdiff.training.hardware import Hardware as Hardware
from ptdiff.training.module import DiffusionModule
from ptdiff.training.observer import Observer
from ptdiff.training.peers import Peers
from ptdiff.training.snapshots import Snapshots
from ptdiff.training.state import load_state
from ptdiff.training.trackers import Trackers
from ptdiff.training.validation import Validations

ROLLBACKS = 3
"""Number of returns to the last good checkpoint, each with half the learning rate, before a run is given up."""


@dataclass(frozen=True)
class Outcome:
    """End of training: the steps done, the seconds spent on them, and the signal that stopped it, if any."""

    steps: int
    seconds: float
    signal: int | None = None


class _Blocks:
    """Remaining optimizer steps in ranges of ``module.block``, one per Lightning step, which may end early.

    A range ends at every one of ``marks``, where something has to run between two steps.
    """

    def __init__(self, module: DiffusionModule, last: int, marks: Iterable[int] = ()) -> None:
        self.module, self.last, self.first = module, last, module.done
        self.ends = sorted({last, *(mark for mark in marks if mark < last)})

    def __len__(self) -> int:
        """Upper bound of the number of ranges."""
        return max(0, self.last - self.first)

    def __iter__(self) -> Iterator[range]:
        while (done := self.module.done) < self.last:
            end = self.ends[bisect_right(self.ends, done)]
            yield range(done, min(done + self.module.block, end))


def _marks(steps: int | None, *counts: int) -> set[int]:
    """First steps after 1, 2, … of ``counts`` equal parts of a run (DiffusionModule.passed)."""
    return {-(-k * (steps or 0) // parts) for parts in counts for k in range(1, parts + 1)}


class _Restore(pl.Callback):
    """Loads the newest good checkpoint into the module once its optimizer exists."""

    def __init__(self, run: Run, observer: Observer) -> None:
        self.run, self.observer = run, observer

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, DiffusionModule)
        found = latest(self.run.checkpoints, self.observer.say, repair=trainer.is_global_zero)
        optimizer = module.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        if found is not None:
            now = circumstances(module.plan, module.device, module.world)
            before = found.state.get("circumstances", {})
            if trainer.is_global_zero and (line := changed(before, now, module.plan.precision)) is not None:
                self.observer.say(line)
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
    from_scratch: bool = False,
) -> Outcome:
    """Train ``run`` on ``data`` from its newest checkpoint, or from the beginning, to the end of its configuration.

    ``from_scratch``: begin again although all checkpoints of the run are damaged, which otherwise raises RunError.

    Raises Diverged if training diverges again after three returns to the last checkpoint, CheckpointError if the run
    cannot be saved or a checkpoint cannot be read, and ConnectionError if another rank ended.
    """
    run.refuse_model()
    keep_freed_memory()
    hardware, observer = hardware or Hardware(), observer or Observer()
    table = [MetricsTable(run.path / "metrics.csv")] if process_rank() == 0 else []
    trackers, status = Trackers([*table, *(loggers or [])], observer.say), "failed"
    stop, peers, rate, threads = OrderlyStop(observer), Peers(observer), 1.0, torch.get_num_threads()
    try:
        with _listening(stop), run.locked() if process_rank() == 0 else nullcontext():
            if process_rank() == 0:
                run.clear()
                latest(run.checkpoints, observer.say, repair=True)
                run.check_checkpoint(from_scratch=from_scratch)
            run = settled(run, modality, data, device(hardware.device), hardware.devices, observer.say)
            trackers.settings(run.config.model_dump(mode="json"))
            count = run.config.training.threads
            assert count != "auto"
            for _ in range(ROLLBACKS):
                torch.set_num_threads(count)
                try:
                    outcome = _fit(run, modality, data, hardware, trackers, observer, stop, peers, rate)
                    break
                except Diverged as error:
                    rate = error.rate / 2
                    back = f"back to {_kept(run) or 'the beginning'}"
                    observer.say(f"{error}: {back} with {rate:g} times the learning rate")
            else:
                torch.set_num_threads(count)
                try:
                    outcome = _fit(run, modality, data, hardware, trackers, observer, stop, peers, rate)
                except Diverged as error:
                    kept = _kept(run)
                    text = "there is no checkpoint" if kept is None else f"{kept} is kept in {run.checkpoints}"
                    raise Diverged(f"{error}; {text}", error.rate) from error
        status = "success"
        return outcome
    finally:
        torch.set_num_threads(threads)
        trackers.close(status)


def _kept(run: Run) -> str | None:
    """The checkpoint that a run has after it diverged, in words."""
    found = latest(run.checkpoints)
    return None if found is None else f"the checkpoint of step {found.step}"


@contextmanager
def _listening(stop: OrderlyStop) -> Iterator[None]:
    """Direct signals to ``stop`` from the start, before the first step, and restore the handlers afterwards.

    After a hang-up this process ignores further ones, unless it had a handler of its own: the system and the shell
    both send one, and the second may arrive while the process exits.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop.listen()
    try:
        yield
    finally:
        for number, handler in before.items():
            repeated = number == HANGUP == stop.received and handler is signal.SIG_DFL
            signal.signal(number, signal.SIG_IGN if repeated else handler)


def _fit(
    run: Run,
    modality: Modality,
    data: Data,
    hardware: Hardware,
    trackers: Trackers,
    observer: Observer,
    stop: OrderlyStop,
    peers: Peers,
    rate: float,
) -> Outcome:
    plan = run.config.training
    # the error of the estimate is lowest at the posterior mean and meaningless for other objectives
    measured = data.val is not None and len(data.val) > 0 and run.config.objective["name"] == "denoise"
    validations = plan.validations if measured else 0
    trainer = _trainer(
        hardware,
        [
            peers,
            _Restore(run, observer),
            *([Validations(run, data, observer)] if validations else []),
            Reports(run, observer, trackers),
            Slowness(observer, run.expected_rate),
            *([Snapshots(run, observer, plan.snapshots)] if plan.snapshots else []),
            # a slow picture, or a second signal during it, must not lose the last checkpoint
            Checkpoints(run, observer, plan.save_minutes),
            Previews(run, modality, observer, trackers, plan.preview_minutes),
            stop,
        ],
    )
    ranks = trainer.num_devices * trainer.num_nodes
    if ranks > plan.batch:
        raise ValueError(f"training.batch must be at least the number of devices, {ranks}, not {plan.batch}")
    if ranks > 1:
        # the gradients of ranks are reduced once per Lightning step
        plan = plan.model_copy(update={"inner_steps": 1})
    torch.manual_seed(run.config.seed)
    module = DiffusionModule(run.network(), data, run.config.model_copy(update={"training": plan}))
    module.rate = rate
    if trainer.is_global_zero:
        module.observer = observer
    if plan.compile is True:
        module.denoiser.net.compile()
    found = latest(run.checkpoints)
    first = 0 if found is None else found.step
    if _finished(module, found):
        return Outcome(first, 0.0 if found is None else found.elapsed)
    observer.begin("first step")
    marks = _marks(plan.steps, plan.snapshots, validations)
    try:
        with _quiet():
            trainer.fit(module, train_dataloaders=_Blocks(module, plan.steps or 10**12, marks))
    except RuntimeError as error:
        lost = peers.lost(error)
        if isinstance(lost, ConnectionError):
            raise ConnectionError(f"{lost}; continue from the last checkpoint: ptdiff resume {run.path}") from error
        raise (error if lost is None else lost) from None
    finally:
        # Lightning skips this if a step raises
        module.teardown("fit")
    return Outcome(module.done, module.elapsed, stop.signal)


def _trainer(hardware: Hardware, callbacks: list[pl.Callback]) -> pl.Trainer:
    with _quiet():
        return pl.Trainer(
            max_epochs=1,
            **hardware.trainer(),
            logger=False,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10**9,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's advice on loaders and on loggers that are not its own, and FSDP's on views."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        # the objectives change no output of a network in place
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module")
        yield


def _finished(module: DiffusionModule, found: Checkpoint | None) -> bool:
    """Return True if a checkpoint already is the end of its run."""
    if found is None:
        return False
    module.done, module.elapsed = found.step, found.elapsed
    stale = found.state.get("best", {}).get("stale", 0)
    return module.progress >= 1 or (module.best is not None and stale >= module.best.patience)
