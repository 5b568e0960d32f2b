"""Doors: the kinds of things that a plugin can add.

A door is the middle of the name of an entry-point group, ``ptdiff.solvers.v1``.  The number at the end is the version
of the contract between ptdiff and such plugins: it changes when earlier plugins can no longer work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

DOORS: Mapping[str, int] = {
    "modalities": 1,
    "solvers": 1,
    "processes": 1,
    "objectives": 1,
    "guidance": 1,
    "metrics": 1,
    "trackers": 1,
    "engines": 1,
    "readers": 1,
    "writers": 1,
    "backbones": 1,
}
"""The version of the contract of each door."""

GROUP = re.compile(r"ptdiff\.([a-z]+)\.v(\d{1,6})")
"""The name of an entry-point group: door and version."""


@dataclass(frozen=True)
class Door:
    """A door, and what the objects behind it must be.

    ``name``: one of DOORS.
    ``kind``: a word for one object, in messages.
    ``base``: the class that it must derive from; None for any.
    ``methods``: attributes that it must have.
    ``options``: True for a dataclass, whose fields are its options; otherwise it must be callable.
    """

    name: str
    kind: str
    base: type | None = None
    methods: tuple[str, ...] = ()
    options: bool = True

    @property
    def group(self) -> str:
        """The entry-point group of this version."""
        return f"ptdiff.{self.name}.v{DOORS[self.name]}"
