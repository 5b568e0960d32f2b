"""A trained run with its weights: new samples, the states on the way to them, and its denoiser for any solver."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from torch import Tensor

from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.machine import host
from ptdiff.machine.timing import WORDS, threads
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.tensors import NAME, Tensors
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Label, checked, labels_of, planned, shape_of
from ptdiff.run.folder import Run
from ptdiff.sampling.autotune import quickest
from ptdiff.sampling.batches import batch_size, batches
from ptdiff.sampling.files import Stored
from ptdiff.sampling.options import Options, changed
from ptdiff.sampling.sampler import Plan, finished, prepared, shown, walk
from ptdiff.sampling.samples import Samples
from ptdiff.solvers import Adaptive, State

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import nn

    from ptdiff.evaluation import Evaluation
    from ptdiff.likelihood.divergence import Divergence
    from ptdiff.likelihood.flow import Path as FlowPath
    from ptdiff.likelihood.world import WorldLogLikelihood

Say = Callable[[str], None]
"""Called with a line about the work, such as its cost."""


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=3)


def load(
    run: str | Path,
    *,
    device: str = "auto",
    weights: str | float | None = None,
    modality: Modality | None = None,
    network: nn.Module | None = None,
    warn: Callable[[str], None] = _warn,
) -> Model:
    """A trained run, by its folder or by the name of a model that ships ('ptdiff list model' shows them).

    device: auto (a GPU if there is one), cpu, cuda, cuda:1, mps.  weights: see :meth:`ptdiff.run.folder.Run.denoiser`.
    modality, network: of a run that was trained on an object of the caller's (:func:`ptdiff.train`): the same again.
    warn: called with a line about a name with two meanings or a damaged checkpoint.

    Raises RunError for a folder that is not a run or has no usable checkpoint, with the nearest name there is.
    """
    found = Run.open(run, warn, modality)
    if network is not None:
        if found.config.modality != NAME:
            raise ValueError(f"network is for runs trained on tensors; {found.path} is one of {found.config.modality}")
        found = replace(found, kind=Tensors(found.data, network))
    return Model.of(found, device=device, weights=weights, warn=warn)


@dataclass(frozen=True)
class Model:
    """A trained run with its weights.

    modality: with the options of the run.  data: its shape, classes and scale; its samples only where they were read.
    denoiser: in evaluation mode, ``denoiser(x, level, cond)`` is E[x_0 | x] in model units, for any solver.
    plan: the way it samples unless options say otherwise.  weights: as asked for, see
    :meth:`ptdiff.run.folder.Run.denoiser`; None for the best ones of the run.
    """

    run: Run
    modality: Modality
    data: Data
    denoiser: NetworkDenoiser
    plan: Plan
    weights: str | float | None = None

    @staticmethod
    def of(
        run: Run,
        plan: Plan | None = None,
        *,
        data: Data | None = None,
        weights: str | float | None = None,
        device: str = "auto",
        warn: Callable[[str], None] | None = None,
    ) -> Model:
        """The model of a run; the plan is that of its configuration unless one is given.

        data: as read now, for its samples; scale and classes stay those that the model was trained with.
        """
        known = run.data
        if data is not None:
            if data.shape != known.shape:
                raise ValueError(f"the data has the shape {data.shape} now, and had {known.shape} in training")
            known = replace(known, train=data.train, val=data.val)
        denoiser = run.denoiser(warn, weights=weights).to(host.device(device)).requires_grad_(False)
        return Model(run, run.modality(), known, denoiser, planned(run) if plan is None else plan, weights)

    @property
    def device(self) -> torch.device:
        """The device of the denoiser, on which samples are computed."""
        return next(self.denoiser.parameters()).device

    @property
    def means(self) -> bool:
        """Whether the denoiser estimates E[x_0 | x]: all do but those trained for consistency, which sample."""
        return self.run.means

    def planned(self, seed: int = 0, **options: Unpack[Options]) -> Plan:
        """The model's plan with ``options`` in place of its own; UnknownName and ValueError name what is wrong."""
        given = {name: value for name, value in options.items() if value is not None}
        return checked(self.run, changed(self.plan, given), seed)

    def shape(self, points: int | None = None) -> tuple[int, ...]:
        """The shape of one sample, with another number of points where the data is a set; ValueError elsewhere."""
        return shape_of(self.run, points)

    def labels(self, count: int, label: Label | None = None) -> Tensor | None:
        """The classes (count,) int64 of the samples 0 … count - 1; None without any.

        label: see :data:`Label`; by default all classes in turn.
        """
        return labels_of(self.run, count, label)

    def sample(
        self,
        n: int = 16,
        *,
        label: Label | None = None,
        points: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        raw: bool = False,
        trajectory: bool = False,
        weak: Model | None = None,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Unpack[Options],
    ) -> Samples:
        """``n`` new samples; sample i depends on (seed, i), its label and the plan alone.

        label: see :data:`Label`; by default all classes in turn.  points: of each sample of a set, any number.
        batch: samples at a time, which changes the last digits.  raw: without the modality's postprocessing, such as
        rounding to the values of the data.  trajectory: keep all states.  weak: a weaker model to guide away from
        (autoguidance; Karras et al. 2024).  progress: called with (done, total).  options: solver, steps, process,
        spacing, guidance, threshold, precision …, see :class:`ptdiff.sampling.options.Options`.

        Raises UnknownName and ValueError for options that are wrong, and ValueError if sampling diverged.
        """
        plan, shape, labels = self.planned(seed, **options), self.shape(points), self.labels(n, label)
        if trajectory and isinstance(plan.solver, Adaptive):
            raise ValueError("an adaptive solver gives every sample its own steps: there are no common states to keep")
        if weak is not None and weak.data.shape[-1:] != self.data.shape[-1:]:
            raise ValueError(f"weak: its data has another shape, {weak.data.shape}")
        say = say or _silent
        size = batch_size(n, shape, batch)
        some = torch.arange(min(size, n), device=self.device)
        told: Condition = {} if labels is None else {"label": labels[: len(some)].to(self.device)}
        calls = (plan.cost(self.denoiser) or plan.steps) * math.ceil(n / size)
        way = quickest(self.denoiser, plan, some, shape, told, calls)
        if plan.precision == "auto":
            say(f"the network works in {WORDS[way.precision]}, which is faster here")
        plan = replace(plan, precision=way.precision)
        network, against = Counted(self.denoiser), None if weak is None else Counted(weak.denoiser)
        denoiser = prepared(network, plan, self.data, against)
        # without a condition there is nothing to guide by, unless a weaker model does
        cost = plan.cost(denoiser if labels is not None or weak is not None else network)
        say(f"{n} samples, {'the solver decides how many' if cost is None else cost} calls of the network each")
        out: list[Tensor] = []
        kept: list[list[Tensor]] = []
        with threads(way.threads):
            for ids in batches(n, size, self.device):
                cond: Condition = {} if labels is None else {"label": labels.to(self.device)[ids]}
                states: list[Tensor] = []
                noisiest = 0.0
                for state in walk(denoiser, plan, ids, shape, cond):
                    if trajectory:
                        states.append(shown(state, self.data).cpu())
                    angle = math.atan2(*reversed(state.level))
                    noisiest = noisiest or angle
                    if progress is not None:
                        progress(int(ids[0]) + int((1 - angle / noisiest) * len(ids)), n)
                x = finished(state, self.data)
                out.append((x if raw else self.modality.postprocess(x, self.data)).cpu())
                kept.append(states)
        if progress is not None:
            progress(n, n)
        spent = network.rows + (0 if against is None else against.rows)
        if cost is None or spent != n * cost:
            say(f"{spent / n:.4g} calls of the network for each sample")
        way_there = [torch.cat(parts) for parts in zip(*kept, strict=True)]
        stored = self.stored(torch.cat(out), labels, torch.stack(way_there) if way_there else None)
        return Samples(stored, self.modality, plan, spent / n, way.threads)

    def evaluate(
        self,
        *,
        n: int | None = None,
        protocol: str | None = None,
        reference: Path | str | None = None,
        split: str = "val",
        points: int | None = None,
        seed: int = 0,
        batch: int | None = None,
        raw: bool = False,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Unpack[Options],
    ) -> Evaluation:
        """Scores of ``n`` samples against held-out data, with intervals: see :func:`ptdiff.evaluation.evaluate`."""
        from ptdiff.evaluation import evaluate

        return evaluate(
            self,
            n=n,
            protocol=protocol,
            reference=reference,
            split=split,
            points=points,
            seed=seed,
            batch=batch,
            raw=raw,
            progress=progress,
            say=say,
            **options,
        )

    def likelihood(
        self,
        x: Samples | Tensor | npt.NDArray[Any],
        *,
        label: Label | None = None,
        path: FlowPath | None = None,
        divergence: Divergence | None = None,
        seed: int = 0,
        batch: int | None = None,
        progress: Progress | None = None,
        say: Say | None = None,
    ) -> WorldLogLikelihood:
        """log p(x) of x (n, *shape) in world units, by the probability flow.

        label: the class that x is given, see :data:`Label`; by default Samples keep theirs, and arrays have none.
        path: the levels and steps, by default under the process of the plan.  The others: see
        :func:`ptdiff.likelihood.world.world_log_likelihood`.

        Raises ValueError for a model trained for consistency, for another shape, and if the likelihoods are not finite.
        """
        from ptdiff.likelihood.flow import Path as FlowPath
        from ptdiff.likelihood.world import world_log_likelihood

        if not self.means:
            raise ValueError("a network trained for consistency estimates no E[x0 | x], and so has no likelihood")
        origin = self.data.origin
        if isinstance(x, Samples):
            values = torch.from_numpy(x.stored.moved(origin).samples)
        else:
            values = (torch.as_tensor(x).double() - torch.tensor(origin or 0.0, dtype=torch.float64)).float()
        if values.ndim != len(self.data.shape) + 1 or not self.takes(tuple(values.shape[1:])):
            raise ValueError(f"x should have the shape (n, *{self.data.shape}), not {tuple(values.shape)}")
        labels = x.labels if label is None and isinstance(x, Samples) else None
        if label is not None:
            labels = self.labels(len(values), label)
        cond: Condition = {} if labels is None or not self.data.classes else {"label": labels}
        return world_log_likelihood(
            self.denoiser,
            self.data,
            values,
            cond,
            bin_width=self.modality.bin_width,
            path=path or FlowPath(self.plan.process),
            divergence=divergence,
            seed=seed,
            batch=batch,
            progress=progress,
            say=say,
        )

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether the network takes samples of this shape: the first axis of sets is free."""
        own = self.data.shape
        return shape[1:] == own[1:] if self.data.unordered else shape == own

    def stored(self, samples: Tensor, labels: Tensor | None, trajectory: Tensor | None = None) -> Stored:
        """Samples (n, *shape) in world units with what their files say of this model; ValueError unless finite."""
        array = _array(samples)
        if not np.isfinite(array).all():
            raise ValueError("sampling diverged; try more steps or another solver")
        label = np.full(len(array), -1) if labels is None else labels.numpy().astype(np.int64)
        config = self.run.config
        way = None if trajectory is None else _array(trajectory)
        return Stored(array, label, self.data.classes, config.modality, config.options, way, self.data.origin)

    def states(
        self,
        n: int = 16,
        *,
        label: Label | None = None,
        points: int | None = None,
        seed: int = 0,
        **options: Unpack[Options],
    ) -> Iterator[State]:
        """The states of :meth:`sample`, in one batch and in model units, from noise to data; stop whenever you like.

        A state has ``step``, ``level`` (alpha, sigma), ``x`` (n, *shape) and ``x0``, the newest estimate of the data;
        :meth:`finish` makes samples of a state.  Options are checked before the first state is asked for.
        """
        plan, shape, labels = self.planned(seed, **options), self.shape(points), self.labels(n, label)
        cond: Condition = {} if labels is None else {"label": labels.to(self.device)}
        return self.walk(torch.arange(n, device=self.device), cond, plan, shape)

    def walk(
        self, ids: Tensor, cond: Condition, plan: Plan | None = None, shape: tuple[int, ...] | None = None
    ) -> Iterator[State]:
        """The states of samples ``ids`` (b,) under a condition, in model units, from noise to data."""
        plan = self.plan if plan is None else plan
        return walk(prepared(self.denoiser, plan, self.data), plan, ids, shape or self.data.shape, cond)

    def finish(self, state: State) -> Tensor:
        """A state as samples (b, *shape) in world units, postprocessed; one before the end keeps its noise."""
        return self.modality.postprocess(finished(state, self.data), self.data)


def _array(x: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = x.numpy().astype(np.float32)
    return array


def _silent(line: Any) -> None:
    pass
