"""Small types of the plugin contract: arrays, writers, meshes, scores, options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ptdiff.metrics import Score

    Array = npt.NDArray[np.float32]
    Image = npt.NDArray[np.uint8]

Writer = Callable[[Path, "Array"], None]
"""Writes one sample (world units, shape of one datum) to a path."""
TableWriter = Callable[[Path, "Array", Sequence[str]], None]
"""Writes samples (n, *shape) to a path, with the class of each ("" for none; empty without classes)."""


class Mesh(Protocol):
    """A surface made of one sample, in world units."""

    @property
    def watertight(self) -> bool:
        """Whether every edge joins two faces."""

    @property
    def components(self) -> int:
        """Parts that share no edge."""

    @property
    def faces(self) -> int:
        """How many triangles."""

    def save(self, path: Path) -> None:
        """Write it, as the suffix says: .glb, .obj, .stl or .ply."""


Progress = Callable[[int, int], None]
"""Called with (done, total) during long work."""


@dataclass(frozen=True)
class Measurement:
    """Scores by name, and what must be known to compare them with others': normalization, points, hashes, …"""

    scores: dict[str, Score]
    facts: Mapping[str, Any] = field(default_factory=dict)


def option(default: Any, text: str) -> Any:
    """A field of a modality with its default and the help text that the command line shows."""
    return field(default=default, metadata={"help": text})
