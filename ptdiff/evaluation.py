"""Evaluation of a model: scores against held-out data, with intervals and floors.

Generated samples are compared with reference samples.  The floor of a score is its value for training samples in place
of generated ones.  Reference and training samples are chosen at random by a seed, because many data sets cycle through
their classes, so that every k-th sample would miss some of them.  Generated samples, reference and floor have the same
number of samples of each class.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Unpack

import numpy as np
import torch
from torch import Tensor

from ptdiff.choices import Catalog, one_of
from ptdiff.documents.atomic import write_atomic
from ptdiff.documents.files import expanded
from ptdiff.errors import DataError, PluginError, reading
from ptdiff.machine import host
from ptdiff.metrics import Score, compare, memorization
from ptdiff.modality import registry
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data, Split, unaugmented
from ptdiff.modality.offsets import with_origin, without_origin
from ptdiff.modality.ragged import is_ragged, padded
from ptdiff.modality.types import Comparison, Progress
from ptdiff.noise import mix
from ptdiff.plugins.doors import Door
from ptdiff.run.evaluations import keep
from ptdiff.run.folder import Run
from ptdiff.sampling import samples as sampled
from ptdiff.sampling.options import Options, facts
from ptdiff.sampling.sampler import spread_labels

if TYPE_CHECKING:
    from ptdiff.machine.engines import Engine

MOST = 500
"""Maximum number of reference samples in the default protocol, unless a number is given."""

FEW = 300
"""Scores of fewer samples than this look better than they are."""

TRAINING = 1000
"""Maximum number of training samples in the search for the nearest ones."""


Metric = Callable[[Comparison], Score]
"""A score of generated samples, from everything that can be compared."""


def _general(name: str, summary: str) -> Metric:
    """One of the scores of any data, :func:`ptdiff.metrics.compare`."""

    def metric(sets: Comparison) -> Score:
        if any(is_ragged(x) for x in (sets.samples, sets.reference, sets.training)):
            raise ValueError(f"metric {name} compares samples of one shape, not sets of different sizes")
        found = compare(sets.samples, sets.reference, sets.training, sets.seed)
        if name not in found:
            raise ValueError(f"metric {name} is not defined for reference samples that are all equal")
        return found[name]

    metric.__doc__ = summary
    return metric


METRICS: Catalog[Metric] = Catalog(
    "metric",
    {
        "sliced_wasserstein": _general("sliced_wasserstein", "Sliced Wasserstein distance of the flattened samples."),
        "energy": _general("energy", "Energy distance of the flattened samples."),
        "mmd_squared": _general("mmd_squared", "Squared kernel discrepancy of the flattened samples."),
    },
    Door("metrics", "metric", options=False),
)
"""Metrics by name that can be added to those of a modality."""


class EvaluatedModel(Protocol):
    """The parts of :class:`ptdiff.model.Model` that an evaluation needs."""

    @property
    def run(self) -> Run: ...
    @property
    def modality(self) -> Modality: ...
    @property
    def data(self) -> Data: ...
    @property
    def weights(self) -> str | float | None: ...
    @property
    def device(self) -> torch.device: ...
    def shape(self, points: int | None = None) -> tuple[int, ...]: ...
    def sample(
        self,
        n: int = 16,
        *,
        label: Any = None,
        conditions: Mapping[str, Any] | None = None,
        points: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        raw: bool = False,
        progress: Progress | None = None,
        say: Callable[[str], None] | None = None,
        **options: Unpack[Options],
    ) -> sampled.Samples: ...


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each generated sample, the distance (n,) to the nearest sample of a set, and that sample (n, *shape)."""

    distance: Tensor
    samples: Tensor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model, with everything needed to compare them with other scores.

    ``protocol``, ``summary``: name of the protocol, and a line about it.
    ``scores``: by name, first those of the modality; each has a 95 % interval and a floor, the score of real samples.
    ``facts``: settings of the protocol, such as normalization and points.
    ``reference``: the reference data and its split.
    ``seed``: of samples, sets and intervals.
    ``raw``: True if samples were not postprocessed.
    ``weights``, ``step``: the weights as requested, and their training step.
    ``machine``: see :func:`ptdiff.machine.host.facts`.
    ``samples``, ``sets``: the compared samples, in world units.
    ``copies``: the nearest training sample of each generated one, among ``candidates`` training samples.
    """

    protocol: str
    summary: str
    scores: Mapping[str, Score]
    facts: Mapping[str, Any]
    reference: Mapping[str, str]
    seed: int
    raw: bool
    weights: str | float | None
    step: int
    machine: Mapping[str, Any]
    candidates: int
    run: Run = field(repr=False)
    samples: sampled.Samples = field(repr=False)
    sets: ReferenceSets = field(repr=False)
    copies: Nearest = field(repr=False)

    @property
    def n(self) -> int:
        """The number of generated samples, equal to that of reference samples."""
        return len(self.samples)

    @property
    def note(self) -> str | None:
        """A warning about scores of few samples; None if there are enough."""
        if self.n >= FEW:
            return None
        return (
            f"n = {self.n}: scores of fewer than {FEW} samples look better than they are, "
            "because noise hides the gap to the floor"
        )

    @cached_property
    def misses(self) -> Nearest:
        """The nearest reference sample of each generated sample."""
        distance, which = self.samples.modality.nearest(self.samples.samples, self.sets.reference)
        return Nearest(distance, self.sets.reference[which])

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the float32 values of the generated, reference and training samples, by name."""
        named = {
            "generated": self.samples.samples,
            "reference": self.sets.reference,
            "training": self.sets.training,
        }
        return {
            name: sha256(np.ascontiguousarray(x.numpy(), dtype="<f4").tobytes()).hexdigest()
            for name, x in named.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The contents of an evaluation file."""
        assert self.samples.plan is not None
        plan = facts(self.samples.plan)
        plan["seed"] = plan.pop("seed")  # last, as in all earlier eval.json files
        return {
            "n": self.n,
            "note": self.note,
            "protocol": self.protocol,
            "measures": self.summary,
            "metrics": {name: dataclasses.asdict(score) for name, score in self.scores.items()},
            "sets": {"sha256_drawn": self.hashes, "memorization_training": self.candidates, **self.facts},
            "reference": dict(self.reference),
            "sampling": {
                **plan,
                "threads": self.samples.threads,
                "shape": list(self.samples.samples.shape[1:]),
                "calls": self.samples.calls,
                "raw": self.raw,
            },
            "weights": self.weights,
            "step": self.step,
            "machine": dict(self.machine),
        }

    def save(self, path: Path | str | None = None) -> Path:
        """Write the evaluation to ``path``, by default eval/<protocol>-n<n>.json in the run folder; return the path.

        Without ``path`` it also becomes eval.json, which stands for the run, unless another one ranks before it:
        newer weights, then the default protocol on held-out data of the run, then more samples.
        """
        if path is None:
            return keep(self.run, self.to_json(), one_of("protocol", None, self.samples.modality.protocols()))
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, json.dumps(self.to_json(), indent=1) + "\n")
        return target


@dataclass(frozen=True)
class _Moved:
    """Samples around ``held``, brought to the origin ``ours`` in float64."""

    samples: Split
    held: tuple[float, ...]
    ours: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, ids: torch.Tensor, seed: int) -> tuple[torch.Tensor, Condition]:
        x, cond = self.samples.batch(ids, seed)
        return torch.from_numpy(without_origin(with_origin(x.numpy(), self.held), self.ours)), cond


def evaluate(
    model: EvaluatedModel,
    *,
    n: int | None = None,
    protocol: str | None = None,
    metrics: Sequence[str] = (),
    reference: Path | str | None = None,
    split: str = "val",
    points: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    raw: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    **options: Unpack[Options],
) -> Evaluation:
    """Compare samples of a :class:`ptdiff.model.Model` with held-out data.

    ``n``: number of samples to compare, fewer if the data has fewer; default: the whole split, but at most ``MOST`` for
    the default protocol.
    ``protocol``: one of :meth:`ptdiff.modality.contract.Modality.protocols`; default: the first.
    ``metrics``: names in METRICS, whose scores follow those of the protocol; one that the protocol has too is not
    computed again.
    ``reference``: data to compare with, a value of the modality's option ``data``; default: that of the run.
    ``split``: "val" or "train" of the reference.
    ``points``, ``seed``, ``batch``, ``raw``, ``options``: see :meth:`ptdiff.model.Model.sample`.
    ``engine``: lets workers compute slow metrics; workers also sample if ``model`` is a
    :class:`ptdiff.model.sharded.ShardedModel`.
    ``progress``: called with (done, total) in each stage.  ``say``: called with a line about the work.

    An interrupted comparison may leave distances in the run folder, from which the next one continues.

    Raises UnknownName for an unknown protocol, metric, split or option, Unsupported if this machine lacks a requirement
    of the protocol, PluginError for a metric that cannot be used, DataError for data that cannot be read or compared,
    and ValueError if sampling diverged.
    """
    tell = say or (lambda line: None)
    one_of("split", split, ("val", "train"))
    # before anything is sampled
    added = {name: METRICS[name] for name in metrics}
    model.shape(points)
    settings = dict(model.run.config.options) | ({} if points is None else {"points": points})
    own = model.modality
    if points is not None:
        own = registry.load(model.run.config.modality, settings).as_of(model.run.data)
    ways = own.protocols()
    way = one_of("protocol", protocol, ways)
    ways[way].require()
    with reading("data"):
        ours = model.data if points is None and model.data.train is not None else own.dataset()
        held = ours if reference is None else _other(model.run.config.modality, settings, reference).dataset()
    target = {"val": held.val, "train": None if held.train is None else unaugmented(held.train)}[split]
    if target is not None and held.origin != ours.origin:
        target = _Moved(target, held.origin, ours.origin)
    if target is None or ours.train is None:
        raise DataError(f"the reference has no {split} split")
    training = unaugmented(ours.train)
    # published scores use whole splits
    most = n or (MOST if way == one_of("protocol", None, ways) else len(target))
    count = largest(training, target, most)
    if n is not None and count < n:
        tell(f"only {count} samples are available, so all of them are compared")
    classes = model.data.classes
    same_classes = held.classes == classes
    if not same_classes:
        tell("the reference has other classes than the run: generating samples of all classes of the run in turn")
    with reading("data"):
        sets = reference_sets(training, target, count, seed, match=same_classes)
    labels = sets.labels if same_classes else spread_labels(torch.arange(count), len(classes)).get("label")
    labels = labels if classes else None
    asked = {name: value for name, value in sets.conditions.items() if name in model.data.conditions}
    if points is not None and model.data.counted is not None:
        del asked[model.data.counted]
    generated = model.sample(
        count,
        label="none" if labels is None else labels,
        conditions=asked,
        points=points,
        seed=seed,
        batch=batch,
        raw=raw,
        progress=progress,
        say=say,
        **options,
    )
    tell(f"comparing {count} samples with {count} of the {split} split")
    x, cache = generated.samples, model.run.outputs / "distances"
    whole = Comparison(
        x, sets.reference, sets.training, labels, seed, progress, cache, str(model.device), engine, asked
    )
    found = own.compare(whole, way)
    scores = dict(found.scores)
    for name, metric in added.items():
        if name not in scores:
            scores[name] = _score(name, metric(whole))
    candidates = _some(training, seed)
    distance, which = own.nearest(x, candidates, progress)
    if reference is None and split == "val":
        unseen = own.nearest(sets.reference, candidates, progress)[0]
        if float(unseen.mean()) > 0:
            scores["memorization"] = memorization(distance, unseen, seed)
    return Evaluation(
        protocol=way,
        summary=ways[way].summary,
        scores=scores,
        facts=found.facts,
        reference={"data": str(settings.get("data") if reference is None else reference), "split": split},
        seed=seed,
        raw=raw,
        weights=model.weights,
        step=model.run.checkpoint().step,
        machine=host.facts(),
        candidates=len(candidates),
        run=model.run,
        samples=generated,
        sets=sets,
        copies=Nearest(distance, candidates[which]),
    )


def _score(name: str, found: object) -> Score:
    if not isinstance(found, Score):
        raise PluginError(f"metric {name} returned a {type(found).__name__}, not a ptdiff.metrics.Score")
    return found


def _other(modality: str, settings: Mapping[str, Any], reference: Path | str) -> Modality:
    """The modality with the options of the run and other data."""
    place = expanded(reference)
    return registry.load(modality, {**settings, "data": str(place.resolve() if place.exists() else reference)})


def _some(training: Split, seed: int) -> Tensor:
    """Up to ``TRAINING`` random training samples, in world units."""
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(mix(seed, 2)))
    x, cond = training.batch(order[:TRAINING].sort().values, mix(seed, 3))
    return padded(x, cond.get("mask"))


@dataclass(frozen=True)
class ReferenceSets:
    """n reference samples with their labels (n,) (None without classes), and n training samples, in world units.

    ``conditions``: all conditions of the reference samples by name, (n, …) each.
    """

    reference: Tensor
    labels: Tensor | None
    training: Tensor
    conditions: Condition = field(default_factory=dict)


def reference_sets(training: Split, target: Split, n: int, seed: int = 0, *, match: bool = True) -> ReferenceSets:
    """Choose n random samples of ``target``, and n of ``training`` with the same labels if there are enough.

    If ``target`` is the training split itself, the two sets have no sample in common.  ``match`` must be False if the
    two have different classes.  Raises ValueError if either has fewer than n samples, or n < 2.
    """
    same = training is target
    if n < 2 or n > len(target) or n + n * same > len(training):
        raise ValueError(
            f"{n} samples cannot be compared: there are {len(target)} held-out and {len(training)} training samples"
        )
    order = _shuffled(len(target), seed)
    chosen = order[:n].sort().values
    reference, cond = target.batch(chosen, mix(seed, 0))
    reference = padded(reference, cond.get("mask"))
    labels = cond.get("label")
    rest = order[n:] if same else _shuffled(len(training), seed + 1)
    wanted = Counter(labels.tolist()) if match and labels is not None else None
    return ReferenceSets(reference, labels, with_labels(training, rest, n, wanted, mix(seed, 1)), cond)


def largest(training: Split, target: Split, limit: int) -> int:
    """The largest n for :func:`reference_sets`, at most ``limit``."""
    return min(limit, len(target) // 2 if training is target else len(target), len(training))


def _shuffled(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(mix(seed, count)))


def with_labels(samples: Split, ids: Tensor, n: int, wanted: Counter[int] | None, seed: int) -> Tensor:
    """The first n samples of ``ids`` with the wanted labels, filled up with others if there are too few.

    ``wanted``: number of samples of each label; None for any labels.  Fewer than n if there are fewer ids.
    """
    if wanted is None:
        x, cond = samples.batch(ids[:n], seed)
        return padded(x, cond.get("mask"))
    missing = Counter(wanted)
    taken: list[Tensor] = []
    spare: list[Tensor] = []
    for block in torch.split(ids, n):
        x, cond = samples.batch(block, seed)
        for row, label in zip(padded(x, cond.get("mask")), _labels(cond, len(block)), strict=True):
            if missing[label] > 0:
                missing[label] -= 1
                taken.append(row)
            elif len(spare) < n:
                spare.append(row)
        if len(taken) == n:
            break
    return torch.stack([*taken, *spare][:n])


def _labels(cond: Condition, count: int) -> list[int]:
    return [int(i) for i in cond["label"].tolist()] if "label" in cond else [-1] * count
