"""Visualizers: how a modality turns samples into images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ptdiff.errors import Unsupported
from ptdiff.modality.overrides import check_overrides

if TYPE_CHECKING:
    from ptdiff.modality.types import Array, Image


class Visualizer(ABC):
    """Turns samples in world units into images: uint8 RGB arrays (height, width, 3).

    Only :meth:`sheet` is required.  A subclass with methods that do not fit these is refused with a PluginError.
    """

    many: ClassVar[int] = 20
    """The number of samples that fill an image well: a handful of shapes, thousands of points in the plane."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_overrides(cls, Visualizer, {})

    @abstractmethod
    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """One image of all ``samples`` (n, *shape), each under its title (``titles`` may be empty)."""

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """All ``samples`` (n, *shape) in an image of at most ``side`` pixels a side: a cell of a strip or a frame.

        Titles are not written, but may decide on colors.  Use one scale for all tiles, so that they can be compared.
        The default shrinks the sheet.
        """
        from ptdiff.pictures.files import fitted

        return fitted(self.sheet(samples, titles), side)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """Images of the samples turning once around the up axis."""
        raise Unsupported(f"{type(self).__name__} has no turntable: it does not draw in three dimensions")

    @property
    def plays(self) -> bool:
        """True if samples move in time, so that an animation of them is :meth:`play`: if a subclass defines that."""
        return type(self).play is not Visualizer.play

    def play(self, samples: Array, titles: Sequence[str]) -> list[Image]:
        """For samples (n, *shape) that move in time: one image of all of them for every moment."""
        raise Unsupported(f"{type(self).__name__} plays no samples: they do not move in time")

    @property
    def tints(self) -> tuple[str, ...]:
        """The names by which :meth:`tinted` colors samples; empty if there is only one way."""
        return ()

    def tinted(self, by: Any, labels: Sequence[int], /) -> Visualizer:
        """The same visualizer with samples colored by one of :attr:`tints`; labels: a class each, -1 for none."""
        raise Unsupported(f"{type(self).__name__} has one way to color its samples: leave out the color")

    def page(self, samples: Array, titles: Sequence[str], trajectory: Array | None = None) -> str:
        """An HTML page of samples (n, *shape), complete in itself.

        trajectory: the states (t, n, *shape) on the way to them, in world units.
        """
        raise Unsupported(f"{type(self).__name__} has no page: choose .png, or .gif where it moves")

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """Open a window that shows the samples."""
        raise Unsupported(f"{type(self).__name__} opens no window; write a file with --out instead")
