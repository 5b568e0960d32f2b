"""Data: facts about the data that a model needs, and sources of samples.

World units are those in which the modality provides the data (normally those of the files); model units have mean zero
and unit variance (``sigma_data`` = 1 by contract):

    z = (x - mean) / scale

``mean`` and ``scale`` are measured once on the training samples and stored with the run, so that samples, images and
metrics are in world units.  A sample source returns a batch as a pure function of (ids, seed).  It never uses global
random state, so a resumed run is the same, bit for bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from ptdiff.errors import check_format
from ptdiff.modality.conditions import Category, Kind, Number, check_names, from_facts, to_facts

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, WITH_ORIGIN, PLAIN = 4, 3, 2
"""Format of data.json; files without a number have format 1 (ptdiff 0.1) and are read the same way.

Format 4 has ``conditions`` or ``sizes``, format 3 an ``origin``. Data without them is written in an earlier format,
which earlier versions read too.
"""

MOST_AXES, MOST_NUMBERS = 8, 1 << 30
"""Largest number of axes and of numbers in one sample: the largest images and clouds have some ten million numbers, and
a network needs many times the memory of a sample."""

Condition = Mapping[str, "Tensor"]
"""Conditions of a batch: tensors by name, with the batch as the first axis.  The empty mapping means unconditional.  An
entry of -1 in an integer tensor such as a class label, and NaN in a declared number or vector
(:attr:`Data.conditions`), mean "not given" for that sample.

    label      int64 (b,), the class
    augment    float (b, k), parameters of the augmentation; absent or zero for a sample without augmentation
    mask       bool (b, n), the elements of sets of different sizes (ptdiff.modality.ragged); absent if all have n
    estimate   float (b, *shape), model units, the denoiser's own last estimate of x_0, for networks that read it
               (ptdiff.denoiser.self_conditioning); absent or zero if there is none
    code       float (b, k), a latent code of the sample, for networks that read one (ptdiff.denoiser.latent_code)

Data declares further ones (:mod:`ptdiff.modality.conditions`).  Estimate and code belong to the trajectory and the
mask to the shape; they do not specify the desired sample."""


def unconditional(cond: Condition) -> Condition:
    """The entries of ``cond`` that an unconditional call keeps: all that is no property of the data."""
    return {name: cond[name] for name in ("estimate", "code", "mask", "to") if name in cond}


Broadcast = float | tuple[Any, ...]
"""A number or nested tuples of numbers that broadcast against one datum."""


class Split(Protocol):
    """A split of a data set: ``len(samples)`` samples with the ids 0, 1, …"""

    def __len__(self) -> int: ...

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Samples ``ids``, int64 (b,), in world units, float32 (b, *shape), and their conditions.

        A pure function of its arguments: row i depends only on ``ids[i]`` and ``seed``.  ``seed`` determines what is
        random in a sample (points on a surface, augmentation); a fixed data set ignores it.
        """
        ...


