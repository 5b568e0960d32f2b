"""Data: what a model must know about its data, and where the samples come from.

World units are those of the data as its modality hands it out (of the files, unless it says otherwise); model units
have mean zero and unit variance (``sigma_data`` = 1 by contract):

    z = (x - mean) / scale

``mean`` and ``scale`` are measured once on the training samples and kept with the run, so that samples, pictures and
metrics get world units back.  A sample source returns a batch as a pure function of (ids, seed): sources never draw
from global random state, which is what makes a run resumable to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ptdiff.errors import check_format

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 2
"""The format of data.json; files without a number are of format 1 (ptdiff 0.1), which is read the same way."""

Condition = Mapping[str, "Tensor"]
"""What a sample is conditioned on: name to tensor, first axis the batch.  The empty mapping means unconditional, and
an entry of -1 in an integer tensor (a class label, say) means "not given" for that sample.

    label      int64 (b,), the class
    augment    float (b, k), how a sample was augmented; zeros, and absence, are a sample as it is
    estimate   float (b, *shape), model units, the denoiser's own last estimate of x_0, for networks that read it
               (ptdiff.denoiser.self_conditioning); zeros, and absence, mean that there is none
    code       float (b, k), a code of the whole sample, for networks that are told one (ptdiff.denoiser.latent_code)

Modalities add names of their own.  Estimate and code are of the trajectory itself, not what it is to lead to."""


def unconditional(cond: Condition) -> Condition:
    """What of ``cond`` stays where nothing is given: the estimate and the code."""
    return {name: cond[name] for name in ("estimate", "code") if name in cond}


Broadcast = float | tuple[Any, ...]
"""A number, or nested tuples of numbers that broadcast against one datum."""


class Samples(Protocol):
    """A split of a data set: ``len`` samples, addressed by id."""

    def __len__(self) -> int: ...

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Samples ``ids`` (int64, (b,)) in world units, float32 (b, *shape), and their conditions.

        A pure function of its arguments: row i depends on ``ids[i]`` and ``seed`` alone.  ``seed`` addresses what is
        drawn anew each time (points of a surface, augmentation); a fixed data set ignores it.
        """
        ...


