"""Scores of generated molecules, with intervals, and with those of held-out molecules as floors.

    validity     share of samples that are one connected molecule in which every valence is satisfied and no atoms
                 overlap (ptdiff_molecules.chemistry)
    stability    share of atoms whose valence is satisfied
    uniqueness   share of the valid samples that are different molecules
    novelty      share of the valid samples whose constitution no training molecule has
    heavy        1-Wasserstein distance of the numbers of heavy atoms to those of the training set
    elements     half the sum of the differences of the shares of the elements, from 0 to 1

Samples have as many atoms as the held-out molecules with which they are compared, so the number of atoms has no score.

The floor of a score is that of the held-out molecules.  All of them are valid and differ, because the dictionary was
filtered and the splits share no constitution: a floor of 1 in the first four is a definition, not a measurement.  The
floors of the distances are due to the finite number of samples.

Shares of samples have the interval of Wilson (1927), which stays within 0 and 1; the other intervals resample whole
molecules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from ptdiff.metrics import Score, bootstrap
from ptdiff_molecules.chemistry import ELEMENTS, Molecule
from ptdiff_molecules.sets import molecules_of

Share = tuple[int, int]
"""How many of how many."""


def scores(samples: Tensor, reference: Tensor, training: Tensor, known: frozenset[str], seed: int) -> dict[str, Score]:
    """The scores of ``samples`` (n, most, 10), padded with NaN.

    ``reference``: held-out molecules, ``training``: training molecules, in the same form.
    ``known``: the identities of all training molecules.
    """
    made, held, train = (molecules_of(x) for x in (samples, reference, training))
    found = {}
    for name, share in (("validity", validity), ("uniqueness", uniqueness)):
        found[name] = _share(share(made), share(held))
    found["novelty"] = _share(novelty(made, known), novelty(held, known))
    measures: dict[str, Callable[[Sequence[Molecule]], float]] = {
        "stability": stability,
        "heavy": lambda some: _wasserstein(_heavy(some), _heavy(train)),
        "elements": lambda some: float(np.abs(_elements(some) - _elements(train)).sum() / 2),
    }
    for name, measure in measures.items():
        value = measure(made)
        low, high = bootstrap(lambda rows, measure=measure: measure([made[i] for i in rows]), len(made), seed=seed)
        found[name] = Score(value, max(0.0, min(low, value)), max(high, value), measure(held))
    order = ("validity", "stability", "uniqueness", "novelty", "heavy", "elements")
    return {name: found[name] for name in order}


def validity(some: Sequence[Molecule]) -> Share:
    """Valid molecules, of all."""
    return sum(one.valid for one in some), len(some)


def stability(some: Sequence[Molecule]) -> float:
    """Share of the atoms of all molecules that are satisfied."""
    return float(np.concatenate([one.stable for one in some]).mean())


def uniqueness(some: Sequence[Molecule]) -> Share:
    """Different constitutions, of all valid molecules."""
    names = [one.identity for one in some if one.valid]
    return len(set(names)), len(names)


def novelty(some: Sequence[Molecule], known: frozenset[str]) -> Share:
    """Valid molecules with a constitution that is not ``known``, of all valid molecules."""
    names = [one.identity for one in some if one.valid]
    return sum(name not in known for name in names), len(names)


def wilson(count: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, ``count`` of ``of``; (0, 1) of nothing."""
    if of == 0:
        return 0.0, 1.0
    z, share = 1.959964, count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def fingerprints(samples: Tensor, least: int = 0) -> Tensor:
    """Eigenvalues of the Coulomb matrix (Rupp et al. 2012, eq. 1) of ``samples`` (n, most, 10), float64 (n, width).

    The same for rotated, reflected and reordered molecules.  Sorted by size, and padded with zeros to ``least``.
    """
    charges = torch.tensor([_NUCLEAR[name] for name in ELEMENTS], dtype=torch.float64)
    real = torch.isfinite(samples).all(dim=-1)
    x = torch.where(real[..., None], samples, 0.0).double()
    z = charges[x[..., 3:].argmax(dim=-1)] * real
    apart = torch.cdist(x[..., :3], x[..., :3])
    alone = torch.eye(x.shape[1], dtype=torch.bool)
    matrix = torch.where(alone, 0.5 * z[:, :, None] ** 2.4, z[:, :, None] * z[:, None] / apart.clamp(min=0.1))
    found = torch.linalg.eigvalsh(matrix)
    order = found.abs().argsort(dim=1, descending=True)
    return pad(found.gather(1, order), (0, max(0, least - found.shape[1])))


_NUCLEAR = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9, "S": 16, "Cl": 17}


def _share(found: Share, floor: Share) -> Score:
    value = found[0] / found[1] if found[1] else 0.0
    low, high = wilson(*found)
    return Score(value, min(low, value), max(high, value), floor[0] / floor[1] if floor[1] else math.nan)


def _heavy(some: Sequence[Molecule]) -> list[int]:
    return [int((one.elements != ELEMENTS.index("H")).sum()) for one in some]


def _elements(some: Sequence[Molecule]) -> npt.NDArray[np.floating]:
    counts = np.bincount(np.concatenate([one.elements for one in some]), minlength=len(ELEMENTS))
    return np.asarray(counts / counts.sum())


def _wasserstein(ours: list[int], theirs: list[int]) -> float:
    """1-Wasserstein distance of two lists of whole numbers, of any lengths."""
    edges = np.arange(max(*ours, *theirs) + 1)
    shares = [np.searchsorted(np.sort(each), edges, side="right") / len(each) for each in (ours, theirs)]
    return float(np.abs(shares[0] - shares[1]).sum())
