"""Files of molecules: xyz, one molecule each, and sdf with bonds, any number of molecules in one file.

xyz has no standard; this is the common form: the number of atoms, a line of text, then an element and a position in Å
for each atom.  sdf is the molfile V2000 of BIOVIA's "CTfile Formats" (2020), each followed by $$$$.  Its bonds are
those of :mod:`ptdiff_molecules.chemistry`; a molecule that is not valid says so in its third line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_molecules.chemistry import ELEMENTS, Molecule, molecule

MOST_ATOMS = 999
"""Most atoms in a file; the columns of a molfile have three digits."""


def of(sample: npt.NDArray[np.floating]) -> Molecule:
    """The molecule of a sample (n, 10)."""
    return molecule(sample[:, 3:].argmax(axis=1), sample[:, :3].astype(np.float64))


def write_xyz(path: Path, sample: npt.NDArray[np.floating]) -> None:
    """Write a sample (n, 10) as xyz."""
    path.write_text(xyz(of(sample)), encoding="utf-8")


def write_sdf(path: Path, samples: Iterable[npt.NDArray[np.floating]], titles: Sequence[str]) -> None:
    """Write samples (n_i, 10) as one sdf file; molecules have no class, so ``titles`` are empty."""
    path.write_text("".join(molfile(of(one)) for one in samples), encoding="utf-8")


def read_xyz(path: Path) -> npt.NDArray[np.float32]:
    """The sample (n, 10) of an xyz file, centered; ValueError for a file that has another form or other elements."""
    with path.open(encoding="utf-8") as file:
        count = int(file.readline())
        if not 1 <= count <= MOST_ATOMS:
            raise ValueError(f"{path}: {count} atoms, but a file may have 1 to {MOST_ATOMS}")
        file.readline()
        rows = [file.readline(1000).split() for _ in range(count)]
    for number, row in enumerate(rows, start=3):
        if len(row) < 4 or row[0] not in ELEMENTS:
            raise ValueError(f"{path}, line {number}: expected one of {', '.join(ELEMENTS)} and three numbers")
    at = np.array([row[1:4] for row in rows], dtype=np.float64)
    if not np.isfinite(at).all():
        raise ValueError(f"{path}: a position is not finite")
    kinds = np.eye(len(ELEMENTS))[[ELEMENTS.index(row[0]) for row in rows]]
    return np.concatenate([at - at.mean(axis=0), kinds], axis=1).astype(np.float32)


def xyz(one: Molecule) -> str:
    """The text of an xyz file."""
    form = "{:<2} {:11.5f} {:11.5f} {:11.5f}"
    rows = (_atom(kind, at, form) for kind, at in zip(one.elements, one.positions, strict=True))
    return "\n".join([str(len(one.elements)), one.formula, *rows, ""])


def molfile(one: Molecule) -> str:
    """The text of a molfile V2000 and the line that ends it in an sdf file."""
    ends = np.argwhere(np.triu(one.orders))
    atoms = (
        _atom(kind, at, "{1:10.4f}{2:10.4f}{3:10.4f} {0:<3} 0  0  0  0  0  0  0  0  0  0  0  0")
        for kind, at in zip(one.elements, one.positions, strict=True)
    )
    bonds = (f"{i + 1:3d}{j + 1:3d}{one.orders[i, j]:3d}  0" for i, j in ends)
    head = [one.formula, "  ptdiff-molecules  3D", "" if one.valid else "not valid"]
    counts = f"{len(one.elements):3d}{len(ends):3d}  0  0  0  0  0  0  0  0999 V2000"
    return "\n".join([*head, counts, *atoms, *bonds, "M  END", "$$$$", ""])


def _atom(kind: int, at: Sequence[float], form: str) -> str:
    return form.format(ELEMENTS[kind], *at)
