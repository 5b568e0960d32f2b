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

    from ptdiff.machine.engines import Engine
    from ptdiff.metrics import Score
    from ptdiff.modality.data import Condition, Data

    Array = npt.NDArray[np.float32]
    Image = npt.NDArray[np.uint8]

Writer = Callable[[Path, "Array"], None]
"""Writes one sample (*shape) in world units to a path."""
TableWriter = Callable[[Path, "Array", Sequence[str]], None]
"""Writes samples (n, *shape) to a path, with the class of each ("" for none; empty without classes)."""


class Mesh(Protocol):
    """A surface of one sample, in world units."""

    @property
    def watertight(self) -> bool:
        """True if every edge joins two faces."""

    @property
    def components(self) -> int:
        """The number of connected components, which share no edge."""

    @property
    def faces(self) -> int:
        """The number of triangles."""

    def save(self, path: Path | str) -> None:
        """Write the mesh in the format of the suffix: .glb, .obj, .stl or .ply."""


Progress = Callable[[int, int], None]
"""Called with (done, total) during long work."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Generated samples and the samples for comparison, all in world units.

    Sets of different sizes are padded with NaN (:mod:`ptdiff.modality.ragged`).

    ``samples``: (n, *shape), generated; sets may have another number of elements than the others.
    ``reference``: (m, *shape), held-out samples.
    ``training``: (k, *shape), training samples; the floor of a score is its value for them in place of ``samples``.
    ``labels``: (n,) int64, the class for which each sample was generated, -1 for none; None without classes.
    ``seed``: of the bootstrap intervals and all other random numbers of the metrics.
    ``progress``: called with (done, total) by slow metrics.
    ``cache``: folder for intermediate results, with which an interrupted comparison continues; None for no folder.
    ``device``: of metrics that use a GPU, by name, see :func:`ptdiff.machine.host.device`; the tensors are on the CPU.
    ``engine``: lets workers compute slow metrics, with intermediate results in ``cache``; None for this process.
    ``conditions``: for which each sample was generated, by name, (n, …) each: those of the reference sample.
    """

    samples: Tensor
    reference: Tensor
    training: Tensor
    labels: Tensor | None = None
    seed: int = 0
    progress: Progress | None = None
    cache: Path | None = None
    device: str = "auto"
    engine: Engine | None = None
    conditions: Condition = field(default_factory=dict)


def _nothing() -> None:
    """Require nothing."""


@dataclass(frozen=True)
class EvaluationProtocol:
    """A way to compare samples of a modality.

    ``summary``: one line about it, printed with the scores.
    ``require``: called before sampling; raises Unsupported if this machine lacks a requirement.
    """

    summary: str
    require: Callable[[], object] = field(default=_nothing, kw_only=True)


@dataclass(frozen=True)
class Measurement:
    """Scores by name, and the facts needed to compare them with other scores: normalization, points, hashes, …"""

    scores: dict[str, Score]
    facts: Mapping[str, Any] = field(default_factory=dict)


class TrainedModel(Protocol):
    """A trained run, as passed to the functions of :meth:`ptdiff.modality.contract.Modality.gallery`.

    :class:`ptdiff.gallery.scene.Scene` implements it.  Sample i depends only on i and on the seed of the plan.
    """

    @property
    def modality(self) -> Any:
        """The modality with the options of the run."""

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
        """The number of samples requested by the user; None lets the function choose."""

    def ids(self, count: int) -> Tensor:
        """The ids of the first ``count`` samples, (count,) int64."""

    def labels(self, ids: Tensor) -> Condition:
        """The condition with each class in turn; empty for data without classes."""

    def training(self, count: int) -> tuple[Tensor, Condition]:
        """Up to ``count`` random training samples in model units, (n, *shape), and their condition.

        Raises Unsupported if the training data could not be read.
        """

    def states(self, ids: Tensor, cond: Condition, plan: Any = None, /) -> Iterator[Any]:
        """The :class:`ptdiff.solvers.State` of samples ``ids`` at every step, from noise to data, in model units."""

    def samples(self, ids: Tensor, cond: Condition, plan: Any = None, /) -> Tensor:
        """Samples ``ids`` in world units, (b, *shape)."""

    def needs_means(self) -> None:
        """Raise Unsupported if the denoiser's estimates are samples (consistency models), not means E[x0 | x]."""


def option(default: Any, text: str, *, least: float | None = None, most: float | None = None) -> Any:
    """A field of a modality with its default and its help text on the command line.

    ``least``, ``most``: the range of a number, or of each number in a tuple; other values are refused when a
    configuration is read, before anything is built.
    """
    return field(default=default, metadata={"help": text, "least": least, "most": most})
