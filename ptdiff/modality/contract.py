"""The plugin contract: a Modality provides one kind of data, its backbone and its visualizer.

A modality is a frozen dataclass.  Its fields are its options (``-o key=value`` on the command line, validated by
pydantic), and its methods build the parts.  It is found through the entry-point group ``ptdiff.modalities.v1``, also
used by the plugins that ship with ptdiff.  Avoid heavy imports in the module of the class: import torch,
torch-geometric, Open3D and matplotlib inside the methods.  docs/write-a-modality.md lists everything on one page.
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
from ptdiff.modality.ragged import is_ragged
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
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from ptdiff.machine.engines import Engine
    from ptdiff.modality.types import Array, Image

_COMPARE = "since ptdiff 0.2.0 that is compare(comparison, protocol)"
RENAMED: Mapping[str, str] = {
    "measure": _COMPARE,
    "metrics": _COMPARE,
    "require": "since ptdiff 0.2.0 that is EvaluationProtocol(summary, require=...) in protocols()",
    "protocol": "since ptdiff 0.2.0 the default is the first entry of protocols()",
}
"""Names in the contract of ptdiff 0.1.0, refused until 0.3.0, each with its replacement."""


@dataclass(frozen=True)
class Modality(ABC):
    """One kind of data.  Subclass it as a frozen dataclass; fields are options, the docstring is the help text.

    :meth:`dataset`, :meth:`backbone` and :meth:`visualizer` are required, everything else has a default.  A subclass
    with methods of an older version, or with other parameters, is refused with a PluginError.
    """

    of_data: ClassVar[tuple[str, ...]] = ("data",)
    """Options that describe the data; fine-tuning on other data inherits all others from the first run."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_overrides(cls, Modality, RENAMED)

    @abstractmethod
    def dataset(self) -> Data:
        """Read the data with its splits; OSError or ValueError if it cannot be read."""

    @abstractmethod
    def backbone(self, data: Data) -> nn.Module:
        """Build a network ``forward(x, angle, cond) -> y`` for samples of this data.

        ``x``: (b, *data.shape), unit variance at every noise level.
        Sets of different sizes come with ``cond["mask"]``, bool (b, n): the padding of x is zero, that of y is ignored,
        and neither may change y elsewhere.
        ``angle``: (b,), the noise level as atan2(sigma, alpha) in [0, pi/2].
        ``cond``: see :data:`ptdiff.modality.data.Condition`; a missing key and -1 both mean "not given".  A network
        that reads ``cond["estimate"]``, its last estimate, needs an attribute ``self_conditioning = True``.
        ``y``: the shape of x, the raw prediction (:mod:`ptdiff.denoiser.network` converts it to E[x0|x])."""

    @abstractmethod
    def visualizer(self) -> Visualizer:
        """The object that turns samples into images."""

    def recipe(self) -> Mapping[str, Any]:
        """Defaults of the run configuration for this modality, nested as in config.yaml."""
        return {}

    @classmethod
    def recipes(cls) -> Mapping[str, Path]:
        """Configurations by name, for ``ptdiff train -c NAME``: recipes/*.yaml next to the module of the class."""
        module = getattr(sys.modules[cls.__module__], "__file__", None)
        return {} if module is None else {path.stem: path for path in Path(module).parent.glob("recipes/*.yaml")}

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """Evaluation protocols by name, for ``ptdiff eval --protocol``; the first is the default."""
        return {"full-set": EvaluationProtocol("held-out samples, all at once")}

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Compare generated samples with held-out ones: scores with intervals and floors.

        ``protocol``: one of :meth:`protocols`, the first if None.  The default suits any data: sliced Wasserstein,
        energy and kernel distances of the flattened samples; for sets of different sizes, the energy distance of
        :mod:`ptdiff.modality.set_distances` and the distance of their sizes.

        Raises UnknownName for an unknown protocol, and ValueError if the protocol does not apply to these samples, for
        example to too few of them.
        """
        from ptdiff.choices import one_of
        from ptdiff.metrics import compare

        one_of("protocol", protocol, self.protocols())
        sets = comparison
        if any(is_ragged(x) for x in (sets.samples, sets.reference, sets.training)):
            from ptdiff.modality.set_distances import compare_sets

            return Measurement(compare_sets(sets.samples, sets.reference, sets.training, sets.seed))
        return Measurement(compare(sets.samples, sets.reference, sets.training, sets.seed))

    def nearest(self, samples: Tensor, others: Tensor, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
        """The distance of each sample (n, *shape) to the nearest of ``others`` (m, *shape), and its index: (n,) each.

        In world units, by a distance that suits the data; default: the Euclidean distance of flattened samples, for
        sets of different sizes that of :mod:`ptdiff.modality.set_distances`.
        ``progress``: called with (done, total).
        """
        from ptdiff.metrics import nearest

        if is_ragged(samples) or is_ragged(others):
            from ptdiff.modality.set_distances import nearest_sets

            return nearest_sets(samples, others, progress)
        return nearest(samples, others, progress)

    @property
    def bin_width(self) -> float | None:
        """The step between values of quantized data in world units (1 / 255 for bytes in [0, 1]), or None.

        With a bin width, likelihoods are probabilities of values, not densities.
        """
        return None

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Clip or round generated samples (n, *shape) in world units to values that the data can have.

        Sets of different sizes come in groups of one size.

        ``data``: the data of the run, usually without its samples.
        """
        return samples

    def formats(self) -> Mapping[str, Writer]:
        """File formats for single samples in addition to npz: writers by suffix without dot."""
        return {}

    def tables(self) -> Mapping[str, TableWriter]:
        """File formats for any number of samples, for small data: writers by suffix without dot."""
        return {}

    def read(self, path: Path) -> npt.NDArray[np.floating]:
        """Read one sample, in world units, from a file in a format of :meth:`formats`; OSError or ValueError if bad."""
        raise Unsupported(f"samples of {type(self).__name__} can only be read from .npz files of 'ptdiff sample'")

    def as_of(self, data: Data) -> Self:
        """This modality as it was in the version that made a run; ``data``: the facts of that run, without samples.

        Called whenever a run is opened. Override it if a later version would read or split the same files differently,
        because training samples of a run must never become its held-out ones.
        """
        return self

    def suited(self, path: Path) -> Self:
        """This modality with the options that show all of a file that :meth:`read` reads, such as its colors.

        Called for files that belong to no run. The default is the modality as it is, even for a damaged file.
        """
        return self

    def frame(self, data: Data, sample: Array) -> tuple[npt.NDArray[np.floating] | float, float]:
        """The center and size that the run's normalization removes from a complete sample of a user's file.

        ``data``: the data of the run.  ``sample``: as returned by :meth:`read`.
        Returns ``center``, which broadcasts against one element, and ``size``, by which its first three numbers, the
        coordinates, are divided.  The default (0, 1) suits files in the run's units.
        """
        return 0.0, 1.0

    def meshing(self) -> Mapping[str, str]:
        """Meshing methods of :meth:`mesh` by name, with a line about each; the first is the default."""
        return {}

    def mesh(self, sample: Array, method: str | None = None) -> Mesh:
        """The surface of one sample in world units, by a method of :meth:`meshing`; ValueError if it has none."""
        raise Unsupported(f"{type(self).__name__} cannot turn its samples into meshes")

    def gallery(self) -> Mapping[str, Callable[[TrainedModel], Image | list[Image]]]:
        """Functions that plot a trained run, by name, for ``ptdiff gallery``; a list of images is an animation.

        ``ptdiff gallery`` prints the first line of a function's docstring.
        """
        return {}

    def given(self, data: Data, part: Tensor, count: int) -> Condition | None:
        """The condition for ``count`` samples that complete ``part`` (m, …) in world units; None if not supported."""
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
        engine: Engine | None = None,
    ) -> Mapping[str, Any]:
        """Convert a user's files to a folder ``target`` that loads fast, for ``ptdiff data import``.

        ``points``: number to sample from each mesh, and the most to keep of each cloud.
        ``replace``: overwrite an existing target.  ``together``: move duplicates in several splits into one of them.
        ``engine``: lets workers read the files; the result is the same, bit for bit.
        Returns JSON values, with a readable summary under ``text``.
        """
        raise Unsupported(f"{type(self).__name__} reads its data directly: use --data")

    def check_data(self, source: Path, *, progress: Progress | None = None) -> Mapping[str, Any]:
        """Check a user's files for faults, for ``ptdiff data check``.

        Returns JSON values, with a readable summary under ``text``, and ``ok``, False if anything is broken.
        """
        raise Unsupported(f"{type(self).__name__} reads its data directly: use --data")
