"""The plugin contract: a Modality brings one kind of data, its backbone and its visualizer.

A modality is a frozen dataclass: its fields are its options (``-o key=value`` on the command line, validated by
pydantic), its methods build the parts.  It is found through the entry-point group ``ptdiff.modalities.v1``; first-party
plugins use the same group.  Keep the module that holds the class free of heavy imports: torch, torch-geometric, Open3D
and matplotlib belong inside the methods.  docs/write-a-modality.md lists everything on one page.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ptdiff.errors import Unsupported
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.overrides import check_overrides
from ptdiff.modality.types import (
    Comparison,
    EvaluationProtocol,
    Measurement,
    Mesh,
    Progress,
    TableWriter,
    TrainedModel,
    Writer,
)
from ptdiff.modality.visualizer import Visualizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.modality.types import Array, Image

_COMPARE = "since ptdiff 0.2.0 that is compare(comparison, protocol)"
RENAMED: Mapping[str, str] = {
    "measure": _COMPARE,
    "metrics": _COMPARE,
    "require": "since ptdiff 0.2.0 that is EvaluationProtocol(summary, require=...) in protocols()",
    "protocol": "since ptdiff 0.2.0 the default is the first entry of protocols()",
}
"""Names of the contract of ptdiff 0.1.0, refused until 0.3.0, and what to write instead."""


@dataclass(frozen=True)
class Modality(ABC):
    """One kind of data.  Subclass it as a frozen dataclass: fields are the options, the docstring is the help text.

    :meth:`dataset`, :meth:`backbone` and :meth:`visualizer` are required, everything else has a default.  A subclass
    with methods of an older version, or with other parameters than here, is refused with a PluginError.
    """

    of_data: ClassVar[tuple[str, ...]] = ("data",)
    """The options that describe the data; fine-tuning on other data inherits all others from the first run."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_overrides(cls, Modality, RENAMED)

    @abstractmethod
    def dataset(self) -> Data:
        """The data with its splits; OSError or ValueError if it cannot be read."""

    @abstractmethod
    def backbone(self, data: Data) -> nn.Module:
        """A network ``forward(x, angle, cond) -> y`` for samples of this data.

        x: (b, *data.shape), unit variance at every noise level.
        angle: (b,), the noise level as atan2(sigma, alpha) in [0, pi/2].
        cond: see :data:`ptdiff.modality.data.Condition`; a missing key and -1 both mean "not given".  A network that
        reads ``cond["estimate"]``, its own last estimate, has an attribute ``self_conditioning = True``.
        y: the shape of x, the raw prediction (:mod:`ptdiff.denoiser.network` turns it into E[x0|x])."""

    @abstractmethod
    def visualizer(self) -> Visualizer:
        """The object that turns samples into images."""

    def recipe(self) -> Mapping[str, Any]:
        """Defaults of the run configuration that suit this modality (nested as in config.yaml)."""
        return {}

    @classmethod
    def recipes(cls) -> Mapping[str, Path]:
        """Configurations by name, for ``ptdiff train -c NAME``: recipes/*.yaml next to the module of the class."""
        module = getattr(sys.modules[cls.__module__], "__file__", None)
        return {} if module is None else {path.stem: path for path in Path(module).parent.glob("recipes/*.yaml")}

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """The ways to compare samples, by name, for ``ptdiff eval --protocol``; the first is the default."""
        return {"full-set": EvaluationProtocol("held-out samples, all at once")}

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Compare generated samples with held-out ones: scores with intervals and floors.

        protocol: one of :meth:`protocols`, the first if None; UnknownName for any other.
        ValueError if the protocol does not apply to these samples, such as too few of them.
        The default suits any data: sliced Wasserstein, energy and kernel distances of the flattened samples.
        """
        from ptdiff.choices import one_of
        from ptdiff.metrics import compare

        one_of("protocol", protocol, self.protocols())
        sets = comparison
        return Measurement(compare(sets.samples, sets.reference, sets.training, sets.seed))

    def nearest(self, samples: Tensor, others: Tensor, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
        """The distance of each sample (n, *shape) to the nearest of ``others`` (m, *shape), and its index: (n,) each.

        In world units, by the distance that suits the data; the default is the Euclidean one of flattened samples.
        """
        from ptdiff.metrics import nearest

        return nearest(samples, others, progress)

    @property
    def bin_width(self) -> float | None:
        """The step between values of quantized data in world units (1 / 255 for bytes in [0, 1]), or None.

        With a bin width, likelihoods are probabilities of values, not densities.
        """
        return None

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Generated samples (n, *shape) in world units, clipped or rounded to what the data can be.

        data: the run's facts, usually without the samples themselves.
        """
        return samples

    def formats(self) -> Mapping[str, Writer]:
        """File formats for single samples in addition to npz: suffix without the dot to writer."""
        return {}

    def tables(self) -> Mapping[str, TableWriter]:
        """File formats that hold any number of samples, for small data: suffix without the dot to writer."""
        return {}

    def read(self, path: Path) -> Array:
        """One sample in world units from a file in one of :meth:`formats`; OSError or ValueError for a bad file."""
        raise Unsupported(f"samples of {type(self).__name__} are read from .npz files alone, as 'ptdiff sample' writes")

    def as_of(self, data: Data) -> Self:
        """This modality as the version of a run knew it, of which ``data`` holds the facts but no samples.

        Called whenever a run is opened. Override it where a later version would read or split the same files otherwise:
        training samples of a run must never become its held-out ones.
        """
        return self

    def suited(self, path: Path) -> Self:
        """This modality with the options that show all of a file that :meth:`read` reads, such as its colors.

        Called for files that belong to no run. The default is the modality as it is, also for a file that is bad.
        """
        return self

    def frame(self, data: Data, sample: Array) -> tuple[Array | float, float]:
        """The center and the size that the run's normalization takes off a complete sample of a user's file.

        data: the run's.  sample: as :meth:`read` returns it.  center: broadcasts against one element.  size: divides
        its first three numbers, the coordinates.  The default (0, 1) suits files in the run's units.
        """
        return 0.0, 1.0

    def meshing(self) -> Mapping[str, str]:
        """The methods of :meth:`mesh` by name, with a line about each; the first is the default."""
        return {}

    def mesh(self, sample: Array, method: str | None = None) -> Mesh:
        """The surface of one sample (world units) by one of :meth:`meshing`; ValueError if it has none."""
        raise Unsupported(f"{type(self).__name__} makes no surfaces of its samples")

    def gallery(self) -> Mapping[str, Callable[[TrainedModel], Image | list[Image]]]:
        """Functions by name that plot a trained run, for ``ptdiff gallery``; a list of images is an animation.

        The first line of a function's docstring is what ``ptdiff gallery`` prints.
        """
        return {}

    def given(self, data: Data, part: Tensor, count: int) -> Condition | None:
        """The condition for ``count`` samples that complete ``part`` (m, …), world units; None if there is none."""
        return None

    def import_data(
        self,
        source: Path,
        target: Path,
        *,
        points: int,
        replace: bool,
        together: bool = False,
        progress: Progress | None = None,
    ) -> Mapping[str, Any]:
        """Convert a user's files to a folder ``target`` that is quick to read, for ``ptdiff data import``.

        points: sampled from each mesh, and at most kept of each cloud.  replace: overwrite an earlier target.
        together: move duplicates in several splits into one of them.
        Returns JSON values, with a summary for people under ``text``.
        """
        raise Unsupported(f"{type(self).__name__} reads its data as it is: give it to --data directly")

    def check_data(self, source: Path, *, progress: Progress | None = None) -> Mapping[str, Any]:
        """Look for faults in a user's files, for ``ptdiff data check``.

        Returns JSON values, with a summary for people under ``text``, and ``ok``, False if anything is broken.
        """
        raise Unsupported(f"{type(self).__name__} reads its data as it is: give it to --data directly")
