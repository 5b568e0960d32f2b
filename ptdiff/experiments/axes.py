"""The axes of a sweep: a list of values or a range for each setting that varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, including both.

    ``log``: evenly distributed in the logarithm; ``low`` must then be above 0.
    ``integer``: rounded to integers.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low must lie below high, both finite, not {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 in a logarithmic range, not {self.low:g}")

    def at(self, share: float) -> float:
        """The number at the fraction ``share``, in [0, 1], of the way from ``low`` to ``high``."""
        spread = math.exp if self.log else float
        low, high = (math.log(end) if self.log else end for end in (self.low, self.high))
        found = min(self.high, max(self.low, spread(low + share * (high - low))))
        return round(found) if self.integer else found


Axis = tuple[Any, ...] | Range
"""The values of a setting: a tuple of them or a range."""

Settings = dict[str, Any]
"""Values of settings by dotted keys."""
