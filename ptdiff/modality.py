"""The plugin contract: a Modality brings one kind of data, its backbone and its pictures.

A modality is a frozen dataclass: its fields are its options (``-o key=value`` on the command line, validated by
pydantic), its methods build the parts.  It is found through the entry-point group ``ptdiff.modalities.v1``; first-party
plugins use the same door.  Keep the module that holds the class free of heavy imports: torch, torch-geometric, Open3D
and matplotlib belong inside the methods.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ptdiff.data import Condition, Data, Samples, TensorSamples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from ptdiff.gallery.subject import Subject
    from ptdiff.metrics import Score

    Array = npt.NDArray[np.float32]
    Image = npt.NDArray[np.uint8]

__all__ = [
    "Condition",
    "Data",
    "Measurement",
    "Mesh",
    "Modality",
    "Progress",
    "Samples",
    "TableWriter",
    "TensorSamples",
    "Unsupported",
    "Visualizer",
    "Writer",
    "option",
]

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


class Unsupported(RuntimeError):
    """Something this modality or this machine cannot do; the message says what to do instead."""


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
        from ptdiff.pictures import fitted

        return fitted(self.sheet(samples, titles), side)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """Pictures of the samples turning once around the up axis."""
        raise Unsupported(f"{type(self).__name__} has no turntable: it does not draw in three dimensions")

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """Open a window on the samples."""
        raise Unsupported(f"{type(self).__name__} opens no window; write a file with --out instead")


@dataclass(frozen=True)
class Modality(ABC):
    """One kind of data.  Subclass as a frozen dataclass; its fields are the options, its docstring the help text."""

    of_data: ClassVar[tuple[str, ...]] = ("data",)
    """Options that say what the data is; fine-tuning on other data takes all others from the run it begins with."""

    @abstractmethod
    def dataset(self) -> Data:
        """The data with its splits; raises OSError or ValueError when it cannot be read."""

    @abstractmethod
    def backbone(self, data: Data) -> nn.Module:
        """A network ``forward(x, angle, cond) -> y`` for samples of this data.

        x: (b, *data.shape), unit variance at every noise level.
        angle: (b,), the noise level as atan2(sigma, alpha) in [0, pi/2].
        cond: see :data:`ptdiff.data.Condition`; a missing key and -1 both mean "not given".  A network that reads
        ``cond["estimate"]``, its own last estimate, says so by an attribute ``self_conditioning = True``.
        y: the shape of x, the raw prediction (:mod:`ptdiff.denoiser` turns it into E[x0|x])."""

    @abstractmethod
    def visualizer(self) -> Visualizer:
        """What draws samples."""

    def recipe(self) -> Mapping[str, Any]:
        """Defaults of the run configuration that suit this modality (nested as in config.yaml)."""
        return {}

    @classmethod
    def recipes(cls) -> Mapping[str, Path]:
        """Configurations by name, for ``ptdiff train -c NAME``: files recipes/*.yaml beside the module of the class."""
        module = getattr(sys.modules[cls.__module__], "__file__", None)
        return {} if module is None else {path.stem: path for path in Path(module).parent.glob("recipes/*.yaml")}

    def metrics(
        self, samples: Tensor, reference: Tensor, training: Tensor, seed: int = 0, progress: Progress | None = None
    ) -> dict[str, Score]:
        """Compare ``samples`` with ``reference``, both (n, *shape) in world units, with intervals and floors.

        training: as many training samples as there are samples; their own distance to ``reference`` is the floor.
        progress: called with (done, total) by metrics that take long.
        The default suits any data: sliced Wasserstein and energy distances of the flattened samples.
        """
        from ptdiff.metrics import compare

        return compare(samples, reference, training, seed)

    @property
    def protocol(self) -> str:
        """The name of the way :meth:`metrics` measures, printed with every figure."""
        return "full-set"

    def protocols(self) -> Mapping[str, str]:
        """All ways to measure by name, a line about each; the first is the default, and :attr:`protocol` its name."""
        return {self.protocol: "held-out samples, all at once"}

    def require(self, protocol: str) -> None:  # noqa: B027 - most need nothing
        """Unsupported where this machine lacks what one of :meth:`protocols` needs: asked before samples are drawn."""

    def measure(
        self,
        protocol: str,
        samples: Tensor,
        reference: Tensor,
        training: Tensor,
        seed: int = 0,
        progress: Progress | None = None,
        cache: Path | None = None,
        labels: Tensor | None = None,
    ) -> Measurement:
        """:meth:`metrics` by one of :meth:`protocols`; ``cache`` is a folder for what an interrupted call has found.

        labels: (n,) int64, the class that each sample was asked to be of, -1 for none; None without classes.
        ValueError where the sets are not what the protocol asks for.
        """
        return Measurement(self.metrics(samples, reference, training, seed, progress))

    def nearest(self, samples: Tensor, others: Tensor, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
        """The distance of each sample (n, *shape) to the nearest of ``others`` (m, *shape), and which that is: (n,).

        In world units, and in the distance that suits the data; the default is the Euclidean one of flattened samples.
        """
        from ptdiff.metrics import nearest

        return nearest(samples, others, progress)

    @property
    def bin_width(self) -> float | None:
        """The step between values of quantised data in world units, 1 / 255 for bytes in [0, 1]; else None.

        Where there is one, likelihoods are those of values, not of densities.
        """
        return None

    def postprocess(self, samples: Tensor, data: Data | None = None) -> Tensor:
        """Last touch on generated samples in world units (clip to a pixel's range, say); ``data`` is the run's."""
        return samples

    def formats(self) -> Mapping[str, Writer]:
        """File formats for single samples beside npz: suffix without the dot to writer."""
        return {}

    def tables(self) -> Mapping[str, TableWriter]:
        """File formats that hold any number of samples, for small data: suffix without the dot to writer."""
        return {}

    def read(self, path: Path) -> Array:
        """One sample of world units from a file, as :meth:`formats` write them; OSError or ValueError for a bad one."""
        raise Unsupported(f"samples of {type(self).__name__} are read from .npz files alone, as 'ptdiff sample' writes")

    def meshing(self) -> Mapping[str, str]:
        """Ways to make surfaces of samples by name, a line about each; the first is the default of :meth:`mesh`."""
        return {}

    def mesh(self, sample: Array, method: str | None = None) -> Mesh:
        """The surface of one sample (world units) by one of :meth:`meshing`; ValueError where it has none."""
        raise Unsupported(f"{type(self).__name__} makes no surfaces of its samples")

    def gallery(self) -> Mapping[str, Callable[[Subject], Image | list[Image]]]:
        """Pictures of a trained run that only this modality can draw, by name; a list of them is an animation.

        The first line of a function's docstring is what ``ptdiff gallery`` prints.
        """
        return {}

    def given(self, data: Data, part: Tensor, count: int) -> Condition | None:
        """The condition of ``count`` samples that complete ``part`` (m, …), world units; None where there is none."""
        return None
