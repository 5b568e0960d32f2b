"""The measurements of ``ptdiff doctor``: hardware, load and training speed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from ptdiff.machine import host
from ptdiff.machine.yardstick import had
from ptdiff_cli.shared.finding import Finding

if TYPE_CHECKING:
    from ptdiff.training.autotune import Settled

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "points2d": {"count": 4096},
    "images": {},
    "pointcloud": {"shapes_per_class": 8},
}
"""The modalities that ship with ptdiff, with options for little data, which does not change the time of a step."""

DEMO, REST = 8, 3
"""Minutes of training in ``make demo``, and approximate minutes of the rest."""


def machine(name: str) -> Iterator[Finding]:
    """Measure the machine with device ``name``; yield each finding as soon as it is known."""
    where, facts = host.device(name), host.facts()
    text = f"{facts['processor']}, {facts['instruction_set']}, {facts['cores']} cores"
    memory = "" if facts["memory_gib"] is None else f", {facts['memory_gib']} GiB free"
    yield Finding("processor", "ok", text + memory, facts)
    yield Finding("gpu", "ok", facts["gpu"] or "none that torch can use; the CPU is used", {"gpu": facts["gpu"]})
    yield _busy()
    yield _precision(where)
    rate = 0.0
    for kind in DEFAULTS:
        found = _training(kind, where)
        yield found
        # the last one is the modality of the demo
        rate = found.facts["steps_per_second"] or 0.0
    yield _demo(rate)


def _busy() -> Finding:
    """Measure the processor time available now to one thread, and to one thread per core."""
    cores, threads = host.cores(), torch.get_num_threads()
    one, all_ = had(1), had(cores)
    facts = {"threads": threads, "cores": cores, "one": round(one, 2), "all": round(all_, 2), "load": host.busy()}
    detail = (
        f"torch uses {threads} thread{'s' * (threads > 1)}; one gets {one:.0%} of a core, {cores} get {all_:.1f} cores"
    )
    if all_ < 0.8 * cores:
        return Finding("threads", "missing", f"{detail}; other programs are busy, which slows training", facts)
    return Finding("threads", "ok", detail, facts)


def _precision(where: torch.device) -> Finding:
    """Compare float32 and bfloat16 matrix products; the trials below find the faster one for training."""
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    peaks = {name: host.gemm_peak(kind, where, 0.2) for name, kind in kinds.items()}
    ratio = peaks["bfloat16"] / peaks["float32"]
    words = f"{ratio:.2g}x the speed of" if ratio > 1 else f"{1 / ratio:.2g}x slower than"
    detail = (
        f"bfloat16 is {words} float32: {peaks['float32']:.3g} GFLOP/s in float32, {peaks['bfloat16']:.3g} in bfloat16"
    )
    facts = {"ratio": round(ratio, 3), "gemm_gflops": {name: round(peak, 1) for name, peak in peaks.items()}}
    return Finding("precision", "ok", detail, facts)


def _training(name: str, where: torch.device) -> Finding:
    found = tried(name, where)
    rate = None if found.rate is None else round(found.rate, 4)
    return Finding(f"train {name}", "ok", found.line(), {"modality": name, "steps_per_second": rate, **found.facts()})


def _demo(rate: float) -> Finding:
    from ptdiff.modality import registry
    from ptdiff.training.expectations import Expectations

    steps, table = DEMO * 60 * rate, Expectations.of(registry.modality_class("pointcloud"))
    facts: dict[str, Any] = {"minutes": DEMO + REST, "steps": round(steps), "metric": None, "value": None}
    detail = f"about {DEMO + REST} minutes, of which {DEMO} are training: about {steps:,.0f} steps"
    if table is None:
        return Finding("make demo", "ok", detail, facts)
    value = table.value(steps)
    facts |= {"metric": table.metric, "value": round(value, 1), "floor": table.floor, "n": table.n}
    state = "ok" if value <= table.enough else "missing"
    return Finding("make demo", state, f"{detail}: {table.look(value)}, {table.metric} about {value:.0f}", facts)


def tried(name: str, where: torch.device) -> Settled:
    """Run the trial that precedes training, for the default recipe of modality ``name``."""
    from ptdiff.modality import registry
    from ptdiff.run.config import defaults, merged, validate
    from ptdiff.training.autotune import settle

    kind = registry.load(name, DEFAULTS[name])
    values: dict[str, Any] = {"modality": name, "options": dataclasses.asdict(kind)}
    config = validate(merged(merged(defaults(name), kind.recipe()), values))
    return settle(config, kind, kind.dataset(), where)
