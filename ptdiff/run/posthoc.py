"""Averages of any width, made after training from snapshots of power-function averages.

Karras et al. 2024, section 3.1 and appendix C.  A snapshot (t, gamma) is the weights averaged with the profile

    p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1)        on [0, t]

An average that was not kept is the combination of snapshots whose profile is nearest to its own in least squares; the
snapshots' profiles have closed inner products, so this is one small linear system.  Good between the widths that were
kept and somewhat beyond; a profile twice as wide as the widest is met to a few parts in a thousand only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ptdiff.run.checkpoint import STATE, Checkpoint, problem

WORST = 0.1
"""A profile that is missed by more than this part of itself is refused."""


@lru_cache
def exponent(std: float) -> float:
    """gamma of the profile t^gamma on [0, 1] that has this standard deviation: its variance is (gamma + 1) /
    ((gamma + 2)^2 (gamma + 3)), which falls from 1/12 at gamma = 0."""
    if not 0.005 <= std <= 12**-0.5:
        raise ValueError(f"the relative width of an average must lie in [0.005, 0.2886], not {std}")
    low, high = 0.0, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        wider = (middle + 1) / ((middle + 2) ** 2 * (middle + 3)) > std * std
        low, high = (middle, high) if wider else (low, middle)
    return low


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
    found: Tensor = solution / size
    return found


def missed(snapshots: Sequence[Profile], target: Profile, coefficients: Tensor) -> float:
    """How far the combination's profile is from the target's, in parts of the target's norm."""
    c = coefficients.tolist()
    square = sum(c[i] * c[j] * _overlap(a, b) for i, a in enumerate(snapshots) for j, b in enumerate(snapshots))
    both = sum(c[i] * _overlap(a, target) for i, a in enumerate(snapshots))
    whole = _overlap(target, target)
    return float(max(0.0, 1 + (square - 2 * both) / whole) ** 0.5)


def _overlap(a: Profile, b: Profile) -> float:
    """The inner product of two profiles, over [0, the smaller of their ends]."""
    g, h = exponent(a.std), exponent(b.std)
    first, last = min(a.updates, b.updates), max(a.updates, b.updates)
    # the exponent of the later profile belongs to the ratio of the ends
    later = h if b.updates >= a.updates else g
    return float((g + 1) * (h + 1) / (g + h + 1) * (first / last) ** later / last)


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


def average(
    folder: Path, newest: Checkpoint, std: float, warn: Callable[[str], None] | None = None
) -> dict[str, Tensor]:
    """The average of relative width ``std`` over the run up to the checkpoint ``newest``.

    Made of the snapshots in ``folder`` (written like checkpoints, ptdiff.run.checkpoint) up to that one and of the
    power averages in it; each says in its state which of its parts have which profile.  ValueError where these cannot
    give such a width: where there are none, or where they miss its profile by more than a tenth.
    """
    kept = [*_snapshots(folder, newest.step, warn), newest]
    found = [
        (item, part, Profile(**values)) for item in kept for part, values in item.state.get("profiles", {}).items()
    ]
    if not found:
        raise ValueError("this run kept no power averages: train with training.averages and training.snapshots")
    profiles = [profile for _, _, profile in found]
    target = Profile(max(profile.updates for profile in profiles), std)
    coefficients = weights(profiles, target)
    error = missed(profiles, target, coefficients)
    if error > WORST:
        raise ValueError(
            f"the {len(profiles)} averages that this run kept do not give one of relative width {std}: "
            f"its profile would be missed by {error:.0%}"
        )
    if warn is not None and error > WORST / 10:
        warn(f"average of relative width {std}: its profile is missed by {error:.1%}")
    return combine((item.tensors(part) for item, part, _ in found), coefficients)


def _snapshots(folder: Path, last: int, warn: Callable[[str], None] | None) -> list[Checkpoint]:
    """The snapshots before step ``last`` that verify, in order."""
    if not folder.is_dir():
        return []
    steps = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    found = []
    for path in (folder / str(step) for step in steps if step < last):
        reason = problem(path)
        if reason is None:
            found.append(Checkpoint(path, json.loads((path / STATE).read_text(encoding="utf-8"))))
        elif warn is not None:
            warn(f"snapshot {path} is not used: {reason}")
    return found
