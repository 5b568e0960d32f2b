"""A finding of ``ptdiff doctor``: a thing that was checked, and its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    state: ok, missing (something works less well) or broken (something needed fails).
    facts: the content of ``detail`` and more, as plain values.
    """

    what: str
    state: str
    detail: str
    facts: dict[str, Any] = field(default_factory=dict)
