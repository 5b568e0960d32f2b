"""Scores that the default recipe of a modality reaches after given numbers of steps, as measured by a benchmark.

A modality may ship them as recipes/expectations.json beside its module:

    {"metric": "1-NNA-CD", "n": 400, "floor": 49.1, "data": "the built-in shapes", "command": "…", "machine": {…},
     "words": [[70, "recognizable shapes"], [90, "rough shapes"], [100, "no shapes yet"]],
     "rows": [{"steps": 300, "value": 85.2, "low": 81.0, "high": 88.7}, …]}

Lower is better.  ``words`` describe samples whose value is at most the given one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ptdiff.documents.jsons import read_json
from ptdiff.modality.contract import Modality

FILE = "recipes/expectations.json"


@dataclass(frozen=True)
class Expectations:
    """A measured table; ``points`` are its (steps, value) pairs in order of steps."""

    metric: str
    n: int
    floor: float
    data: str
    words: tuple[tuple[float, str], ...]
    points: tuple[tuple[int, float], ...]

    @staticmethod
    def of(kind: type[Modality]) -> Expectations | None:
        """The table of a modality, or None if it ships none; raises ValueError if it cannot be read."""
        module = getattr(sys.modules[kind.__module__], "__file__", None)
        if module is None or not (path := Path(module).parent / FILE).is_file():
            return None
        try:
            return Expectations.read(read_json(path))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: {error!r}") from None

    @staticmethod
    def read(values: Mapping[str, Any]) -> Expectations:
        """A table from plain values; raises ValueError if it has no rows or no words."""
        points = sorted((int(row["steps"]), float(row["value"])) for row in values["rows"])
        if not points or not values["words"]:
            raise ValueError("a table of expectations must have rows and words")
        return Expectations(
            metric=values["metric"],
            n=int(values["n"]),
            floor=float(values["floor"]),
            data=values["data"],
            words=tuple((float(limit), str(words)) for limit, words in values["words"]),
            points=tuple(points),
        )

    def value(self, steps: float) -> float:
        """The score after ``steps``: interpolated in log(steps) between measurements, constant beyond them."""
        pairs = self.points
        if steps <= pairs[0][0]:
            return pairs[0][1]
        for (a, left), (b, right) in pairwise(pairs):
            if steps <= b:
                share = math.log(steps / a) / math.log(b / a)
                return left + share * (right - left)
        return pairs[-1][1]

    def steps(self, value: float) -> float | None:
        """The fewest steps that reach ``value``; None if no measured run did."""
        pairs = self.points
        if pairs[0][1] <= value:
            return float(pairs[0][0])
        for (a, left), (b, right) in pairwise(pairs):
            if right <= value:
                return float(a * (b / a) ** ((left - value) / (left - right)))
        return None

    def look(self, value: float) -> str:
        """A description of samples with this score."""
        return next((words for limit, words in self.words if value <= limit), self.words[-1][1])

    @property
    def enough(self) -> float:
        """The worst score of recognizable samples: the first limit of ``words``."""
        return self.words[0][0]
