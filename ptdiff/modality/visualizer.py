"""Visualizers: how a modality turns samples into images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ptdiff.errors import Unsupported

if TYPE_CHECKING:
    from ptdiff.modality.types import Array, Image


class Visualizer(ABC):
    """Turns samples in world units into pictures: uint8 RGB arrays (height, width, 3).

    ``many`` samples fill a picture well: a handful of shapes, thousands of points in the plane."""

    many: ClassVar[int] = 20

    @abstractmethod
    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """One picture of all ``samples`` (n, *shape), each under its title (``titles`` may be empty)."""

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """All ``samples`` (n, *shape) within ``side`` pixels square: a cell of a strip, a frame of a film.

        Titles are not written; they may color.  Tiles of one visualizer have one scale, so that they can be compared.
        """
        from ptdiff.pictures.files import fitted

        return fitted(self.sheet(samples, titles), side)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """Pictures of the samples turning once around the up axis."""
        raise Unsupported(f"{type(self).__name__} has no turntable: it does not draw in three dimensions")

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """Open a window on the samples."""
        raise Unsupported(f"{type(self).__name__} opens no window; write a file with --out instead")
