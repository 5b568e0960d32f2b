"""The table of ``ptdiff plan`` and ``--dry-run``, and the line that compares a plan with the time that work took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING

from ptdiff_cli.shared.terminal import say, show, show_table

if TYPE_CHECKING:
    from ptdiff.machine.cost import Cost, Workload
    from ptdiff.model.arguments import Points
    from ptdiff.model.loaded import Model

LONG = 30.0
"""Shorter work, in seconds, is not compared with a plan: the plan itself takes one to five seconds."""


def show_costs(costs: Sequence[Cost], price: float | None = None) -> None:
    """Print costs as a table, with their basis below."""
    from ptdiff.machine.cost import size, span

    headings = ["work", "where", "time", "memory", "disk", *([] if price is None else ["price"])]
    rows = [
        [
            cost.work.name,
            cost.place,
            span(cost.seconds),
            size(cost.memory),
            size(cost.disk),
            *([] if price is None else [f"{cost.money(price):,.2f}"]),
        ]
        for cost in costs
    ]
    show_table(headings, rows)
    for basis in dict.fromkeys(f"{cost.work.name}, {cost.place}: {cost.basis}" for cost in costs):
        show(fill(basis, 80, subsequent_indent="  "))


def sampling_costs(
    model: Model,
    count: int,
    label: str | None,
    conditions: Mapping[str, str],
    points: Points | None,
    batch: int | None,
    least: float = 0,
) -> list[Workload]:
    """The work of ``ptdiff sample``; empty if it takes fewer than ``least`` seconds."""
    from ptdiff.model.arguments import conditions_of, mask_for
    from ptdiff.model.estimate import sampling_workload, takes_long

    where, shape, seed = model.device, model.shape(points), model.plan.seed
    asked = conditions_of(model.run, count, label, conditions)
    mask = mask_for(model.run, count, points, seed, asked)
    if mask is not None:
        asked["mask"], shape = mask, (mask.shape[1], *shape[1:])
    subject = model.denoiser, model.plan, model.data, count, shape
    if least and not takes_long(*subject, least, device=where, batch=batch, asked=asked):
        return []
    return [sampling_workload(*subject, device=where, batch=batch, asked=asked)]


def evaluation_costs(
    model: Model,
    count: int | None,
    reference: str | None,
    split: str,
    protocol: str | None,
    points: int | None,
    batch: int | None,
    least: float = 0,
) -> list[Workload]:
    """The work of ``ptdiff eval``; empty if generating the samples takes fewer than ``least`` seconds.

    Raises Failure if the data cannot be read, and otherwise as the evaluation does.
    """
    from ptdiff.errors import reading
    from ptdiff.evaluation import MOST
    from ptdiff.modality import registry
    from ptdiff.model.estimate import evaluation_workloads

    if least and not sampling_costs(model, count or MOST, None, {}, points, batch, least):
        return []
    shape, config, kind = model.shape(points), model.run.config, model.modality
    settings = {**config.options, **({} if points is None else {"points": points})}
    if points is not None:
        kind = registry.load(config.modality, settings).as_of(model.run.data)
    with reading("data"):
        own = kind.dataset()
        held = None if reference is None else registry.load(config.modality, {**settings, "data": reference}).dataset()
    return evaluation_workloads(
        model.denoiser,
        model.plan,
        kind,
        own,
        count,
        shape,
        device=str(model.device),
        batch=batch,
        held=held,
        protocol=protocol,
        split=split,
    )


@contextmanager
def compared(works: Sequence[Workload]) -> Iterator[None]:
    """Say what ``works`` are expected to take, and afterwards how far off that was; nothing without any."""
    if not works:
        yield
        return
    from ptdiff.machine.cost import TimeRange, off, span

    planned = TimeRange(*map(sum, zip(*(work.seconds for work in works), strict=True)))
    say(f"planned: {span(planned)}")
    began = time.perf_counter()
    yield
    say(off(planned.likely, time.perf_counter() - began))
