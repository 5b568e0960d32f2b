"""The part of ``ptdiff doctor`` that is measured: the machine, what others leave of it, and how fast training is."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ptdiff import host
from ptdiff.yardstick import had
from ptdiff_cli.doctor import Finding

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "points2d": {"count": 4096},
    "images": {},
    "pointcloud": {"shapes_per_class": 8},
}
"""The modalities that ship, with as little data as fills a batch: a step takes as long."""

SECONDS = 1.2
"""About how long the steps of one modality are timed."""

DEMO, REST = 8, 3
"""Minutes of training in ``make demo``, and about those of everything else in it."""

FIGURES = {72: 99.0, 1071: 72.0, 3903: 64.8}
"""Steps of the demo's training to 1-NNA-CD in percent, of 512 points, as they were measured (floor 46.9)."""


def machine(name: str) -> Iterator[Finding]:
    """The findings, each as soon as it is known."""
    where, facts = host.device(name), host.facts()
    text = f"{facts['processor']}, {facts['instruction_set']}, {facts['cores']} cores"
    memory = "" if facts["memory_gib"] is None else f", {facts['memory_gib']} GiB free"
    yield Finding("processor", "ok", text + memory, facts)
    yield Finding("gpu", "ok", facts["gpu"] or "none that torch can use: the CPU computes", {"gpu": facts["gpu"]})
    yield _busy()
    precision = _precision(where)
    yield precision
    rate = math.nan
    for kind in DEFAULTS:
        found = _training(kind, where, precision.facts["chosen"])
        yield found
        rate = found.facts["steps_per_second"]
    yield _demo(rate)


def _busy() -> Finding:
    """What one thread, and a thread a core, get at this moment."""
    cores, threads = host.cores(), torch.get_num_threads()
    one, all_ = had(1), had(cores)
    facts = {"threads": threads, "cores": cores, "one": round(one, 2), "all": round(all_, 2), "load": host.busy()}
    detail = f"{threads} threads of torch; one gets {one:.0%} of a core, {cores} get {all_:.1f} cores"
    if all_ < 0.8 * cores:
        return Finding("threads", "missing", f"{detail}: other programs are busy, and training is slower", facts)
    return Finding("threads", "ok", detail, facts)


def _precision(where: torch.device) -> Finding:
    """Float32 against bfloat16: products of matrices, and steps of the point clouds' default recipe."""
    kinds = {"32": torch.float32, "bf16": torch.bfloat16}
    peaks = {name: host.gemm_peak(kind, where, 0.2) for name, kind in kinds.items()}
    rates = {name: steps_per_second("pointcloud", where, name, seconds=0.0) for name in kinds}
    ratio = rates["bf16"] / rates["32"]
    chosen = "bf16" if ratio > 1 else "32"
    words = f"{ratio:.2g}x the speed of" if ratio > 1 else f"{1 / ratio:.2g}x slower than"
    detail = (
        f"bfloat16 is {words} float32 in training; products of matrices reach {peaks['32']:,.0f} GFLOP/s in float32, "
        f"{peaks['bf16']:,.0f} in bfloat16"
    )
    facts = {
        "chosen": chosen,
        "ratio": round(ratio, 3),
        "gemm_gflops": {name: round(peak, 1) for name, peak in peaks.items()},
        "steps_per_second": {name: round(rate, 3) for name, rate in rates.items()},
    }
    return Finding("precision", "ok", detail, facts)


def _training(name: str, where: torch.device, precision: str) -> Finding:
    rate = steps_per_second(name, where, precision)
    word = "bfloat16" if precision == "bf16" else "float32"
    pace = f"{rate:.3g} steps/s" if rate >= 0.1 else f"{1 / rate:.3g} s a step"
    facts = {"modality": name, "steps_per_second": round(rate, 3), "precision": precision}
    return Finding(f"train {name}", "ok", f"{pace} of its default recipe, in {word}", facts)


def _demo(rate: float) -> Finding:
    steps = DEMO * 60 * rate
    figure = expected(steps)
    facts = {"minutes": DEMO + REST, "steps": round(steps), "one_nna_cd": None if figure is None else round(figure, 1)}
    quality = "shapes that cannot be told apart yet" if figure is None else f"1-NNA-CD about {figure:.0f} (50 is ideal)"
    detail = f"about {DEMO + REST} minutes, {steps:,.0f} steps: {quality}"
    return Finding("make demo", "ok" if figure is not None and figure < 80 else "missing", detail, facts)


def expected(steps: float) -> float | None:
    """1-NNA-CD after so many steps, in percent, between the measured ones by the logarithm; None for fewer than those.

    >>> expected(1071), expected(10), expected(10**6)
    (72.0, None, 64.8)
    """
    known = sorted(FIGURES)
    if steps < known[0]:
        return None
    if steps >= known[-1]:
        return FIGURES[known[-1]]
    last = next(i for i, at in enumerate(known) if at > steps)
    low, high = known[last - 1], known[last]
    share = math.log(steps / low) / math.log(high / low)
    return FIGURES[low] + share * (FIGURES[high] - FIGURES[low])


def steps_per_second(name: str, where: torch.device, precision: str, seconds: float = SECONDS) -> float:
    """Optimiser steps a second of a modality's default recipe, with the threads that torch has now.

    precision: 32 or bf16.  Where a step of the whole batch takes longer than ``seconds`` allow, it is worked out from
    steps of an eighth of it.
    """
    small = _Steps(name, where, precision, 8)
    small.taken()
    each = small.taken()
    if 3 * 8 * each < seconds:
        whole = _Steps(name, where, precision, 1)
        whole.taken()
        return 1 / whole.median(seconds)
    return 1 / (8 * small.median(seconds / 4))


class _Steps:
    """Training steps of a default recipe on a part of its batch."""

    def __init__(self, name: str, where: torch.device, precision: str, parts: int) -> None:
        from ptdiff import registry
        from ptdiff.config import defaults, merged, validate
        from ptdiff.denoiser import NetworkDenoiser
        from ptdiff.training.module import DiffusionModule

        kind = registry.load(name, DEFAULTS[name])
        whole: dict[str, Any] = merged(merged(defaults(name), kind.recipe()), {"options": dataclasses.asdict(kind)})
        batch = validate(merged(whole, {"modality": name})).training.batch
        training = {"precision": precision, "batch": max(1, batch // parts)}
        config, data = validate(merged(whole, {"modality": name, "training": training})), kind.dataset()
        self.module = DiffusionModule(NetworkDenoiser(kind.backbone(data), config.prediction), data, config).to(where)
        self.optimizer, self.where = self.module.configure_optimizers(), where
        self.random = next(self.module.randomness(range(1)))

    def taken(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        losses, _ = self.module.losses(0, self.random)
        torch.autograd.backward(losses.mean())
        self.optimizer.step()
        host.synchronize(self.where)
        return time.perf_counter() - began

    def median(self, seconds: float) -> float:
        """Of the steps that fit, one at least."""
        end, found = time.perf_counter() + seconds, [self.taken()]
        while time.perf_counter() < end:
            found.append(self.taken())
        return sorted(found)[len(found) // 2]
