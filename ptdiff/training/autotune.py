"""A short trial before training: the precision, threads and parts of a batch that make a step fastest on this machine.

The winner depends on the processor (without native bfloat16 it is emulated, at a fifth to a sixtieth of the speed), on
the network and the batch, and on the load of the machine.  So every way takes optimizer steps of the real network on
the real first batch, in turns, until one leads clearly or the time is up.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ptdiff.machine import host
from ptdiff.machine.timing import CLOSE, WORDS, Precision, Way, doubling, plainest, race
from ptdiff.training.timed_steps import Steps

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config

SHORT, STEP = 0.15, 0.5
"""Maximum seconds of steps while the precision is decided, and afterwards; large batches are tried in part."""
MOST_PARTS = 4
"""Maximum number of threads that share a batch."""
SECONDS = 1.7
"""Approximate limit of a trial in seconds."""

LONG = 600.0
"""Shortest run, in seconds, for which compilation is tried: it takes up to a minute itself."""


@dataclass(frozen=True)
class Settled:
    """A configuration without "auto", and the measurements behind it.

    ``seconds``: mean time of a step of the whole batch for each way that was tried to the end.
    ``rate``: steps per second of the chosen way; None if nothing was measured.
    ``reasons``: the reasons for this way, in words.
    ``spent``: seconds that the trial took.
    """

    config: Config
    way: Way
    seconds: dict[Way, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    spent: float = 0.0

    @property
    def rate(self) -> float | None:
        """Steps per second of the chosen way; None if nothing was measured."""
        return 1 / self.seconds[self.way] if self.way in self.seconds else None

    @property
    def steps(self) -> int | None:
        """Steps of the whole run at this rate; None if unknown."""
        plan = self.config.training
        if plan.minutes is None or self.rate is None:
            return plan.steps
        by_clock = int(plan.minutes * 60 * self.rate)
        return by_clock if plan.steps is None else min(plan.steps, by_clock)

    def line(self) -> str:
        """The choice and its reasons in one line, for people."""
        said = [*self.reasons]
        if self.rate is not None:
            pace = f"{self.rate:.3g} steps/s" if self.rate >= 0.1 else f"{1 / self.rate:.3g} s per step"
            minutes = self.config.training.minutes
            said.append(pace if minutes is None else f"{pace}, about {self.steps:,} steps in {minutes:g} minutes")
        return "; ".join(said)

    def facts(self) -> dict[str, Any]:
        """The same in plain values, for env.json."""
        tried = [
            {"precision": w.precision, "threads": w.threads, "shards": w.shards, "milliseconds": round(1e3 * s, 3)}
            for w, s in self.seconds.items()
        ]
        rate = None if self.rate is None else round(self.rate, 4)
        return {
            "chosen": self.line(),
            "steps_per_second": rate,
            "tried": tried,
            "seconds": round(self.spent, 2),
        }


def settle(config: Config, kind: Modality, data: Data, device: torch.device, ranks: int = 1) -> Settled:
    """Settle every "auto" of ``config``: precision, threads, shards, micro_batch, compile.

    ``device``: device of the training.
    ``ranks``: processes that share this machine, each with its part of the cores.
    """
    began, plan = time.perf_counter(), config.training
    threads_before = torch.get_num_threads()
    # a rank processes its part of a batch
    part = config.model_copy(update={"training": plan.model_copy(update={"batch": -(-plan.batch // ranks)})})
    steps = Steps(part, kind, data, device)
    try:
        ways, reasons = _ways(config, device, ranks, steps.divisible)
        most = steps.explore(ways[0], ranks)
        if len(ways) > 1 and plan.steps is not None and plan.steps * steps.first < SECONDS:
            # the whole run takes no longer than the trial
            ways = [min(ways, key=lambda way: way.plainness)]
        both, seconds, chosen = _raced(ways, steps)
        if plan.precision == "auto" and chosen.precision == "bf16" and not steps.loss_is_kept(chosen):
            reasons.append("the loss differs in bfloat16")
            plain = [way for way in ways if way.precision == "32"]
            raced = race(plain, steps.time, _until())
            seconds = {way: spent * steps.share for way, spent in raced.items()}
            chosen = plainest(seconds)
        reasons = _reasons(chosen, both, seconds, reasons, device)
        if steps.rows < most:
            # with few rows, the fixed cost of a step has too much weight
            seconds[chosen] = steps.whole(chosen)
        compiled = plan.compile is True
        if plan.compile == "auto" and worth_a_try(config, device, seconds[chosen]):
            # the network of the trial is compiled last, then discarded
            try:
                took, each = steps.compiled(chosen)
            except Exception as error:
                # no compiler on this machine, or a network that it cannot compile: train without it
                reasons.append(f"not compiled: {type(error).__name__}")
            else:
                compiled = pays(length(config, seconds[chosen]), seconds[chosen], each * steps.share, took)
                seconds[chosen] = each * steps.share if compiled else seconds[chosen]
                reasons.append(f"compiled in {took:.0f} s" if compiled else "not compiled: it would save nothing")
    finally:
        steps.close()
        torch.set_num_threads(threads_before)
    update: dict[str, Any] = {"precision": chosen.precision, "threads": chosen.threads, "shards": chosen.shards}
    update["compile"] = compiled
    if plan.micro_batch == "auto":
        fits = most >= part.training.batch
        update["micro_batch"] = None if fits else most
        reasons += [] if fits else [f"{most} samples at a time fit into memory"]
    done = config.model_copy(update={"training": plan.model_copy(update=update)})
    return Settled(done, chosen, both | seconds, tuple(reasons), time.perf_counter() - began)


def _raced(ways: list[Way], steps: Steps) -> tuple[dict[Way, float], dict[Way, float], Way]:
    """Seconds of a step of the whole batch by each way, and the way to take.

    First the precision is decided with the simplest threads, then threads and shards in that precision.  The two
    mappings hold the seconds in both precisions, and those of all ways in the faster one.
    """
    first = [way for way in ways if (way.threads, way.shards) == (ways[0].threads, ways[0].shards)]
    seconds, precision = {}, ways[0].precision
    if len(first) > 1:
        steps.lasting(SHORT)
        seconds = {way: spent * steps.share for way, spent in race(first, steps.time, _until()).items()}
        precision = plainest(seconds).precision
    steps.lasting(STEP)
    raced = race([way for way in ways if way.precision == precision], steps.time, _until())
    found = {way: spent * steps.share for way, spent in raced.items()}
    return seconds, found, plainest(found)


def _until() -> float:
    """Deadline of a race that begins now; building the network and reading data do not count."""
    return time.perf_counter() + SECONDS / 2


def length(config: Config, each: float) -> float:
    """Seconds of a run whose steps take ``each`` seconds; infinite if nothing ends it."""
    plan = config.training
    by_clock = math.inf if plan.minutes is None else 60 * plan.minutes
    return min(by_clock, math.inf if plan.steps is None else plan.steps * each)


def worth_a_try(config: Config, device: torch.device, each: float) -> bool:
    """Return True if compilation might pay off: on a GPU, in a run of ten minutes or more.

    On CPUs it gained nothing.
    """
    return device.type == "cuda" and length(config, each) >= LONG


def pays(run: float, plain: float, compiled: float, took: float) -> bool:
    """Return True if compilation in ``took`` seconds shortens a run of ``run`` seconds.

    Steps take ``plain`` seconds without compilation and ``compiled`` seconds with it.
    """
    return took + run * compiled / plain < run


def _ways(config: Config, device: torch.device, ranks: int, divisible: bool) -> tuple[list[Way], list[str]]:
    """All ways that the configuration allows and this machine supports, and the reasons why others were left out."""
    plan, reasons = config.training, []
    precisions: list[Precision] = ["32", "bf16"] if plan.precision == "auto" else [plan.precision]
    if plan.precision == "auto" and (slower := host.emulates_bfloat16(device)) is not None:
        precisions = ["32"]
        name = "processor" if device.type == "cpu" else "device"
        reasons.append(f"float32: this {name} has no fast bfloat16 ({slower:.2g}x slower)")
    # torch takes OMP_NUM_THREADS, affinity and hyper-threading into account
    cores = max(1, torch.get_num_threads() // ranks)
    threads = [plan.threads] if plan.threads != "auto" else doubling(cores) if device.type == "cpu" else [cores]
    ways = []
    for count in threads:
        # two threads that share a batch were always faster than two that share every operation; with many threads, some
        # wait for the interpreter, and only a few of them can share a batch
        parts = {2} if count == 2 else {1, min(count, MOST_PARTS)}
        if not divisible or ranks > 1 or device.type != "cpu":
            parts = {1}
        if plan.shards != "auto":
            parts = {plan.shards}
        parts = {min(part, count, plan.batch) for part in parts}
        ways += [Way(kind, count, part) for kind in precisions for part in parts]
    return sorted(ways, key=lambda way: way.plainness), reasons


def _reasons(
    chosen: Way, both: dict[Way, float], seconds: dict[Way, float], known: list[str], device: torch.device
) -> list[str]:
    """The reasons for this way, in words.

    ``both``: seconds in both precisions with the same threads.  ``seconds``: with various threads in the chosen one.
    """
    said, name = [*known], WORDS[chosen.precision]
    if len(both) > 1 and not known:
        times = {way.precision: spent for way, spent in both.items()}
        rival: Precision = "bf16" if chosen.precision == "32" else "32"
        ratio = times[rival] / times[chosen.precision]
        fast = f"{ratio:.2g}x the speed of" if ratio > CLOSE else "as fast as"
        said.append(f"{name}: {fast} {WORDS[rival]} here")
    elif not any(reason.startswith(name) for reason in known):
        said.insert(0, name)
    if device.type == "cpu":
        words = f"{chosen.threads} thread{'s' * (chosen.threads > 1)}"
        if chosen.shards > 1:
            words += f", each with {'half' if chosen.shards == 2 else f'1/{chosen.shards}'} of a batch"
        more = [mean for way, mean in seconds.items() if way.threads > chosen.threads]
        if more and min(more) > CLOSE * seconds[chosen]:
            words += f" (more are {min(more) / seconds[chosen]:.2g}x slower now)"
        said.append(words)
    return said
