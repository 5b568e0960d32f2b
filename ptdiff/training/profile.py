"""The time of a training step by kind of operation, from torch's profiler on one thread."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from ptdiff.machine.host import keep_freed_memory
from ptdiff.training.loss_by_level import Bands

if TYPE_CHECKING:
    from ptdiff.training.speed import TrainingSetup

PARTS = ("random numbers", "data", "clipping", "optimizer", "averages", "reports")
"""Parts of a step outside forward and backward; each includes every operation within it."""

KINDS = {
    "matrix products": r"(add|badd|addb)?b?mm_?|linear|matmul|.*convolution.*|.*conv2d.*|mkldnn_.*linear.*",
    "attention": r"_?scaled_dot_product.*|.*flash_attention.*",
    "softmax": r".*softmax.*",
    "normalization": r".*(layer|group|batch|rms)_norm.*",
    "activation": r"(gelu|silu|relu|sigmoid|tanh|elu|softplus|leaky_relu)(_backward)?_?",
    "copies": r"(copy|clone|cat|stack|contiguous|_to_copy|to|index|index_select|gather|slice_backward|select_backward"
    r"|index_put|_index_put_impl|fill|zero|zeros|zeros_like|pixel_shuffle|pixel_unshuffle|im2col|col2im|repeat|pad"
    r"|constant_pad_nd)_?",
    "elementwise": r"(add|sub|mul|div|addcmul|addcdiv|pow|sqrt|rsqrt|square|neg|exp|log|sin|cos|atan2|where|clamp|"
    r"abs|reciprocal|lerp|hypot|maximum|minimum|threshold_backward)_?",
    "reductions": r"sum|mean|norm|linalg_vector_norm|amax|amin|max|min|var|std",
}
"""Kinds of operations in forward and backward, as patterns of torch's operation names."""

OTHER, BETWEEN = "other operations", "between operations"


def where_time_goes(subject: TrainingSetup, steps: int = 3) -> dict[str, float]:
    """Fractions of a step's time by kind of operation, largest first; they add up to 1.

    The parts are those of real training, in its precision, with its averages and reports, on one CPU thread.
    ``between operations`` is the time of Python, autograd and the profiler itself.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _shares(_Step(subject), steps)
    finally:
        torch.set_num_threads(before)


class _Step:
    """A training step in parts, as DiffusionModule takes it."""

    def __init__(self, subject: TrainingSetup) -> None:
        bare = subject.bare(torch.device("cpu"))
        self.module, self.optimizer, self.plan = bare.module, bare.optimizer, bare.plan
        self.module.begin()
        self.bands = Bands()
        self.random = self.module.randomness(range(10**6))
        self.done = 0

    def __call__(self) -> None:
        module, step = self.module, self.done
        with record_function("random numbers"):
            random = next(self.random)
        with record_function("data"):
            x, cond = module.batch(step, random.hidden)
        losses = module.losses_of(x, cond, random)
        torch.autograd.backward(losses.mean())
        with record_function("clipping"):
            torch.nn.utils.clip_grad_norm_(module.parameters(), self.plan.clip)
        with record_function("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        with record_function("averages"):
            for average in module.averages:
                average.update()
        with record_function("reports"):
            self.bands.add(losses.detach().float(), random.level)
        self.done += 1


def _shares(step: _Step, steps: int) -> dict[str, float]:
    step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        whole = (time.perf_counter() - began) * 1e6
    spent: dict[str, float] = defaultdict(float)
    for event in found.events() or ():
        spent[_kind(event)] += event.self_cpu_time_total
    spent[BETWEEN] += max(0.0, whole - sum(spent.values()))
    total = sum(spent.values())
    return {kind: time / total for kind, time in sorted(spent.items(), key=lambda item: -item[1])}


def _kind(event: FunctionEvent) -> str:
    at: FunctionEvent | None = event
    while at is not None:
        if at.name in PARTS:
            return at.name
        at = at.cpu_parent
    if not event.name.startswith("aten::"):
        # autograd nodes, without the operations they call
        return BETWEEN
    name = event.name.removeprefix("aten::")
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), OTHER)
