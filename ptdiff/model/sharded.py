"""Many samples by several workers: each makes ranges of ids and writes them to files.

A shard is a range of ids, cut at multiples of the batch size, because the rounding of a network depends on the shape of
its batch.  So the samples are the same bits for any number of workers and any engine on one kind of machine.  Shards
that are there already are not made again: a command that was interrupted goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import torch

from ptdiff.errors import DataError
from ptdiff.machine.engines import Engine
from ptdiff.machine.timing import threads
from ptdiff.modality.conditions import NOT_GIVEN, is_given
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.modality.ragged import stacked
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Conditions, Label, Points, conditions_of, mask_for
from ptdiff.model.loaded import Model, Say, load
from ptdiff.run.folder import Run
from ptdiff.sampling.batches import batch_size
from ptdiff.sampling.files import Stored, read, write
from ptdiff.sampling.options import Options, facts
from ptdiff.sampling.sampler import Plan
from ptdiff.sampling.samples import Samples

ALL = 10**12
"""More samples than are ever asked for: the size of a shard must not depend on their number."""


class Shard(NamedTuple):
    """Samples ``first`` to ``stop`` - 1, with their classes and conditions, and the file they go to."""

    first: int
    stop: int
    labels: tuple[int, ...] | None
    conditions: Mapping[str, Any]
    target: Path


@dataclass(frozen=True)
class _Maker:
    """Makes shards; pickled to workers, which load the model once."""

    run: str
    weights: str | float | None
    device: str
    plan: Plan
    points: Points | None
    raw: bool

    def __call__(self, shard: Shard) -> Shard:
        model = _loaded(self.run, self.weights, self.device)
        options = {name: getattr(self.plan, name) for name in Options.__annotations__}
        label: Label = "none" if shard.labels is None else list(shard.labels)
        count = shard.stop - shard.first
        # one thread each: the sums of several threads round otherwise
        with threads(1):
            made = model.sample(
                count,
                first=shard.first,
                label=label if model.data.classes else None,
                conditions=shard.conditions,
                points=self.points,
                seed=self.plan.seed,
                batch=count,
                raw=self.raw,
                **options,
            )
        write(shard.target, made.stored, made.modality, "npz")
        return shard


@lru_cache(maxsize=1)
def _loaded(run: str, weights: str | float | None, device: str) -> Model:
    return load(run, weights=weights, device=device, warn=lambda line: None)


def sample_in_shards(
    model: Model,
    n: int,
    engine: Engine,
    *,
    label: Label | None = None,
    conditions: Conditions | None = None,
    points: Points | None = None,
    seed: int = 0,
    batch: int | None = None,
    raw: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Unpack[Options],
) -> tuple[Samples, Path]:
    """Generate ``n`` samples with an engine; returns them and the folder of the shards, which may be deleted then.

    ``device``: for the workers.  The other arguments: see :meth:`ptdiff.model.Model.sample`.  ``batch``: samples in a
    shard, and in a batch.

    Raises ValueError for precision "auto", which would depend on a stopwatch, and for a run that workers cannot load.
    """
    plan, shape = model.planned(seed, **options), model.shape(points)
    if plan.precision == "auto":
        raise ValueError("precision auto depends on the speed of each worker: give 32 or bf16")
    if model.run.kind is not None:
        raise ValueError("the modality of this run is an object in memory, which other processes do not have")
    size, given = batch_size(ALL, shape, batch), conditions_of(model.run, n, label, conditions, say=say)
    labels = given.get("label")
    others = {name: _listed(value) for name, value in given.items() if name != "label"}
    maker = _Maker(str(model.run.path.resolve()), model.weights, device, plan, points, raw)
    folder = model.run.outputs.resolve() / "samples" / f"shards-{_digest(model, maker, label, others, size)}"
    folder.mkdir(parents=True, exist_ok=True)
    every = [
        Shard(
            first,
            stop := min(first + size, n),
            None if labels is None else tuple(labels[first:stop].tolist()),
            {name: value[first:stop] for name, value in others.items()},
            folder / f"{first:09d}-{stop:09d}.npz",
        )
        for first in range(0, n, size)
    ]
    sizes = mask_for(model.run, n, points, seed, given)
    if sizes is not None:
        shape = shape[1:]  # the largest set of a shard is smaller than that of all
    missing = [shard for shard in every if _read(shard, shape) is None]
    done = n - sum(shard.stop - shard.first for shard in missing)
    if done and say is not None:
        say(f"{done:,} of {n:,} samples are there from before, in {folder}")
    for shard in engine.map(maker, missing):
        done += shard.stop - shard.first
        if progress is not None:
            progress(done, n)
    parts = [_read(shard, shape) for shard in every]
    if any(part is None for part in parts):
        raise DataError(f"{folder}: a shard was written and cannot be read back")
    stored = [part for part in parts if part is not None]
    x = stacked([torch.from_numpy(part.samples) for part in stored])
    whole = model.stored(x, labels, None, given, ragged=sizes is not None)
    calls = plan.cost(model.denoiser)
    return Samples(whole, model.modality, plan, None if calls is None else float(calls), 1), folder


def remove(shards: Path) -> None:
    """Delete the shards in a folder of :func:`sample_in_shards`, and the folder unless something else is in it."""
    if shards.is_symlink():
        return
    for path in shards.glob("*.npz"):
        path.unlink()
    with suppress(OSError):
        shards.rmdir()


@dataclass(frozen=True)
class ShardedModel:
    """A model whose samples are made by an engine, for :func:`ptdiff.evaluation.evaluate`.

        sharded = ShardedModel(model, engine)
        evaluate(sharded, n=5000, engine=engine).save()
        sharded.remove_shards()

    ``name_of_device``: for the workers.  The shards stay until :meth:`remove_shards`, so that an evaluation that was
    interrupted continues.
    """

    model: Model
    engine: Engine
    name_of_device: str = "auto"
    _shards: list[Path] = field(default_factory=list)

    @property
    def run(self) -> Run:
        """The run folder."""
        return self.model.run

    @property
    def modality(self) -> Modality:
        """The modality with the options of the run."""
        return self.model.modality

    @property
    def data(self) -> Data:
        """The data of the model."""
        return self.model.data

    @property
    def weights(self) -> str | float | None:
        """The weights as requested."""
        return self.model.weights

    @property
    def device(self) -> torch.device:
        """The device of the model in this process."""
        return self.model.device

    def shape(self, points: Points | None = None) -> tuple[int, ...]:
        """The shape of one sample, see :meth:`ptdiff.model.Model.shape`."""
        return self.model.shape(points)

    def sample(
        self,
        n: int = 16,
        *,
        label: Label | None = None,
        conditions: Conditions | None = None,
        points: Points | None = None,
        seed: int = 0,
        batch: int | None = None,
        raw: bool = False,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Unpack[Options],
    ) -> Samples:
        """Generate samples by :func:`sample_in_shards`."""
        samples, folder = sample_in_shards(
            self.model,
            n,
            self.engine,
            label=label,
            conditions=conditions,
            points=points,
            seed=seed,
            batch=batch,
            raw=raw,
            device=self.name_of_device,
            progress=progress,
            say=say,
            **options,
        )
        self._shards.append(folder)
        return samples

    def remove_shards(self) -> None:
        """Delete the shards of all samples generated so far."""
        for folder in self._shards:
            remove(folder)


def _listed(value: torch.Tensor) -> list[Any]:
    """A condition (n, …) as a list, with an entry for each sample; "none" for those without."""
    given = is_given(value)
    return [one if known else NOT_GIVEN for one, known in zip(value.tolist(), given.tolist(), strict=True)]


def _digest(model: Model, maker: _Maker, label: Label | None, others: Mapping[str, Any], size: int) -> str:
    """A name of everything that the samples depend on."""
    checkpoint = model.run.checkpoint()
    plain: Callable[[object], object] = lambda value: value.tolist() if hasattr(value, "tolist") else str(value)  # noqa: E731
    about = [
        (checkpoint.path / "MANIFEST.sha256").read_text(encoding="utf-8"),
        maker.weights,
        maker.device,
        facts(maker.plan),
        maker.points,
        maker.raw,
        label,
        size,
        *([dict(others)] if others else []),
    ]
    return hashlib.sha256(json.dumps(about, default=plain).encode()).hexdigest()[:12]


def _read(shard: Shard, shape: tuple[int, ...]) -> Stored | None:
    """A shard that was made before; None if it is missing or damaged."""
    if not shard.target.is_file():
        return None
    try:
        found = read(shard.target)
    except DataError:
        return None
    count, *own = found.samples.shape
    return found if count == shard.stop - shard.first and tuple(own[-len(shape) :]) == shape else None
