"""Scores in eval.json of a run, and the basis of the measurement: scores are comparable if their basis is the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.documents.jsons import read_json
from ptdiff.errors import RunError


@dataclass(frozen=True)
class Measured:
    """Scores and the basis of their measurement.

    ``figures``: scores by name.
    ``basis``: everything that must agree for a comparison, by name: the protocol, n, data and split of the reference,
    the SHA-256 of the reference samples, and facts that the protocol adds.
    ``calls``: network calls per sample; None if not known.
    """

    figures: Mapping[str, float]
    basis: Mapping[str, str | int]
    calls: float | None = None

    @property
    def label(self) -> str:
        """A short description of the basis.

        >>> Measured({}, {"protocol": "full-set", "n": 100, "data": "/data/moons.csv", "split": "val"}).label
        'full-set, n = 100, moons.csv val'
        """
        data = Path(str(self.basis.get("data", ""))).name
        known = [str(self.basis["protocol"]), f"n = {self.basis['n']}", f"{data} {self.basis.get('split', '')}".strip()]
        return ", ".join(filter(None, known))

    def compares_with(self, other: Measured) -> bool:
        """Return True if both have the same basis; identical reference samples count regardless of their files."""
        one, two = (
            {k: v for k, v in m.basis.items() if not (k in ("data", "split") and "reference" in m.basis)}
            for m in (self, other)
        )
        return one == two


def measured(run: Path) -> Measured | None:
    """Read the scores in eval.json of a run folder, or in an evaluation file; None if it does not exist.

    Raises RunError for a damaged file.
    """
    path = run if run.is_file() else run / "eval.json"
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        figures = {str(name): float(score["value"]) for name, score in found["metrics"].items()}
        return Measured(figures, _basis(found), found.get("sampling", {}).get("calls"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read: {type(error).__name__}: {error}; measure the run again") from error


def main_score(run: Path) -> tuple[str, float, float, float, float] | None:
    """Read the first score in eval.json of a run, or in an evaluation file: name, value, low and high end, floor.

    Low and high are the ends of its interval.  Returns None if there is no such file, and raises RunError for a damaged
    one.
    """
    path = run if run.is_file() else run / "eval.json"
    if not path.is_file():
        return None
    try:
        name, score = next(iter(read_json(path)["metrics"].items()))
        value, low, high, floor = (float(score[key]) for key in ("value", "low", "high", "floor"))
        return str(name), value, low, high, floor
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise RunError(f"{path} cannot be read: {type(error).__name__}: {error}; measure the run again") from error


def _basis(found: Mapping[str, Any]) -> dict[str, str | int]:
    sets = dict(found.get("sets", {}))
    drawn = sets.pop("sha256_drawn", {})
    # a fact that is a mapping may contain results, not only settings
    facts = {name: fact for name, fact in sets.items() if isinstance(fact, (str, int))}
    samples = {"reference": drawn["reference"]} if "reference" in drawn else {}
    basis = {
        "protocol": f"{found.get('protocol', '')}{', raw' * bool(found.get('sampling', {}).get('raw'))}",
        "n": found.get("n", 0),
        **found.get("reference", {}),
        **samples,
        **facts,
    }
    if not all(isinstance(value, (str, int)) for value in basis.values()):
        raise TypeError("the basis of the measurement must consist of texts and numbers")
    return basis


def alike(runs: Iterable[tuple[str, Measured]]) -> dict[str, dict[str, Measured]]:
    """Group runs, given with their names, by the basis of their scores; labels distinguish the groups."""
    groups: list[dict[str, Measured]] = []
    for name, found in runs:
        group = next((g for g in groups if next(iter(g.values())).compares_with(found)), None)
        if group is None:
            groups.append({name: found})
        else:
            group[name] = found
    firsts = [next(iter(group.values())) for group in groups]
    labels = [first.label for first in firsts]
    for i, first in enumerate(firsts):
        same = [other for other in firsts if other.label == first.label]
        keys = dict.fromkeys(key for other in same for key in other.basis)
        apart = [key for key in keys if len({other.basis.get(key) for other in same}) > 1]
        labels[i] += "".join(f", {key} {_word(first, key)}" for key in apart)
    return dict(zip(labels, groups, strict=True))


def _word(of: Measured, key: str) -> str:
    # the beginning of a digest is enough
    return str(of.basis.get(key, "unknown"))[: 12 if key == "reference" else None]
