"""Results of the checks of ``ptdiff doctor``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    ``what``: name of the checked item.  ``state``: ok, missing (optional) or broken (required).
    ``detail``: one line about it.  ``facts``: its content and more, as plain values.
    """

    what: str
    state: str
    detail: str
    facts: dict[str, Any] = field(default_factory=dict)
