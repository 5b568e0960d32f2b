"""A trial before sampling: finds the fastest number of threads and, if it is "auto", the fastest precision.

One network call on the first batch is timed in each way.  Two threads can be twenty times slower than one while another
program keeps a core busy, and bfloat16 is emulated on processors that lack it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor

from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.network import Denoiser
from ptdiff.machine import host
from ptdiff.machine.timing import Precision, Way, doubling, plainest, race
from ptdiff.modality.data import Condition, Data
from ptdiff.process import Level
from ptdiff.sampling.sampler import Plan, in_arithmetic, prepared, start, walk

SECONDS = 1.0
"""Approximate time limit of a trial, in seconds."""
WORTH = 2.0
"""Work that takes fewer seconds than this on one thread in float32 is done that way, without a trial."""
CALL = 0.1
"""Approximate time limit of one call in a trial, in seconds; of larger batches only a part is used."""


def quickest(model: Denoiser, plan: Plan, ids: Tensor, shape: tuple[int, ...], cond: Condition, calls: int) -> Way:
    """Find the fastest threads and precision for ``calls`` network calls on samples ``ids`` of ``shape``.

    A ``plan.precision`` other than "auto" is kept.  Short work gets no trial, see WORTH.
    """
    before = torch.get_num_threads()
    fixed: list[Precision] = ["32", "bf16"] if plan.precision == "auto" else [plan.precision]
    threads = doubling(before) if ids.device.type == "cpu" else [before]
    if len(fixed) > 1 and host.emulates_bfloat16(ids.device):
        fixed = ["32"]
    ways = [Way(kind, count) for kind in fixed for count in threads]
    if len(ways) == 1:
        return ways[0]
    x, levels = start(plan, ids, shape), plan.levels()
    level = Level(levels.alpha[0], levels.sigma[0])
    rows = max(1, len(x) // 8)

    def measure(way: Way) -> float:
        torch.set_num_threads(way.threads)
        began = time.perf_counter()
        in_arithmetic(model, way.precision)(x[:rows], level, {key: value[:rows] for key, value in cond.items()})
        host.synchronize(x.device)
        return time.perf_counter() - began

    try:
        with torch.inference_mode():
            measure(ways[0])
            each = measure(ways[0]) / rows
            if calls * len(x) * each < WORTH:
                return ways[0]
            rows = max(rows, min(len(x), int(CALL / each)))
            return plainest(race(ways, measure, time.perf_counter() + SECONDS))
    finally:
        torch.set_num_threads(before)


class Rate(NamedTuple):
    """The rate of sampling: ``seconds`` and network ``calls`` for one sample, measured on ``rows`` samples."""

    seconds: float
    calls: float
    rows: int


def rate(model: Denoiser, plan: Plan, data: Data, ids: Tensor, shape: tuple[int, ...], cond: Condition) -> Rate:
    """Measure the rate of sampling on the first steps of samples ``ids``, in about ``SECONDS``.

    Takes as many of the samples as one network call handles in half of that time.  With an adaptive solver, a few
    samples are completed, because the number of their steps is unknown.
    """
    network = Counted(model)
    denoiser = prepared(network, plan, data)
    total = plan.cost(denoiser if cond.keys() - {"mask"} else network)
    each, rows = call_seconds(model, plan, ids, shape, cond), max(1, len(ids) // 8)
    rows = min(len(ids), max(rows, int(SECONDS / 2 / each))) if total is not None else min(len(ids), 8)
    some = {key: value[:rows] for key, value in cond.items()}
    network.rows, began = 0, time.perf_counter()
    for _ in walk(denoiser, plan, ids[:rows], shape, some):
        host.synchronize(ids.device)
        if total is not None and network.rows and time.perf_counter() - began > SECONDS:
            break
    spent = time.perf_counter() - began
    calls = network.rows / rows if total is None else total
    return Rate(spent / network.rows * calls, calls, rows)


@torch.inference_mode()
def call_seconds(model: Denoiser, plan: Plan, ids: Tensor, shape: tuple[int, ...], cond: Condition) -> float:
    """Seconds of a network call for one sample, from two calls on an eighth of the samples ``ids``."""
    x, levels = start(plan, ids, shape), plan.levels()
    level, rows = Level(levels.alpha[0], levels.sigma[0]), max(1, len(ids) // 8)
    network, some = in_arithmetic(model, plan.precision), {key: value[:rows] for key, value in cond.items()}
    spent = 0.0
    for _ in range(2):
        # the first call includes one-time preparation
        began = time.perf_counter()
        network(x[:rows], level, some)
        host.synchronize(x.device)
        spent = time.perf_counter() - began
    return spent / rows
