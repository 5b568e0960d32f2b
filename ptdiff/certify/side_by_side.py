"""Many tables at once: the same solver with the same number of steps under different processes.

A table is a list of stages (ptdiff/solvers/table.py).  Tables of equal length whose stages differ only in their numbers
are run as one, with a row of numbers for each; the denoiser is then called once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.process import Level
from ptdiff.solvers import Table


def _shape(table: Table) -> tuple[tuple[bool, bool], ...]:
    return tuple((stage.level is None, stage.advance) for stage in table.stages)


def ends(denoiser: Denoiser, starts: Sequence[Tensor], tables: Sequence[Table]) -> list[Tensor]:
    """The results of ``solve`` for each start (b, d) and its table; the tables must add no noise."""
    groups: dict[tuple[tuple[bool, bool], ...], list[int]] = {}
    for i, table in enumerate(tables):
        groups.setdefault(_shape(table), []).append(i)
    found: dict[int, Tensor] = {}
    for group in groups.values():
        together = _ends(denoiser, torch.stack([starts[i] for i in group]), [tables[i] for i in group])
        found.update(zip(group, together.unbind(), strict=True))
    return [found[i] for i in range(len(tables))]


def _ends(denoiser: Denoiser, x: Tensor, tables: Sequence[Table]) -> Tensor:
    count, batch = x.shape[:2]

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=x.dtype).reshape(-1, *(1,) * (x.ndim - 1))

    newest: list[Tensor] = []
    past: list[Tensor] = []
    history, memory = max(table.history for table in tables), max(table.memory for table in tables)
    for stages in zip(*(table.stages for table in tables), strict=True):
        point = x * column([stage.keep for stage in stages])
        mixes = zip_longest(*(stage.mix for stage in stages), fillvalue=0.0)
        backs = zip_longest(*(stage.back for stage in stages), fillvalue=0.0)
        for value, weights in [*zip(newest, mixes, strict=False), *zip(past, backs, strict=False)]:
            point = point + value * column(weights)
        if stages[0].advance:
            past.insert(0, x)
            del past[memory:]
            x = point
        called = [stage.level for stage in stages if stage.level is not None]
        if called:
            alpha, sigma = torch.tensor(called, dtype=x.dtype).repeat_interleave(batch, dim=0).unbind(1)
            newest.insert(0, denoiser(point.flatten(0, 1), Level(alpha, sigma), {}).reshape(count, batch, *x.shape[2:]))
            del newest[history:]
    return x
