"""Visualizers, which turn samples into images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ptdiff.errors import Unsupported
from ptdiff.modality.overrides import check_overrides

if TYPE_CHECKING:
    from ptdiff.modality.types import Array, Image
    from ptdiff.pictures.media import Media


class Visualizer(ABC):
    """Turns samples in world units into images: uint8 RGB arrays (height, width, 3).

    Only :meth:`sheet` is required.  A subclass with methods that do not match these is refused with a PluginError.
    """

    many: ClassVar[int] = 20
    """The number of samples that fill an image: a few shapes, or thousands of points in the plane."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_overrides(cls, Visualizer, {})

    @abstractmethod
    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """One image of all ``samples`` (n, *shape), each with its title; ``titles`` may be empty.

        Sets of different sizes are an object array (n,) of arrays, each with the elements of one set.
        """

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """One image of all ``samples`` (n, *shape), at most ``side`` pixels wide and high, for strips and frames.

        Titles are not written, but may determine colors.  Use the same scale for all tiles, to make them comparable.
        The default shrinks the sheet.
        """
        from ptdiff.pictures.files import fitted

        return fitted(self.sheet(samples, titles), side)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """``frames`` images of the samples, rotated once around the up axis."""
        raise Unsupported(
            f"{type(self).__name__} has no turntable, because it does not plot in 3-D: leave out the turntable"
        )

    @property
    def plays(self) -> bool:
        """True if samples move in time, so that :meth:`play` animates them; that is, if a subclass defines it."""
        return type(self).play is not Visualizer.play

    def play(self, samples: Array, titles: Sequence[str]) -> list[Image]:
        """One image of all samples (n, *shape) for each moment, for samples that move in time."""
        raise Unsupported(f"{type(self).__name__} cannot play samples, because they do not move in time")

    @property
    def tints(self) -> tuple[str, ...]:
        """The names of colorings for :meth:`tinted`; empty if there is only one."""
        return ()

    def tinted(self, by: Any, labels: Sequence[int], /) -> Visualizer:
        """The same visualizer with samples colored by one of :attr:`tints`.

        ``labels``: the class of each sample, -1 for none.
        """
        raise Unsupported(f"{type(self).__name__} has only one coloring: leave out the color")

    @property
    def has_media(self) -> bool:
        """True if samples can be heard or played as films; that is, if a subclass defines :meth:`media`."""
        return type(self).media is not Visualizer.media

    def media(self, sample: Array) -> Media:
        """Sound or film of one sample (*shape), for players on pages and reports."""
        raise Unsupported(f"{type(self).__name__} has neither sound nor film")

    def page(self, samples: Array, titles: Sequence[str], trajectory: Array | None = None) -> str:
        """A self-contained HTML page of samples (n, *shape).

        ``trajectory``: the states (t, n, *shape) from noise to the samples, in world units.

        The default has a player for each sample with its image, if there is :meth:`media`.
        """
        if not self.has_media:
            raise Unsupported(f"{type(self).__name__} has no HTML page: choose .png or .gif")
        from ptdiff.pictures.media import media_page

        images = [self.sheet(samples[i : i + 1], []) for i in range(len(samples))]
        return media_page([self.media(sample) for sample in samples], titles, images)

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """Open a window that shows the samples."""
        raise Unsupported(f"{type(self).__name__} cannot open a window: write a file with --out instead")
