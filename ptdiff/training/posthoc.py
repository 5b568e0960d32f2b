"""Averages of any width, made after training from snapshots of two or more power-function averages.

Karras et al. 2024, section 3.1 and appendix C.  A snapshot (t, gamma) is the weights averaged with the profile

    p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1)        on [0, t]

An average that was not kept is the combination of snapshots whose profile is nearest to its own in least squares; the
snapshots' profiles have closed inner products, so this is one small linear system.  Good between the widths that were
kept and somewhat beyond; a profile twice as wide as the widest is met to a few parts in a thousand only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.training.ema import exponent


@dataclass(frozen=True)
class Profile:
    """The profile of a snapshot taken after ``updates`` updates of an average of relative width ``std``."""

    updates: float
    std: float


def weights(snapshots: Sequence[Profile], target: Profile) -> Tensor:
    """The combination of ``snapshots`` that comes nearest to ``target``: float64 (n,), about summing to one.

    ValueError where no snapshot reaches as far back as the target needs.
    """
    if not snapshots:
        raise ValueError("an average after the fact needs snapshots")
    usable = [snapshot.updates <= target.updates for snapshot in snapshots]
    if not any(usable):
        raise ValueError(f"no snapshot is as old as update {target.updates:g}")
    gram = torch.tensor([[_overlap(a, b) for b in snapshots] for a in snapshots], dtype=torch.float64)
    aim = torch.tensor([_overlap(a, target) for a in snapshots], dtype=torch.float64)
    # neighbouring snapshots are nearly parallel: scale to a unit diagonal, and let the pseudo-inverse decide
    size = gram.diagonal().sqrt()
    solution = torch.linalg.lstsq(gram / size / size[:, None], aim / size, rcond=1e-13, driver="gelsd").solution
    return solution / size


def _overlap(a: Profile, b: Profile) -> float:
    """The inner product of two profiles, over [0, the smaller of their ends]."""
    g, h = exponent(a.std), exponent(b.std)
    first, last = min(a.updates, b.updates), max(a.updates, b.updates)
    # the exponent of the later profile belongs to the ratio of the ends
    later = h if b.updates >= a.updates else g
    return (g + 1) * (h + 1) / (g + h + 1) * (first / last) ** later / last


def combine(snapshots: Iterable[dict[str, Tensor]], coefficients: Tensor) -> dict[str, Tensor]:
    """The combination of the snapshots' tensors, in float64 on the way; others than floats are those of the last."""
    total: dict[str, Tensor] = {}
    types: dict[str, torch.dtype] = {}
    for snapshot, coefficient in zip(snapshots, coefficients.tolist(), strict=True):
        for name, value in snapshot.items():
            types[name] = value.dtype
            if value.is_floating_point():
                total[name] = total.get(name, torch.zeros((), dtype=torch.float64)) + value.double() * coefficient
            else:
                total[name] = value
    return {name: value.to(types[name]) for name, value in total.items()}
