"""A certificate: one measured figure compared with the declared one.

equal      |measured - declared| <= tolerance
at least    measured >= declared - tolerance
at most     measured <= declared + tolerance
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Direction = Literal["equal", "at least", "at most"]


@dataclass(frozen=True)
class Certificate:
    """A measured figure and its declared value.

    ``kind`` is the family ("order", "weak order", "calls", …); ``subject`` names the solver, process or objective.  A
    measured NaN never holds.
    """

    kind: str
    subject: str
    measured: float
    declared: float
    tolerance: float
    direction: Direction = "equal"

    @property
    def holds(self) -> bool:
        """True if the measured figure satisfies the declaration within the tolerance."""
        return self.excess <= self.tolerance

    @property
    def excess(self) -> float:
        """Distance of the measured figure beyond the declared one, on a side that counts; NaN if a figure is NaN."""
        above = 0.0 if self.measured == self.declared else self.measured - self.declared
        found = {"equal": abs(above), "at least": -above, "at most": above}[self.direction]
        return math.nan if math.isnan(self.tolerance) else found

    def to_json(self) -> dict[str, Any]:
        """The fields and ``holds`` as JSON values; figures that are not finite become null."""
        fields = asdict(self) | {"holds": self.holds}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
