"""The speed of real training compared with a bare loop of the same network, in short alternating rounds.

Both run in one process, so that a busy machine slows both alike.  One thread is timed in processor time, which does not
count other programs; several threads wait for one another, which only wall-clock time shows.  Real training is ``fit``,
with Lightning, averages and logging, but without validation, previews and checkpoints, which are rare and have their
own clocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from ptdiff.machine import host, timing
from ptdiff.machine.flops import operations
from ptdiff.machine.host import gemm_peak, keep_freed_memory, synchronize
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.run.config import Config
from ptdiff.run.folder import Run
from ptdiff.training.bare_loop import Bare
from ptdiff.training.callbacks import Observer
from ptdiff.training.fit import Hardware, fit
from ptdiff.training.shards import has_dropout

PRECISIONS = {"32": torch.float32, "bf16": torch.bfloat16}
"""Precisions by their names in a configuration."""

PEAK_GOAL, OVERHEAD_GOAL = 0.5, 1.15
"""Goals: share of the GEMM peak in float32 training of point clouds; step time relative to the bare loop, at most."""

_ROUNDS = 12
_FEWEST = 3


@dataclass(frozen=True)
class Speed:
    """The measured speed of one way to train.

    ``shards``: threads that share a batch (training.shards), at most ``threads``.
    ``seconds``, ``bare``: time per step of real training and of the bare loop, medians over the rounds; processor time
    with one CPU thread, otherwise wall-clock time.
    ``overhead``: median ratio of the two in a round.
    ``gflop``: GFLOP per step, forward and backward.
    ``peak``: GFLOP/s of the fastest matrix product in this precision with these threads.
    If a step takes too long to be repeated, ``seconds`` and ``overhead`` are None, and ``bare`` is from one step.
    """

    precision: str
    threads: int
    shards: int
    batch: int
    seconds: float | None
    bare: float
    overhead: float | None
    gflop: float
    peak: float

    @property
    def steps(self) -> float:
        """Steps per second; those of the bare loop if real training was not measured."""
        return 1 / (self.bare if self.seconds is None else self.seconds)

    @property
    def samples(self) -> float:
        """Samples per second."""
        return self.steps * self.batch

    @property
    def share(self) -> float:
        """The fraction of the GEMM peak that training reaches."""
        return self.gflop * self.steps / self.peak


@dataclass(frozen=True)
class TrainingSetup:
    """The subject of a measurement: a modality, its data and a configuration."""

    kind: Modality
    data: Data
    config: Config

    def with_training(self, **changes: object) -> TrainingSetup:
        """The same subject with other values in ``training``."""
        training = self.config.training.model_copy(update=changes)
        return TrainingSetup(self.kind, self.data, self.config.model_copy(update={"training": training}))

    @cached_property
    def gflop(self) -> float:
        """GFLOP per step, forward and backward; the same in every precision."""
        bare = self.with_training(precision="32").bare(torch.device("cpu"))
        return operations(lambda: torch.autograd.backward(bare.loss())) / 1e9

    def bare(self, where: torch.device) -> Bare:
        """The bare loop for this subject."""
        return Bare(self.kind, self.data, self.config, where)


def speed(subject: TrainingSetup, precision: str, threads: int, seconds: float, device: str = "auto") -> Speed:
    """Measure the speed of training ``subject`` in this precision with ``threads`` CPU threads, in about ``seconds``.

    ``precision``: a name in PRECISIONS.  ``device``: see :func:`ptdiff.machine.host.device`.
    Raises KeyboardInterrupt if a signal stops it.
    """
    keep_freed_memory()
    where = host.device(device)
    plan = subject.config.training
    with timing.threads(threads):
        peak = gemm_peak(PRECISIONS[precision], where, seconds / 20)
        subject.gflop  # noqa: B018 - counted before the clock runs
        clock = time.process_time if threads == 1 and where.type == "cpu" else time.perf_counter
        # on a busy machine it may take much longer than the first steps suggest
        end = time.perf_counter() + 2 * seconds
        rounds = _Rounds(subject.with_training(precision=precision).bare(where), threads, where, clock, end)
        # the first step builds tables and fills caches; a step that is long enough is not repeated
        step = rounds.time(1)
        if step < seconds / 2:
            step = rounds.time(1)
        shards = threads if plan.shards == "auto" else min(plan.shards, threads)
        shards = 1 if has_dropout(rounds.loop.module) or where.type != "cpu" else min(shards, plan.batch)
        if step < seconds / 2:
            settled = subject.with_training(precision=precision, threads=threads, shards=shards)
            _train(settled, rounds, max(1, int(seconds / 2 / step)))
        peak = max(peak, gemm_peak(PRECISIONS[precision], where, seconds / 20))
    return Speed(
        precision=precision,
        threads=threads,
        shards=shards,
        batch=plan.batch,
        seconds=median(rounds.real) if rounds.real else None,
        bare=median(rounds.bare or [step]),
        overhead=median(a / b for a, b in zip(rounds.real, rounds.bare, strict=True)) if rounds.real else None,
        gflop=subject.gflop,
        peak=peak,
    )


def _train(subject: TrainingSetup, rounds: _Rounds, steps: int) -> None:
    """About ``steps`` steps of real training in short rounds, after one to warm up."""
    inner = max(1, min(subject.config.training.inner_steps, steps // _ROUNDS))
    count = inner * (1 + max(_FEWEST, steps // inner))
    minutes = max(1e-3, rounds.until - time.perf_counter()) / 60
    short = subject.with_training(steps=count, minutes=minutes, inner_steps=inner, validations=0, snapshots=0)
    with TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", short.config, short.data)
        if (
            fit(run, short.kind, short.data, hardware=Hardware(device=str(rounds.where)), observer=rounds).signal
            is not None
        ):
            raise KeyboardInterrupt


@dataclass
class _Rounds(Observer):
    """Runs as many steps of the bare loop after each Lightning step of real training; keeps seconds per step."""

    loop: Bare
    threads: int
    where: torch.device
    clock: Callable[[], float]
    until: float
    real: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    done: int = 0
    began: float | None = None

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        steps, now = done - self.done, self.clock()
        # the first one warms up
        if self.began is not None and steps:
            self.real.append((now - self.began) / steps)
            self.bare.append(self.time(steps))
        self.done, self.began = done, self.clock()

    def time(self, steps: int) -> float:
        """Seconds per step of the bare loop, with all threads for every operation."""
        with timing.threads(self.threads):
            began = self.clock()
            done = 0
            while done < steps and (done == 0 or time.perf_counter() < self.until):
                self.loop.step()
                done += 1
            synchronize(self.where)
            return (self.clock() - began) / done