@dataclass(frozen=True)
class Data:
    """The data of a model: shape, classes, scale and splits.

    ``shape``: of one datum, without the batch axis.
    ``classes``: names of the labels 0, 1, …; empty for unlabeled data.
    ``mean``, ``scale``: of the data in world units; they broadcast against ``shape``.
    ``unordered``: the first axis indexes the elements of a set, whose number may differ in sampling.
    ``train``, ``val``: the splits; None if the files are not available (a run opened on another machine).
    ``summary``: facts about the files, as JSON values, for display and for the run folder.
    ``spread``: standard deviation along the widest direction of the data, in model units; 1 if it was not measured.
    The noise must exceed this, not the unit variance of a single element: see :func:`ptdiff.process.check_reach`.
    ``origin``: what was subtracted from the numbers of the files, in float64, before they became float32: one number
    for each entry of the last axis, () for nothing. World units lack it; files of samples have it again.
    ``conditions``: further conditions of a sample by name, besides its class: :class:`~ptdiff.modality.Number`,
    :class:`~ptdiff.modality.Vector` or :class:`~ptdiff.modality.Category`.  Batches hold a tensor for each.
    ``sizes``: for sets of different sizes, which have at most ``shape[0]`` elements, rows of a number of elements, a
    class (-1 for none) and the number of training samples with both; () for samples of one shape.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    mean: Broadcast = 0.0
    scale: Broadcast = 1.0
    unordered: bool = False
    train: Split | None = None
    val: Split | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    spread: float = 1.0
    origin: tuple[float, ...] = ()
    conditions: Mapping[str, Kind] = field(default_factory=dict)
    sizes: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        check_names(self.conditions)

    @property
    def declared(self) -> Mapping[str, Kind]:
        """All conditions that can be asked for by name: the class as ``label``, and ``conditions``."""
        label = {"label": Category(self.classes)} if self.classes else {}
        return {**label, **self.conditions}

    @property
    def counted(self) -> str | None:
        """The name of the condition that is the number of elements of a set, a Number with ``counts``; None without."""
        return next((name for name, kind in self.conditions.items() if isinstance(kind, Number) and kind.counts), None)

    def normalize(self, x: Tensor) -> Tensor:
        """Convert ``x`` (b, *shape) from world units to model units: (x - mean) / scale."""
        mean, scale = self._constants(x)
        return (x - mean) / scale

    def world(self, z: Tensor) -> Tensor:
        """Convert ``z`` (b, *shape) from model units to world units: z scale + mean."""
        mean, scale = self._constants(z)
        return z * scale + mean

    def _constants(self, like: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        def constant(value: Broadcast) -> Tensor:
            return torch.tensor(value, dtype=like.dtype, device=like.device)

        return constant(self.mean), constant(self.scale)

    def measured(self, *, keep: tuple[int, ...] = (), groups: tuple[int, ...] = (), limit: int = 4096) -> Data:
        """The same data with ``mean``, ``scale`` and ``spread`` measured on up to ``limit`` training samples.

        So are the mean, scale and range of numbers and vectors in ``conditions``, and the ``sizes`` of sets whose
        batches have a mask; their padding counts for nothing.

        ``keep``: axes of one datum along which the mean is not averaged; negative numbers count from the end: (-1,) for
        the coordinates of points, (-3,) for the channels of images.
        ``groups``: numbers of neighboring entries of the last axis that share a scale: (3, 1) for positions and a
        charge, (1, 1, 1) for three unrelated columns.  Default: all share one, so axes are not distorted.

        Raises ValueError without training samples, for an axis out of range, for groups that do not add up to the last
        axis, and if the data, or one group of it, is constant or not finite.
        """
        import torch

        if self.train is None or len(self.train) == 0:
            raise ValueError("cannot measure data without training samples")
        count = min(limit, len(self.train))
        # in float64, because float32 cannot represent all integers above 2^24
        ids = torch.linspace(0, len(self.train) - 1, count, dtype=torch.float64).round().long()
        x, cond = self.train.batch(ids, seed=0)
        x = x.double()
        rank = len(self.shape)
        if not all(-rank <= axis < rank for axis in keep):
            raise ValueError(f"axes {keep} must exist in a datum of shape {self.shape}")
        if groups and (min(groups) < 1 or sum(groups) != (self.shape or (0,))[-1]):
            raise ValueError(f"groups {groups} must add up to the last axis of a datum of shape {self.shape}")
        axes = [axis for axis in range(-rank, 0) if axis not in keep and axis + rank not in keep]
        if "mask" in cond:
            return self._measured_sets(x, cond, axes, groups)
        if self.counted is not None:
            raise ValueError(
                f"condition {self.counted} counts elements, but batches have no mask: all sets have the same size"
            )
        mean = x.mean(dim=[0, *axes], keepdim=True)[0]
        scale = _scale(x - mean, groups)
        spread = _spread((x - mean) / scale, self.unordered)
        mean = mean.reshape(mean.shape[next((i for i, n in enumerate(mean.shape) if n > 1), mean.ndim - 1) :])
        return replace(
            self,
            mean=_nested(mean.tolist()),
            scale=_nested(scale.tolist()),
            spread=spread,
            conditions=self._known(cond),
        )

    def _known(self, cond: Condition) -> dict[str, Kind]:
        return {name: kind.measured(cond[name]) if name in cond else kind for name, kind in self.conditions.items()}

    def _measured_sets(self, x: Tensor, cond: Condition, axes: list[int], groups: tuple[int, ...]) -> Data:
        """Measure sets x (n, *shape) of different sizes, without their padding."""
        import torch

        mask, rank = cond["mask"], len(self.shape)
        if not self.unordered or mask.dtype != torch.bool or mask.shape != x.shape[:2] or -rank not in axes:
            raise ValueError("sets of different sizes need unordered=True, a mask (b, n), and no mean per element")
        elements = x[mask]
        mean = elements.mean(dim=[0, *(axis for axis in axes if axis != -rank)], keepdim=True)
        scale = _scale(elements - mean, groups)
        counts = mask.sum(dim=1)
        if self.counted is not None and not torch.equal(cond[self.counted].double(), counts.double()):
            raise ValueError(f"condition {self.counted} must be the number of elements of each set")
        label = cond.get("label", torch.full_like(counts, -1))
        rows = Counter(zip(counts.tolist(), label.tolist(), strict=True))
        z = torch.where(mask.reshape(*mask.shape, *[1] * (rank - 1)), (x - mean) / scale, 0.0)
        together = z.sum(dim=1) / counts.sqrt().reshape(-1, *[1] * (rank - 1))
        spread = max(1.0, *(_widest(part.reshape(len(part), -1)) for part in (together, z[mask])))
        mean = mean.reshape(mean.shape[next((i for i, n in enumerate(mean.shape) if n > 1), mean.ndim - 1) :])
        sizes = tuple((size, of, n) for (size, of), n in sorted(rows.items()))
        return replace(
            self,
            mean=_nested(mean.tolist()),
            scale=_nested(scale.tolist()),
            spread=spread,
            conditions=self._known(cond),
            sizes=sizes,
        )

    def facts(self) -> dict[str, Any]:
        """Everything except the samples, as JSON values; the inverse of :meth:`from_facts`."""
        return {
            "format": FORMAT if self.conditions or self.sizes else WITH_ORIGIN if self.origin else PLAIN,
            **({"origin": list(self.origin)} if self.origin else {}),
            **({"conditions": {name: to_facts(k) for name, k in self.conditions.items()}} if self.conditions else {}),
            **({"sizes": [list(row) for row in self.sizes]} if self.sizes else {}),
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
        """Data without samples, from :meth:`facts`.

        Raises ValueError for a newer format, and TypeError, KeyError or ValueError for values that cannot be read, do
        not fit the shape, or are not finite.
        """
        if not isinstance(facts, Mapping):
            raise TypeError(f"it must be a mapping, not {type(facts).__name__}")
        check_format(facts.get("format", 1), FORMAT, "data.json")
        if not all(type(n) is int for n in facts["shape"]):
            raise TypeError(f"shape must hold whole numbers, not {facts['shape']}")
        shape = tuple(facts["shape"])
        if min(shape, default=1) < 1 or len(shape) > MOST_AXES or math.prod(shape) > MOST_NUMBERS:
            shown = " x ".join(f"{n:,}" for n in shape[:MOST_AXES])
            raise ValueError(
                f"a sample has at most {MOST_AXES} axes and {MOST_NUMBERS:,} numbers, not {len(shape)} axes: {shown}"
            )
        for name, kind in _TYPES:
            if name in facts and not isinstance(facts[name], kind):
                raise TypeError(f"{name} must not be {str(facts[name])[:SHOWN]!r}")
        if not all(isinstance(name, str) for name in facts["classes"]):
            raise TypeError("classes must be names")
        made = Data(
            shape=shape,
            classes=tuple(facts["classes"]),
            mean=_nested(facts["mean"]),
            scale=_nested(facts["scale"]),
            unordered=facts["unordered"],
            summary=facts.get("summary", {}),
            spread=float(facts.get("spread", 1.0)),
            origin=tuple(float(n) for n in facts.get("origin", ())),
            conditions={name: from_facts(name, value) for name, value in facts.get("conditions", {}).items()},
            sizes=tuple(tuple(row) for row in facts.get("sizes", ())),
        )
        for row in made.sizes:
            if len(row) != 3 or not all(type(n) is int for n in row) or not made.unordered or not shape:
                raise ValueError(f"sizes must be rows of three whole numbers, for sets, not {str(row)[:SHOWN]}")
            if not (1 <= row[0] <= shape[0] and row[1] >= -1 and row[2] >= 1):
                raise ValueError(f"a set has between 1 and {shape[0]} elements, not {str(row)[:SHOWN]}")
        for name, number in (("mean", made.mean), ("scale", made.scale)):
            extent = _extent(name, number)
            if len(extent) > len(shape) or any(
                n not in (1, m) for n, m in zip(extent[::-1], shape[::-1], strict=False)
            ):
                raise ValueError(f"{name} has the shape {extent}, which does not fit that of a sample, {shape}")
        if min(_leaves(made.scale)) <= 0 or not 0 < made.spread < math.inf:
            raise ValueError(f"scale and spread must be positive, not {str(made.scale)[:SHOWN]} and {made.spread}")
        if made.origin and (len(made.origin) != shape[-1] or not all(map(math.isfinite, made.origin))):
            raise ValueError(f"origin must hold {shape[-1]} finite numbers, not {str(made.origin)[:SHOWN]}")
        return made


_TYPES = (
    ("classes", list),
    ("unordered", bool),
    ("summary", Mapping),
    ("origin", list),
    ("conditions", Mapping),
    ("sizes", list),
)

SHOWN = 80
"""Maximum number of characters of a value that an error message repeats."""


def _nested(value: Any, axes: int = 0) -> Any:
    if axes > MOST_AXES:
        raise ValueError(f"numbers nested more than {MOST_AXES} deep")
    return tuple(_nested(v, axes + 1) for v in value) if isinstance(value, (list, tuple)) else float(value)


def _leaves(value: Broadcast) -> Iterator[float]:
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _extent(name: str, value: Broadcast) -> tuple[int, ...]:
    """The shape of nested tuples of finite numbers; raises ValueError if they are none or their lengths differ."""
    if not isinstance(value, tuple):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, not {value}")
        return ()
    inner = {_extent(name, part) for part in value}
    if len(inner) != 1:
        raise ValueError(f"{name} must be a full array of numbers")
    return (len(value), *inner.pop())


def _scale(centered: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Root mean square of ``centered`` (…, c), or of each group, repeated to (c,); ValueError if it is no scale."""
    import torch

    parts = torch.split(centered, list(groups), dim=-1) if groups else (centered,)
    scales = [part.square().mean().sqrt() for part in parts]
    first = 0
    for size, scale in zip(groups or (0,), scales, strict=True):
        if not 0 < float(scale) < math.inf:
            place = f"entries {first} ... {first + size - 1} of the last axis: " if groups else ""
            raise ValueError(f"{place}the data is constant or not finite (scale {float(scale)})")
        first += size
    if not groups:
        return scales[0]
    return torch.cat([scale.repeat(size) for size, scale in zip(groups, scales, strict=True)])


