"""The figures of a run's eval.json, and what they were measured on: figures compare where that is the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.errors import RunError


@dataclass(frozen=True)
class Measured:
    """Figures by name, and on what they were measured.

    basis: the protocol, n, the data and split of the reference, the SHA-256 of the samples drawn of it, and what else
    the protocol says must be the same, by name.
    calls: of the network for each sample; None where it is not known.
    """

    figures: Mapping[str, float]
    basis: Mapping[str, str | int]
    calls: float | None = None

    @property
    def label(self) -> str:
        """The basis in a few words.

        >>> Measured({}, {"protocol": "full-set", "n": 100, "data": "/data/moons.csv", "split": "val"}).label
        'full-set, n = 100, moons.csv val'
        """
        data = Path(str(self.basis.get("data", ""))).name
        known = [str(self.basis["protocol"]), f"n = {self.basis['n']}", f"{data} {self.basis.get('split', '')}".strip()]
        return ", ".join(filter(None, known))

    def compares_with(self, other: Measured) -> bool:
        """Whether both were measured on the same; the same samples count as such wherever their files lie."""
        one, two = (
            {k: v for k, v in m.basis.items() if not (k in ("data", "split") and "reference" in m.basis)}
            for m in (self, other)
        )
        return one == two


def measured(run: Path) -> Measured | None:
    """What eval.json of a run folder holds; None where there is none, RunError where it cannot be read."""
    path = run / "eval.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        figures = {str(name): float(score["value"]) for name, score in found["metrics"].items()}
        return Measured(figures, _basis(found), found.get("sampling", {}).get("calls"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read: {type(error).__name__}: {error}; measure the run again") from error


def main_score(run: Path) -> tuple[str, float, float, float, float] | None:
    """The first score of a run's eval.json: name, value, ends of its interval, floor; None where there is none."""
    path = run / "eval.json"
    if not path.is_file():
        return None
    try:
        name, score = next(iter(json.loads(path.read_text(encoding="utf-8"))["metrics"].items()))
        value, low, high, floor = (float(score[key]) for key in ("value", "low", "high", "floor"))
        return str(name), value, low, high, floor
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise RunError(f"{path} cannot be read: {type(error).__name__}: {error}; measure the run again") from error


def _basis(found: Mapping[str, Any]) -> dict[str, str | int]:
    sets = dict(found.get("sets", {}))
    drawn = sets.pop("sha256_drawn", {})
    # a fact that is a mapping may hold what was found, not only how
    facts = {name: fact for name, fact in sets.items() if isinstance(fact, (str, int))}
    samples = {"reference": drawn["reference"]} if "reference" in drawn else {}
    return {
        "protocol": f"{found.get('protocol', '')}{', raw' * bool(found.get('sampling', {}).get('raw'))}",
        "n": found.get("n", 0),
        **found.get("reference", {}),
        **samples,
        **facts,
    }


def alike(runs: Iterable[tuple[str, Measured]]) -> dict[str, dict[str, Measured]]:
    """Runs by name, grouped by what their figures were measured on, under labels that tell the groups apart."""
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
    # of a digest its beginning is enough
    return str(of.basis.get(key, "unknown"))[: 12 if key == "reference" else None]
