"""The axes of a sweep: for each setting that varies, a list of values or a range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; evenly spread in the logarithm with ``log``."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low must lie below high, not {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range must lie above zero")

    def at(self, share: float) -> float:
        """The number so far on the way, share in [0, 1]."""
        spread = math.exp if self.log else float
        low, high = (math.log(end) if self.log else end for end in (self.low, self.high))
        found = min(self.high, max(self.low, spread(low + share * (high - low))))
        return round(found) if self.integer else found


Axis = tuple[Any, ...] | Range
"""The values of a setting: a list of them, or a range."""

Settings = dict[str, Any]
"""Values by dotted keys."""