def _spread(z: Tensor, unordered: bool, limit: int = 512) -> float:
    """Largest principal standard deviation of up to ``limit`` of the data z (n, *shape), float64; at least 1.

    The order of the elements of a set is arbitrary.  Over all orders the covariance has two kinds of principal
    directions: all N elements move together, with N times the covariance of their mean, or elements move against each
    other, with little more than the covariance of a single element.  The spread of a set is the larger of the two.
    """
    import torch

    # a random subset, because samples are often sorted
    z = z[torch.randperm(len(z), generator=torch.Generator().manual_seed(0))[:limit]]
    if unordered:
        together = z.mean(dim=1) * z.shape[1] ** 0.5
        return max(1.0, _widest(together.reshape(len(z), -1)), _widest(z.reshape(len(z) * z.shape[1], -1)))
    return max(1.0, _widest(z.reshape(len(z), -1)))


def _widest(rows: Tensor, iterations: int = 30) -> float:
    """Standard deviation of rows (n, d) along their first principal direction, by power iteration; 0 if n < 4.

    The direction is computed on one half of the rows and the deviation measured on the other, and vice versa.  On the
    same rows, pure noise would appear up to 1 + sqrt(d / n) times wider than it is (Marchenko and Pastur 1967).
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


def unaugmented(samples: Split) -> Split:
    """Samples without augmentation, for comparisons: ``samples.plain`` of an augmenting source, else ``samples``."""
    plain: Split = getattr(samples, "plain", samples)
    return plain


class TensorSplit:
    """A split in memory.

    ``x``: samples (n, *shape) in world units.
    ``label``: classes, int64 (n,), or None.
    ``conditions``: other conditions by name, (n, …) each, see :attr:`Data.conditions`.

    Raises ValueError if their lengths differ.
    """

    def __init__(self, x: Tensor, label: Tensor | None = None, conditions: Mapping[str, Tensor] | None = None) -> None:
        if label is not None and len(label) != len(x):
            raise ValueError(f"{len(x)} samples but {len(label)} labels")
        for name, value in (conditions or {}).items():
            if len(value) != len(x):
                raise ValueError(f"{len(x)} samples but {len(value)} values of {name}")
        self.x = x
        self.label = label
        self.conditions = dict(conditions or {})

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Rows ``ids`` (b,) of the data and their conditions; ``seed`` is ignored."""
        label = {} if self.label is None else {"label": self.label[ids]}
        return self.x[ids], {**label, **{name: value[ids] for name, value in self.conditions.items()}}
