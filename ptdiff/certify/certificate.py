"""A certificate: one measured figure beside the declared one.

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
    """What was measured and what it should be.

    ``kind`` is the family ("order", "weak order", "calls", …), ``subject`` says of what, in words that name the solver,
    process or objective.  A figure that is not a number never holds.
    """

    kind: str
    subject: str
    measured: float
    declared: float
    tolerance: float
    direction: Direction = "equal"

    @property
    def holds(self) -> bool:
        """Whether the measured figure is what is declared, within the tolerance."""
        return self.excess <= self.tolerance

    @property
    def excess(self) -> float:
        """How far the measured figure lies beyond the declared one, on a side that counts; nothing else is as bad as
        what is not a number."""
        above = 0.0 if self.measured == self.declared else self.measured - self.declared
        found = {"equal": abs(above), "at least": -above, "at most": above}[self.direction]
        return math.nan if math.isnan(self.tolerance) else found

    def to_json(self) -> dict[str, Any]:
        """The fields and ``holds``, for a file; figures that are not finite become null, which JSON has a word for."""
        fields = asdict(self) | {"holds": self.holds}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
