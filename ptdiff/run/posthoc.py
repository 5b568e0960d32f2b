"""Averages of any width, computed after training from snapshots of power-function averages (post-hoc EMA).

Karras et al. 2024, section 3.1 and appendix C.  A snapshot (t, gamma) contains the weights averaged with the profile

    p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1)        on [0, t]

Any other average is approximated by the combination of snapshots whose profile is the nearest in least squares.  The
inner products of profiles have a closed form, so this is one small linear system.  It is accurate between the widths
of the snapshots and slightly beyond; a profile twice as wide as the widest has an error of a few parts per thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ptdiff.run.checkpoint import Checkpoint, Damaged, verified

WORST = 0.1
"""Largest relative error of a profile that is accepted."""


@lru_cache
def exponent(std: float) -> float:
    """Exponent gamma of the profile t^gamma on [0, 1] with standard deviation ``std``, in [0.005, 0.2886].

    Inverts var = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)), which decreases from 1/12 at gamma = 0.  Raises ValueError
    for a value outside the range.
    """
    if not 0.005 <= std <= 12**-0.5:
        raise ValueError(f"relative width of an average must lie in [0.005, 0.2886], not {std}")
    low, high = 0.0, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        wider = (middle + 1) / ((middle + 2) ** 2 * (middle + 3)) > std * std
        low, high = (middle, high) if wider else (low, middle)
    return low


@dataclass(frozen=True)
class Profile:
    """The profile of a snapshot.

    ``updates``: number of updates of the average when it was taken, above 0.
    ``std``: relative width of the average, in [0.005, 0.2886].
    """

    updates: float
    std: float


def weights(snapshots: Sequence[Profile], target: Profile) -> Tensor:
    """Coefficients of the combination of ``snapshots`` nearest to ``target``: float64 (n,), with a sum of about one.

    Raises ValueError if there are no snapshots, or if all are newer than ``target``.
    """
    if not snapshots:
        raise ValueError("a post-hoc average needs at least one snapshot")
    usable = [snapshot.updates <= target.updates for snapshot in snapshots]
    if not any(usable):
        raise ValueError(f"all snapshots are newer than update {target.updates:g}")
    gram = torch.tensor([[_overlap(a, b) for b in snapshots] for a in snapshots], dtype=torch.float64)
    aim = torch.tensor([_overlap(a, target) for a in snapshots], dtype=torch.float64)
    # adjacent snapshots are nearly parallel: scale to a unit diagonal and use the pseudo-inverse
    size = gram.diagonal().sqrt()
    solution = torch.linalg.lstsq(gram / size / size[:, None], aim / size, rcond=1e-13, driver="gelsd").solution
    found: Tensor = solution / size
    return found


def missed(snapshots: Sequence[Profile], target: Profile, coefficients: Tensor) -> float:
    """Distance between the profile of the combination and that of ``target``, relative to the norm of the latter."""
    c = coefficients.tolist()
    square = sum(c[i] * c[j] * _overlap(a, b) for i, a in enumerate(snapshots) for j, b in enumerate(snapshots))
    both = sum(c[i] * _overlap(a, target) for i, a in enumerate(snapshots))
    whole = _overlap(target, target)
    return float(max(0.0, 1 + (square - 2 * both) / whole) ** 0.5)


def _overlap(a: Profile, b: Profile) -> float:
    """Inner product of two profiles over [0, t], with t the smaller of their ends."""
    g, h = exponent(a.std), exponent(b.std)
    first, last = min(a.updates, b.updates), max(a.updates, b.updates)
    # the ratio of the ends is raised to the exponent of the later profile
    later = h if b.updates >= a.updates else g
    return float((g + 1) * (h + 1) / (g + h + 1) * (first / last) ** later / last)


def combine(snapshots: Iterable[dict[str, Tensor]], coefficients: Tensor) -> dict[str, Tensor]:
    """Combine the tensors of snapshots linearly, computed in float64; integer tensors are those of the last."""
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
    """Compute the average of relative width ``std`` over the run up to the checkpoint ``newest``.

    Combines the power averages in ``newest`` and in the earlier snapshots in ``folder``, which are stored like
    checkpoints (:mod:`ptdiff.run.checkpoint`); the state of each lists the profiles of its parts.
    ``warn``: called with one line about a snapshot that is damaged, and about a profile with an error above 1%.

    Raises ValueError if there are no power averages, or if the error of the profile is above a tenth.
    """
    kept = [*_snapshots(folder, newest.step, warn), newest]
    found = [
        (item, part, Profile(**values)) for item in kept for part, values in item.state.get("profiles", {}).items()
    ]
    if not found:
        raise ValueError("this run has no power averages: train with training.averages and training.snapshots")
    profiles = [profile for _, _, profile in found]
    target = Profile(max(profile.updates for profile in profiles), std)
    coefficients = weights(profiles, target)
    error = missed(profiles, target, coefficients)
    if error > WORST:
        raise ValueError(
            f"an average of relative width {std} cannot be computed from the {len(profiles)} averages of this run: "
            f"the error of its profile would be {error:.0%}"
        )
    if warn is not None and error > WORST / 10:
        warn(f"average of relative width {std}: the error of its profile is {error:.1%}")
    return combine((item.tensors(part) for item, part, _ in found), coefficients)


def _snapshots(folder: Path, last: int, warn: Callable[[str], None] | None) -> list[Checkpoint]:
    """Snapshots before step ``last`` that verify, in order of their steps."""
    if not folder.is_dir():
        return []
    steps = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    found = []
    for path in (folder / str(step) for step in steps if step < last):
        try:
            found.append(verified(path))
        except (Damaged, OSError) as error:
            if warn is not None:
                warn(f"snapshot {path} is not used: {error}")
    return found