@dataclass(frozen=True)
class Data:
    """One kind of data: the shape of a datum, its classes and scale, and its splits.

    shape: of one datum, without the batch axis.
    classes: names of the labels 0, 1, …; empty when unlabelled.
    mean, scale: world units of the model's zero and one; broadcast against ``shape``.
    unordered: the first axis counts the elements of a set, whose number may differ when sampling.
    train, val: the samples; None where the files are not at hand (a run opened on another machine).
    summary: what was read, for people and for the run folder (JSON values).
    spread: standard deviation along the data's widest direction, in model units; 1 where nobody measured it.  Noise
    must drown this, not the unit variance of a single number: see :func:`ptdiff.process.check_reach`.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    mean: Broadcast = 0.0
    scale: Broadcast = 1.0
    unordered: bool = False
    train: Samples | None = None
    val: Samples | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    spread: float = 1.0

    def normalize(self, x: Tensor) -> Tensor:
        """World units to model units."""
        mean, scale = self._constants(x)
        return (x - mean) / scale

    def world(self, z: Tensor) -> Tensor:
        """Model units to world units."""
        mean, scale = self._constants(z)
        return z * scale + mean

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        def constant(value: Broadcast) -> Tensor:
            return torch.tensor(value, dtype=like.dtype, device=like.device)

        return constant(self.mean), constant(self.scale)

    def measured(self, *, keep: tuple[int, ...] = (), limit: int = 4096) -> Data:
        """The same data with ``mean``, ``scale`` and ``spread`` measured on up to ``limit`` training samples.

        keep: axes of one datum (negative numbers count from the end) along which the mean is kept apart: (-1,) for the
        coordinates of points, (-3,) for the channels of images.  The scale is one number, so that no axis is distorted.
        """
        import torch

        if self.train is None or len(self.train) == 0:
            raise ValueError("cannot measure data without training samples")
        count = min(limit, len(self.train))
        # in float64, because float32 does not count beyond 2^24
        ids = torch.linspace(0, len(self.train) - 1, count, dtype=torch.float64).round().long()
        x = self.train.batch(ids, seed=0)[0].double()
        rank = len(self.shape)
        if not all(-rank <= axis < rank for axis in keep):
            raise ValueError(f"a datum of shape {self.shape} does not have all of the axes {keep}")
        axes = [axis for axis in range(-rank, 0) if axis not in keep and axis + rank not in keep]
        mean = x.mean(dim=[0, *axes], keepdim=True)[0]
        scale = float((x - mean).square().mean().sqrt())
        if not scale > 0 or not torch.isfinite(mean).all():
            raise ValueError(f"the data has no spread or is not finite (scale {scale})")
        spread = _spread((x - mean) / scale, self.unordered)
        mean = mean.reshape(mean.shape[next((i for i, n in enumerate(mean.shape) if n > 1), mean.ndim - 1) :])
        return replace(self, mean=_nested(mean.tolist()), scale=scale, spread=spread)

    def facts(self) -> dict[str, Any]:
        """All but the samples, as JSON values; :func:`from_facts` reads it back."""
        return {
            "format": FORMAT,
            "shape": list(self.shape),
            "classes": list(self.classes),
            "mean": self.mean,
            "scale": self.scale,
            "spread": self.spread,
            "unordered": self.unordered,
            "samples": {name: len(s) for name, s in (("train", self.train), ("val", self.val)) if s is not None},
            "summary": dict(self.summary),
        }

    @staticmethod
    def from_facts(facts: Mapping[str, Any]) -> Data:
        """Data without samples, from :meth:`facts`; ValueError for facts of a newer format."""
        if not isinstance(facts, Mapping):
            raise TypeError(f"it holds no mapping but {type(facts).__name__}")
        check_format(facts.get("format", 1), FORMAT, "data.json")
        return Data(
            shape=tuple(int(n) for n in facts["shape"]),
            classes=tuple(str(name) for name in facts["classes"]),
            mean=_nested(facts["mean"]),
            scale=_nested(facts["scale"]),
            unordered=bool(facts["unordered"]),
            summary=facts.get("summary", {}),
            spread=float(facts.get("spread", 1.0)),
        )


def _nested(value: Any) -> Any:
    return tuple(_nested(v) for v in value) if isinstance(value, (list, tuple)) else float(value)


def _spread(z: Tensor, unordered: bool, limit: int = 512) -> float:
    """Largest principal standard deviation of up to ``limit`` of the data z (n, *shape), float64; at least 1.

    The order of a set's elements says nothing.  Over all orders the covariance has two kinds of principal directions:
    all N elements move together, with N times the covariance of their mean, or one moves against another, with hardly
    more than the covariance of a single element.  So a set is as wide as the wider of the two.
    """
    import torch

    # drawn, for samples often come in turn
    z = z[torch.randperm(len(z), generator=torch.Generator().manual_seed(0))[:limit]]
    if unordered:
        together = z.mean(dim=1) * z.shape[1] ** 0.5
        return max(1.0, _widest(together.reshape(len(z), -1)), _widest(z.reshape(len(z) * z.shape[1], -1)))
    return max(1.0, _widest(z.reshape(len(z), -1)))


def _widest(rows: Tensor, iterations: int = 30) -> float:
    """Standard deviation of rows (n, d) along their first principal direction, by power iteration; 0 below four rows.

    The direction is found on one half and measured on the other, both ways round: along its own direction the noise of
    n rows would look up to 1 + sqrt(d / n) times as wide as it is (Marchenko and Pastur 1967).
    """
    if len(rows) < 4:
        return 0.0
    halves = [half - half.mean(dim=0) for half in (rows[::2], rows[1::2])]
    variance = 0.0
    for here, there in (halves, halves[::-1]):
        direction = here[here.square().sum(dim=1).argmax()]
        for _ in range(iterations):
            size = float(direction.norm())
            if size == 0:
                return 0.0
            direction = here.T @ (here @ (direction / size))
        along = there @ (direction / direction.norm())
        variance += float(along.square().sum()) / (len(along) - 1) / 2
    return math.sqrt(variance)


def unaugmented(samples: Samples) -> Samples:
    """Samples as they are, for comparisons: those that an augmenting source holds as ``plain``, else the same."""
    plain: Samples = getattr(samples, "plain", samples)
    return plain


class TensorSamples:
    """A split held in memory: ``x`` (n, *shape) in world units, ``label`` (n,) int64 or None."""

    def __init__(self, x: Tensor, label: Tensor | None = None) -> None:
        if label is not None and len(label) != len(x):
            raise ValueError(f"{len(x)} samples but {len(label)} labels")
        self.x = x
        self.label = label

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Rows ``ids``; the seed addresses nothing here."""
        return self.x[ids], {} if self.label is None else {"label": self.label[ids]}
