"""Molecules as samples: (n, 3 + 7), positions in Å around their mean, then a channel for each element, 0 or 1.

The channels of the elements are "analog bits" (Chen et al. 2023, "Analog bits"): they are noised and denoised like
positions, and the largest wins in the end.

Positions and elements have a scale each, such that the difference of two elements is to noise what a bond is: so both
are decided at about the same noise levels.  With unit variance for each channel, rare elements would be so far from
the others that they are decided while the positions are still noise, and the positions would have to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ptdiff.modality import Data, Number, RaggedSplit
from ptdiff_molecules.chemistry import ELEMENTS, Molecule, molecule
from ptdiff_molecules.dictionary import Component, components

HELD_OUT = 8
"""One in this many constitutions is held out."""

BOND = 1.5
"""The length of a bond in Å that is as long as the channel of an element is high."""


def data_of(path: Path | None, heavy: int) -> Data:
    """The molecules of a dictionary, see :func:`ptdiff_molecules.dictionary.components`.

    The constitution of a molecule determines its split, so no constitution is in both, and other options do not move
    molecules from one to the other.
    """
    found = components(path, heavy)
    held = [one for one in found.kept if is_held_out(one)]
    rest = [one for one in found.kept if not is_held_out(one)]
    if not held or not rest:
        raise ValueError(f"{len(found.kept)} molecules are too few for training and held-out ones")
    largest = max(len(one.elements) for one in found.kept)
    train = split(rest, largest)
    kinds = train.elements[:, 3:]
    unit = torch.tensor([BOND] * 3 + [1.0] * len(ELEMENTS))
    # measured() knows one scale for all channels, so it measures molecules in units of their scales
    measured = Data(
        (largest, len(unit)),
        unordered=True,
        train=split(rest, largest, unit),
        conditions={"atoms": Number(least=1, whole=True, counts=True)},
        summary={
            "text": f"{len(rest)} molecules of 3 to {heavy} heavy atoms, {len(held)} held out",
            "dropped": dict(found.dropped),
        },
    ).measured(keep=(-1,))
    return replace(
        measured,
        mean=(0.0, 0.0, 0.0, *kinds.mean(dim=0).tolist()),
        scale=tuple((float(measured.scale) * unit).tolist()),
        train=train,
        val=split(held, largest),
    )


def constitutions(path: Path | None, heavy: int) -> frozenset[str]:
    """The identities of all training molecules."""
    return frozenset(one.identity for one in components(path, heavy).kept if not is_held_out(one))


def is_held_out(one: Component) -> bool:
    """True for molecules of the held-out split."""
    return int(one.identity, 16) % HELD_OUT == 0


def split(molecules: Sequence[Component], largest: int, unit: Tensor | float = 1.0) -> RaggedSplit:
    """The samples of ``molecules`` in units of ``unit``, with the number of their atoms as a condition."""
    atoms = torch.tensor([float(len(one.elements)) for one in molecules])
    sets = [sample_of(one.elements, one.positions) / unit for one in molecules]
    return RaggedSplit(sets, conditions={"atoms": atoms}, largest=largest)


def sample_of(elements: npt.ArrayLike, positions: npt.ArrayLike) -> Tensor:
    """The sample (n, 10) of atoms with numbers in ELEMENTS (n,) and positions (n, 3) in Å."""
    at = torch.as_tensor(positions, dtype=torch.float64)
    kinds = one_hot(torch.as_tensor(elements), len(ELEMENTS))
    return torch.cat([at - at.mean(dim=0), kinds], dim=1).float()


def settled(samples: Tensor) -> Tensor:
    """Samples (b, n, 10) of n atoms each, centered, each atom with the element of its largest channel."""
    at = samples[..., :3].double()
    kinds = one_hot(samples[..., 3:].argmax(dim=-1), len(ELEMENTS))
    return torch.cat([at - at.mean(dim=-2, keepdim=True), kinds], dim=-1).to(samples.dtype)


def molecules_of(samples: Tensor) -> list[Molecule]:
    """The molecules of samples (b, most, 10), padded with NaN."""
    sets = (one[torch.isfinite(one).all(dim=-1)].double() for one in samples)
    return [molecule(one[:, 3:].argmax(dim=1).numpy(), one[:, :3].numpy()) for one in sets]
