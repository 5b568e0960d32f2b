"""The plugin contract: a Modality brings one kind of data, its backbone and its pictures.

A modality is a frozen dataclass: its fields are its options (``-o key=value`` on the command line, validated by
pydantic), its methods build the parts.  It is found through the entry-point group ``ptdiff.modalities.v1``; first-party
plugins use the same door.  Keep the module that holds the class free of heavy imports: torch, torch-geometric, Open3D
and matplotlib belong inside the methods.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ptdiff.errors import Unsupported
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.types import Measurement, Mesh, Progress, TableWriter, Writer
from ptdiff.modality.visualizer import Visualizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.metrics import Score
    from ptdiff.modality.types import Array, Image


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
        cond: see :data:`ptdiff.modality.data.Condition`; a missing key and -1 both mean "not given".  A network that
        reads ``cond["estimate"]``, its own last estimate, says so by an attribute ``self_conditioning = True``.
        y: the shape of x, the raw prediction (:mod:`ptdiff.denoiser.network` turns it into E[x0|x])."""

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

    def gallery(self) -> Mapping[str, Callable[[Any], Image | list[Image]]]:
        """Pictures of a trained run that only this modality can draw, by name; a list of them is an animation.

        Each is called with a :class:`ptdiff.gallery.subject.Subject`.

        The first line of a function's docstring is what ``ptdiff gallery`` prints.
        """
        return {}

    def given(self, data: Data, part: Tensor, count: int) -> Condition | None:
        """The condition of ``count`` samples that complete ``part`` (m, …), world units; None where there is none."""
        return None
