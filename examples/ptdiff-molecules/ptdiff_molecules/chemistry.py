"""Elements, bonds from distances, valences, and the identity of a molecule.

Two atoms are bonded if they are closer than the sum of their covalent radii plus a tolerance of 0.4 Å, the rule of
Open Babel and of the Cambridge Structural Database.  Radii: Cordero et al. 2008, "Covalent radii revisited", Dalton
Trans. 2832, table 2; carbon as sp3.

Bond orders are not read off distances, because a bond of a benzene ring is neither single nor double.  Instead, an atom
with fewer neighbors than its valence may share multiple bonds with neighbors that also have some left, and a maximum
matching finds how many atoms can be satisfied at once: a Kekulé structure exists exactly if all can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice, product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

ELEMENTS = ("H", "C", "N", "O", "F", "S", "Cl")
"""Elements in the order of the channels of a sample."""

RADII = np.array([0.31, 0.76, 0.71, 0.66, 0.57, 1.05, 1.02])
"""Covalent radii in Å, in the order of ELEMENTS."""

TOLERANCE = 0.4
"""Two atoms closer than the sum of their radii plus this, in Å, are bonded."""

CLASH = 0.6
"""Two atoms closer than this part of the sum of their radii overlap; the shortest real bonds have 0.85 of it."""

VALENCES = ((1,), (4,), (3,), (2,), (1,), (2, 4, 6), (1,))
"""Numbers of bonds that a neutral atom of each element may have, in the order of ELEMENTS."""

MOST_CHOICES = 64
"""Most combinations of valences of sulfur that are tried; six atoms of sulfur would have 729."""


@dataclass(frozen=True)
class Molecule:
    """Atoms and the bonds between them.

    ``elements``: numbers in ELEMENTS, int64 (n,).  ``positions``: in Å, (n, 3).
    ``orders``: order of the bond between two atoms, 0 for none, int64 (n, n), symmetric.
    ``stable``: the atoms whose valence is satisfied, bool (n,).
    ``clash``: True if two atoms overlap.
    """

    elements: Ints
    positions: Floats
    orders: Ints
    stable: npt.NDArray[np.bool_]
    clash: bool

    @property
    def connected(self) -> bool:
        """True if there is a path of bonds between any two atoms."""
        return len(_reached(self.orders > 0)) == len(self.elements)

    @property
    def valid(self) -> bool:
        """True for a connected molecule in which every valence is satisfied and no atoms overlap."""
        return bool(self.stable.all()) and not self.clash and self.connected

    @property
    def formula(self) -> str:
        """The formula in Hill's order: carbon, hydrogen, then the other elements by name."""
        counts = np.bincount(self.elements, minlength=len(ELEMENTS))
        first = ("C", "H") if counts[ELEMENTS.index("C")] else ()
        names = [*first, *sorted(set(ELEMENTS) - set(first))]
        parts = [(name, counts[ELEMENTS.index(name)]) for name in names]
        return "".join(name + (str(count) if count > 1 else "") for name, count in parts if count)

    @property
    def identity(self) -> str:
        """A name for the constitution: equal for molecules with the same atoms and bonds in any order and geometry.

        See :func:`identity`.
        """
        return identity(self.elements, self.orders > 0)


def molecule(elements: Ints, positions: Floats) -> Molecule:
    """The molecule of atoms at ``positions`` (n, 3) in Å: bonds from distances, orders from valences."""
    bonded, clash = bonds(elements, positions)
    orders, stable = bond_orders(elements, bonded)
    return Molecule(elements, positions, orders, stable, clash)


def bonds(elements: Ints, positions: Floats) -> tuple[npt.NDArray[np.bool_], bool]:
    """The bonded pairs, bool (n, n), and True if two atoms overlap."""
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    reach = RADII[elements][:, None] + RADII[elements][None]
    apart = ~np.eye(len(elements), dtype=bool)
    return (distance < reach + TOLERANCE) & apart, bool(((distance < CLASH * reach) & apart).any())


def bond_orders(elements: Ints, bonded: npt.NDArray[np.bool_]) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Bond orders, int64 (n, n), that satisfy as many atoms as possible, and the satisfied atoms, bool (n,)."""
    best: tuple[Ints, npt.NDArray[np.bool_]] | None = None
    choices = product(*(VALENCES[kind] for kind in elements.tolist()))
    for valences in islice(choices, MOST_CHOICES):
        found = _matched(np.array(valences), bonded)
        if best is None or found[1].sum() > best[1].sum():
            best = found
        if best[1].all():
            break
    assert best is not None
    return best


def _matched(valences: Ints, bonded: npt.NDArray[np.bool_]) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Orders and satisfied atoms for one choice of valences (n,), by a maximum matching of the bonds left over."""
    import networkx

    left = valences - bonded.sum(axis=1)
    orders = bonded.astype(np.int64)
    graph = networkx.Graph()
    for i, j in zip(*np.nonzero(np.triu(bonded)), strict=True):
        # each bond that is left of an atom is a vertex of its own
        graph.add_edges_from(((i, a), (j, b)) for a in range(left[i]) for b in range(left[j]))
    spare = left.copy()
    for (i, _), (j, _) in networkx.max_weight_matching(graph, maxcardinality=True):
        orders[i, j] += 1
        orders[j, i] += 1
        spare[[i, j]] -= 1
    return orders, spare == 0


def identity(elements: Ints, bonded: npt.NDArray[np.bool_]) -> str:
    """A hash of the constitution: elements and bonded pairs, (n,) and bool (n, n), in any order.

    Colors of atoms are refined by those of their neighbors until they name whole neighborhoods (Weisfeiler and Leman
    1968).  Mirror images and other stereoisomers have the same name; so may, rarely, two molecules of rings that differ
    only in how equal rings are connected.
    """
    colors = [ELEMENTS[kind] for kind in elements.tolist()]
    neighbors = [np.flatnonzero(row) for row in bonded]
    for _ in range(len(colors)):
        around = [",".join(sorted(colors[j] for j in of)) for of in neighbors]
        named = (f"{color}({others})" for color, others in zip(colors, around, strict=True))
        finer = [sha256(name.encode()).hexdigest()[:16] for name in named]
        if len(set(finer)) == len(set(colors)):
            colors = finer
            break
        colors = finer
    return sha256(",".join(sorted(colors)).encode()).hexdigest()[:24]


def _reached(bonded: npt.NDArray[np.bool_]) -> set[int]:
    """The atoms that bonds connect with the first."""
    seen, edge = {0}, [0]
    while edge:
        edge = [j for j in _next(bonded, edge) if j not in seen]
        seen.update(edge)
    return seen


def _next(bonded: npt.NDArray[np.bool_], atoms: list[int]) -> Iterator[int]:
    for i in atoms:
        yield from np.flatnonzero(bonded[i]).tolist()
