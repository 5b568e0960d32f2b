"""The cost of sampling and of evaluation, measured in a few seconds before the work."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ptdiff.choices import one_of
from ptdiff.denoiser.network import Denoiser
from ptdiff.errors import DataError
from ptdiff.evaluation import MOST, TRAINING, largest, reference_sets
from ptdiff.machine import host
from ptdiff.machine.cost import HIGH, LOW, TimeRange, Workload, about, duration
from ptdiff.machine.flops import operations, operator_calls
from ptdiff.machine.timing import WORDS, Way, threads
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data, Split, unaugmented
from ptdiff.modality.ragged import padded
from ptdiff.modality.types import Comparison
from ptdiff.process import Level
from ptdiff.sampling.autotune import call_seconds, quickest, rate
from ptdiff.sampling.batches import batch_size
from ptdiff.sampling.sampler import Plan, in_arithmetic, start, usual

TRIAL = 2.0
"""Seconds after which no larger comparison is tried; the first has FIRST samples, and each next one twice as many."""
FIRST = 8


def sampling_workload(
    denoiser: Denoiser,
    plan: Plan,
    data: Data,
    n: int,
    shape: tuple[int, ...],
    *,
    device: torch.device,
    batch: int | None = None,
    asked: Condition | None = None,
) -> Workload:
    """Measure the cost of ``n`` samples of ``shape`` with the real network and solver, in one to three seconds.

    ``batch``: see :meth:`ptdiff.model.Model.sample`.  ``asked``: the condition of at least one batch of samples, with
    the mask of sets of different sizes; default: each class in turn, and sizes as in the data.
    """
    rows = batch_size(n, shape, batch)
    ids, cond = _first(rows, data, shape, device, asked)
    batches = math.ceil(n / rows)
    way = quickest(denoiser, plan, ids, shape, cond, (plan.cost(denoiser) or plan.steps) * batches)
    plan = replace(plan, precision=way.precision)
    with threads(way.threads):
        found = rate(denoiser, plan, data, ids, shape, cond)
    flop, operators = _of_a_call(denoiser, plan, ids[:2], shape, {key: value[:2] for key, value in cond.items()})
    disk = n * math.prod(shape) * 4
    return Workload(
        name=f"sample {n:,}",
        key="sample",
        seconds=about(n * found.seconds),
        # the result is held twice when its batches are joined
        memory=(host.peak_memory(device) or 0) + 2 * disk,
        disk=disk,
        flop=flop * found.calls * n,
        calls=operators * found.calls * batches,
        pieces=batches,
        basis=(
            f"{found.calls:.4g} network calls for each sample, {found.seconds / found.calls * 1e3:.2g} ms each, timed "
            f"on {found.rows:,} samples with this solver in {WORDS[way.precision]} on {_where(device, way)}; "
            f"{batches:,} batch{'es' * (batches > 1)} of {rows:,}; memory: the peak here, and the samples twice"
        ),
    )


def takes_long(
    denoiser: Denoiser,
    plan: Plan,
    data: Data,
    n: int,
    shape: tuple[int, ...],
    seconds: float,
    *,
    device: torch.device,
    batch: int | None = None,
    asked: Condition | None = None,
) -> bool:
    """Return True if ``n`` samples take at least about ``seconds``, by two network calls on an eighth of a batch."""
    ids, cond = _first(batch_size(n, shape, batch), data, shape, device, asked)
    each = call_seconds(denoiser, plan, ids, shape, cond)
    return each * n * (plan.cost(denoiser) or plan.steps) >= seconds


def _first(
    rows: int, data: Data, shape: tuple[int, ...], device: torch.device, asked: Condition | None
) -> tuple[torch.Tensor, Condition]:
    """The ids of the first batch, and their condition."""
    ids = torch.arange(rows)
    cond = usual(data, ids) if asked is None else {name: value[:rows] for name, value in asked.items()}
    if "mask" in cond and cond["mask"].shape[1] != shape[0]:
        # another number of elements, the same for all
        cond = {name: value for name, value in cond.items() if name != "mask"}
    return ids.to(device), {name: value.to(device) for name, value in cond.items()}


def _of_a_call(
    denoiser: Denoiser, plan: Plan, ids: torch.Tensor, shape: tuple[int, ...], cond: Condition
) -> tuple[float, int]:
    """Floating-point operations for one sample, and operators, of a network call."""
    x, levels = start(plan, ids, shape), plan.levels()
    level, network = Level(levels.alpha[0], levels.sigma[0]), in_arithmetic(denoiser, plan.precision)

    def call() -> None:
        # the counters see nothing in inference mode
        with torch.no_grad():
            network(x, level, cond)

    return operations(call) / len(ids), operator_calls(call)


def _where(device: torch.device, way: Way) -> str:
    if device.type != "cpu":
        return host.name_of(device)
    return f"{way.threads} thread{'s' * (way.threads > 1)} of this machine"


def comparison_workload(
    kind: Modality,
    own: Data,
    n: int | None,
    *,
    held: Data | None = None,
    protocol: str | None = None,
    split: str = "val",
    device: str = "auto",
) -> tuple[Workload, int]:
    """Measure the cost of comparing ``n`` samples, and return it with the number that would be compared.

    Training samples take the place of generated ones.  A few are compared, then twice as many, for some seconds; the
    time for ``n`` continues the power of n that the last two show.
    ``own``: the data of the run, with its samples.  ``held``: the data to compare with; None for ``own``.

    Raises UnknownName for an unknown protocol, and DataError if the data cannot be compared.
    """
    ways = kind.protocols()
    way = one_of("protocol", protocol, ways)
    ways[way].require()
    one_of("split", split, ("val", "train"))
    held = own if held is None else held
    target = {"val": held.val, "train": None if held.train is None else unaugmented(held.train)}[split]
    if target is None or own.train is None:
        raise DataError(f"the reference has no {split} split")
    training = unaugmented(own.train)
    count = largest(training, target, n or (MOST if way == one_of("protocol", None, ways) else len(target)))
    if count < 2:
        raise DataError(f"the {split} split is too small for a comparison")
    known: list[tuple[int, float]] = []
    few, began = min(FIRST, count), time.perf_counter()
    with TemporaryDirectory() as folder:
        while True:
            sets, other = (
                reference_sets(training, target, few, seed, match=held.classes == own.classes) for seed in (0, 1)
            )
            for turn in range(1 if known else 2):
                # the first comparison includes one-time preparation
                cache = Path(folder) / f"{few}-{turn}"
                asked = {name: value for name, value in sets.conditions.items() if name in own.conditions}
                trial = Comparison(
                    other.training,
                    sets.reference,
                    sets.training,
                    sets.labels,
                    cache=cache,
                    device=device,
                    conditions=asked,
                )
                spent = _spent(lambda: kind.compare(trial, way))  # noqa: B023 - called at once
            known.append((few, spent))
            if few == count or (len(known) > 2 and time.perf_counter() - began > TRIAL):
                break
            few = min(2 * few, count)
        disk = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    # generated and held-out samples are each searched for among the training samples
    candidates = min(len(training), TRAINING)
    copies = 2 * _search(kind, other.training, training, candidates) * count
    power = _power(known)
    few, seconds = known[-1]
    low, likely, high = (seconds * (count / few) ** each + copies for each in (max(0.0, power - 0.5), power, 2.0))
    return Workload(
        name=f"compare {count:,}",
        key="compare",
        seconds=TimeRange(low * LOW, likely, high * HIGH),
        memory=host.peak_memory(host.device(device)) or 0,
        disk=disk * (count / few) ** 2,
        flop=None,
        calls=0,
        pieces=1,
        basis=(
            f"protocol {way}: {few} training samples in place of generated ones compared in {duration(seconds)}, "
            f"continued with the power {power:.1f} of n ({max(0.0, power - 0.5):.1f} to 2) that fewer show; the search "
            f"for copies takes {duration(copies)}"
        ),
    ), count


def _search(kind: Modality, x: torch.Tensor, training: Split, candidates: int) -> float:
    """Seconds to find the nearest of ``candidates`` training samples for one sample, from searches among ever more."""
    among, began = min(FIRST, candidates), time.perf_counter()
    while True:
        rows, cond = training.batch(torch.arange(among), 0)
        some = padded(rows, cond.get("mask"))
        spent = _spent(lambda: kind.nearest(x, some))  # noqa: B023 - called at once
        if among == candidates or time.perf_counter() - began > TRIAL:
            return spent / len(x) * candidates / among
        among = min(4 * among, candidates)


def _spent(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _power(known: list[tuple[int, float]]) -> float:
    """The power of n with which the time of a comparison grows, from 0 to 2."""
    if len(known) < 2:
        return 2.0
    (a, first), (b, second) = known[-2:]
    return min(2.0, max(0.0, math.log(second / first) / math.log(b / a)))


def evaluation_workloads(
    denoiser: Denoiser,
    plan: Plan,
    kind: Modality,
    own: Data,
    n: int | None,
    shape: tuple[int, ...],
    *,
    device: str = "auto",
    batch: int | None = None,
    **choices: Any,
) -> list[Workload]:
    """Measure the cost of an evaluation of ``n`` samples: generating them, and comparing them with held-out data.

    ``own``: the data with its samples.  ``choices``: held, protocol and split of :func:`comparison_workload`.
    """
    comparing, count = comparison_workload(kind, own, n, device=device, **choices)
    where = host.device(device)
    # samples of an evaluation have the conditions of reference samples
    assert own.train is not None
    rows = batch_size(count, shape, batch)
    _, cond = own.train.batch(torch.arange(rows) % len(own.train), 0)
    asked = {**usual(own, torch.arange(rows)), **{name: cond[name] for name in own.conditions}}
    return [sampling_workload(denoiser, plan, own, count, shape, device=where, batch=batch, asked=asked), comparing]
