"""Small molecules of the chemical component dictionary (CCD) of the wwPDB, which the biotite wheel contains.

The dictionary describes every molecule that occurs in an entry of the Protein Data Bank: amino acids, drugs, solvents,
fragments of screens.  Columns are read whole; one molecule at a time would take minutes.

Coordinates are the ideal ones, computed by the wwPDB from the constitution, or else those of a model.  Hydrogens are
part of the dictionary.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_molecules.chemistry import ELEMENTS, Floats, Ints, bonds, identity, molecule

NAMED = {name.upper(): number for number, name in enumerate(ELEMENTS)}


@dataclass(frozen=True)
class Component:
    """One molecule: its name in the dictionary, elements (n,), positions (n, 3) in Å, and constitution."""

    name: str
    elements: Ints
    positions: Floats
    identity: str


@dataclass(frozen=True)
class Selection:
    """The molecules that remain, and the number of components dropped for each reason, in the order of the checks."""

    kept: tuple[Component, ...]
    dropped: dict[str, int]


@lru_cache(maxsize=4)
def components(path: Path | None, heavy: int) -> Selection:
    """The molecules of a dictionary with 3 to ``heavy`` heavy atoms, one of each constitution.

    ``path``: a dictionary in BinaryCIF format; None for that of the installed biotite.
    Raises ValueError, with what to install, without biotite, and OSError or ValueError for a file that is no
    dictionary.
    """
    table = _read(path)
    reasons: Counter[str] = Counter()
    kept: dict[str, Component] = {}
    starts = np.flatnonzero(np.r_[True, table.component[1:] != table.component[:-1]][: len(table.component)]).tolist()
    for first, last in zip(starts, [*starts[1:], len(table.component)], strict=True):
        found = _checked(table, slice(first, last), heavy)
        if isinstance(found, Component) and found.identity in kept:
            found = "the constitution of one that was kept, such as its mirror image"
        if isinstance(found, Component):
            kept[found.identity] = found
        else:
            reasons[found] += 1
    return Selection(tuple(kept.values()), {reason: reasons[reason] for reason in REASONS if reasons[reason]})


REASONS = (
    "fewer than 3 or too many heavy atoms",
    "marked as obsolete or ambiguous",
    "an element other than " + ", ".join(ELEMENTS),
    "charged",
    "coordinates missing",
    "no hydrogen at all",
    "bonds from distances differ from those of the dictionary",
    "not connected, or a valence that the rules do not know",
    "the constitution of one that was kept, such as its mirror image",
)
"""Why components are dropped, in the order of the checks; the first that applies counts."""


@dataclass(frozen=True)
class _Table:
    """Columns of the dictionary, a row for each atom; ``bonded``: pairs of names of atoms by component."""

    component: npt.NDArray[np.str_]
    atom: npt.NDArray[np.str_]
    element: npt.NDArray[np.str_]
    charge: npt.NDArray[np.str_]
    ideal: Floats
    model: Floats
    refused: frozenset[str]
    bonded: dict[str, list[tuple[str, str]]]


def _read(path: Path | None) -> _Table:
    try:
        import biotite.structure.info as info
        from biotite.structure.io.pdbx import BinaryCIFFile
    except ImportError as error:
        raise ValueError("molecules need biotite, which contains the dictionary: pip install biotite") from error
    place = Path(info.__file__).with_name("components.bcif") if path is None else path
    try:
        block = BinaryCIFFile.read(place).block
        kinds, atoms, pairs = block["chem_comp"], block["chem_comp_atom"], block["chem_comp_bond"]

        def xyz(name: str) -> Floats:
            axes = [atoms[name.format(axis)].as_array(float, masked_value=np.nan) for axis in "xyz"]
            return np.stack(axes, axis=1)

        status, ambiguous = (kinds[name].as_array(str) for name in ("pdbx_release_status", "pdbx_ambiguous_flag"))
        refused = kinds["id"].as_array(str)[(status == "OBS") | (ambiguous == "Y")]
        bonded: dict[str, list[tuple[str, str]]] = {}
        columns = (pairs[name].as_array(str).tolist() for name in ("comp_id", "atom_id_1", "atom_id_2"))
        for of, one, other in zip(*columns, strict=True):
            bonded.setdefault(of, []).append((one, other))
        return _Table(
            atoms["comp_id"].as_array(str),
            atoms["atom_id"].as_array(str),
            atoms["type_symbol"].as_array(str),
            atoms["charge"].as_array(str),
            xyz("pdbx_model_Cartn_{}_ideal"),
            xyz("model_Cartn_{}"),
            frozenset(refused.tolist()),
            bonded,
        )
    except OSError:
        raise
    # whatever a damaged file makes of its decoder
    except Exception as error:
        raise ValueError(f"{place} is no dictionary of components in BinaryCIF format: {error}") from error


def _checked(table: _Table, rows: slice, heavy: int) -> Component | str:
    """A molecule of the table, or the reason why it is dropped."""
    name, symbols = str(table.component[rows.start]), table.element[rows]
    count = int((symbols != "H").sum())
    if not 3 <= count <= heavy:
        return REASONS[0]
    if name in table.refused:
        return REASONS[1]
    if not all(symbol in NAMED for symbol in symbols):
        return REASONS[2]
    if not np.isin(table.charge[rows], ["0", "", "?", "."]).all():
        return REASONS[3]
    whole = [each[rows] for each in (table.ideal, table.model) if np.isfinite(each[rows]).all()]
    if not whole:
        return REASONS[4]
    if count == len(symbols):
        return REASONS[5]
    elements = np.array([NAMED[symbol] for symbol in symbols], dtype=np.int64)
    order = {atom: i for i, atom in enumerate(table.atom[rows].tolist())}
    known = np.zeros((len(order), len(order)), dtype=bool)
    for one, other in table.bonded.get(name, []):
        known[order[one], order[other]] = known[order[other], order[one]] = True
    for positions in whole:
        if np.array_equal(bonds(elements, positions)[0], known):
            found = molecule(elements, positions)
            return Component(name, elements, positions, identity(elements, known)) if found.valid else REASONS[7]
    return REASONS[6]
