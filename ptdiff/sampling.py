"""Sampling: addressed noise in, samples in model units out, a batch at a time.

Sample i is a function of (seed, i) and the solver's table alone, whatever batch it is drawn in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.data import Condition
from ptdiff.denoiser import Denoiser
from ptdiff.noise import Stream, normal
from ptdiff.solvers import State, Table, trajectory


@dataclass(frozen=True)
class Draw:
    """What is drawn: samples ``ids`` (b,) of one datum's ``shape``, addressed by ``seed``, under ``cond``."""

    ids: Tensor
    shape: tuple[int, ...]
    cond: Condition
    seed: int = 0


def start(draw: Draw, table: Table) -> Tensor:
    """Noise at the table's first level, as wide as unit-variance data is there: hypot(alpha, sigma)."""
    alpha, sigma = table.levels[0]
    return normal(draw.seed, Stream.START, draw.ids, 0, draw.shape) * (alpha**2 + sigma**2) ** 0.5


@torch.inference_mode()
def walk(denoiser: Denoiser, draw: Draw, table: Table) -> Iterator[State]:
    """All states of one batch from noise to data; the caller may stop, show or keep any of them."""
    x = start(draw, table)

    def noise(step: int) -> Tensor:
        return normal(draw.seed, Stream.SOLVER, draw.ids, step, draw.shape)

    yield from trajectory(denoiser, x, table, draw.cond, noise)


def labels(seed: int, ids: Tensor, classes: int, label: int | None) -> Condition:
    """Classes for samples: all ``label``, or each class in turn by id; nothing for data without classes."""
    if not classes:
        return {}
    return {"label": torch.remainder(ids, classes) if label is None else torch.full_like(ids, label)}
