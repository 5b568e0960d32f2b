"""Small types of the plugin contract: arrays, writers, meshes, comparisons, options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from ptdiff.metrics import Score
    from ptdiff.modality.data import Condition, Data

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
        """True if every edge joins two faces."""

    @property
    def components(self) -> int:
        """The number of parts that share no edge."""

    @property
    def faces(self) -> int:
        """The number of triangles."""

    def save(self, path: Path | str) -> None:
        """Write it in the format of the suffix: .glb, .obj, .stl or .ply."""


Progress = Callable[[int, int], None]
"""Called with (done, total) during long work."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Generated samples and what they are compared with, all in world units.

    samples: (n, *shape), generated; their number of elements may differ from the others' if the data is unordered.
    reference: (m, *shape), samples of the held-out data.
    training: (k, *shape), training samples; their own distance to ``reference`` is the floor of every score.
    labels: (n,) int64, the class that each sample was generated for, -1 for none; None without classes.
    seed: of the bootstrap intervals and of whatever else the metrics draw.
    progress: called with (done, total) by metrics that take long.
    cache: a folder in which metrics may keep what an interrupted comparison has computed; None for no such folder.
    device: of metrics that use a GPU, by name, see :func:`ptdiff.machine.host.device`; the tensors are on the CPU.
    """

    samples: Tensor
    reference: Tensor
    training: Tensor
    labels: Tensor | None = None
    seed: int = 0
    progress: Progress | None = None
    cache: Path | None = None
    device: str = "auto"


def _nothing() -> None:
    """Require nothing."""


@dataclass(frozen=True)
class EvaluationProtocol:
    """One of the ways in which a modality compares samples.

    summary: one line about it, printed with the scores.
    require: called before anything is sampled; raises Unsupported if this machine lacks something that it needs.
    """

    summary: str
    require: Callable[[], object] = field(default=_nothing, kw_only=True)


@dataclass(frozen=True)
class Measurement:
    """Scores by name, and the facts one must know to compare them with others': normalization, points, hashes, …"""

    scores: dict[str, Score]
    facts: Mapping[str, Any] = field(default_factory=dict)


class TrainedModel(Protocol):
    """A trained run as the functions of :meth:`ptdiff.modality.contract.Modality.gallery` see it.

    The core's :class:`ptdiff.gallery.scene.Scene` is one.  Sample i depends on the plan's seed and on i alone.
    """

    @property
    def modality(self) -> Any:
        """The modality itself, with the options of the run."""

    @property
    def data(self) -> Data:
        """The data; its splits are None if the files could not be read."""

    @property
    def denoiser(self) -> Any:
        """A :class:`ptdiff.denoiser.network.Denoiser` in evaluation mode, on :attr:`device`: (x, level, cond) to x0."""

    @property
    def plan(self) -> Any:
        """The :class:`ptdiff.sampling.sampler.Plan` (process, solver, steps, guidance, …); vary it with ``replace``."""

    @property
    def device(self) -> torch.device:
        """The device of the denoiser."""

    @property
    def seed(self) -> int:
        """The seed of samples and noise."""

    @property
    def count(self) -> int | None:
        """The number of samples that the user asked for; None leaves it to the function."""

    def ids(self, count: int) -> Tensor:
        """The ids of the first ``count`` samples, (count,) int64."""

    def labels(self, ids: Tensor) -> Condition:
        """Each class in turn; the empty mapping for data without classes."""

    def training(self, count: int) -> tuple[Tensor, Condition]:
        """Up to ``count`` random training samples in model units, (n, *shape), and their conditions.

        Unsupported if the training data could not be read.
        """

    def states(self, ids: Tensor, cond: Condition, plan: Any = None, /) -> Iterator[Any]:
        """The :class:`ptdiff.solvers.State` of samples ``ids`` at every step, from noise to data, in model units."""

    def samples(self, ids: Tensor, cond: Condition, plan: Any = None, /) -> Tensor:
        """Samples ``ids`` in world units, (b, *shape)."""

    def needs_means(self) -> None:
        """Raise Unsupported if the denoiser's estimates are samples (consistency models), not means E[x0 | x]."""


def option(default: Any, text: str) -> Any:
    """A field of a modality with its default and the help text that the command line shows."""
    return field(default=default, metadata={"help": text})
