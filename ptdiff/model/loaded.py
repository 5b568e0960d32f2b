"""A trained run with its weights: samples, sampling states, scores, likelihoods, and the denoiser itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
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
from ptdiff.modality.conditions import NOT_GIVEN, Category
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.ragged import by_size, sizes_of, stacked
from ptdiff.modality.tensors import NAME, Tensors
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import (
    Conditions,
    Label,
    Points,
    checked,
    conditions_of,
    labels_of,
    mask_for,
    planned,
    shape_of,
)
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
    from ptdiff.likelihood.flow import FlowPath
    from ptdiff.likelihood.world import WorldLogLikelihood

Say = Callable[[str], None]
"""Called with a line about the work, such as its cost."""


DIVERGED = "sampling diverged: try more steps or another solver"


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
    """Load a trained run, by its folder or by the name of an installed model (see 'ptdiff list model').

    ``device``: auto (GPU if available), cpu, cuda, cuda:1, mps.
    ``weights``: see :meth:`ptdiff.run.folder.Run.denoiser`.
    ``modality``, ``network``: the objects that were passed to :func:`ptdiff.train`, if any.
    ``warn``: called with a line about an ambiguous name or a damaged checkpoint.

    Raises RunError, with the nearest name, for a folder that is not a run or has no usable checkpoint.
    """
    found = Run.open(run, warn, modality)
    if network is not None:
        if found.config.modality != NAME:
            raise ValueError(
                f"network is only for runs trained on tensors; {found.path} was trained on {found.config.modality}"
            )
        found = replace(found, kind=Tensors(found.data, network))
    return Model.of(found, device=device, weights=weights, warn=warn)


@dataclass(frozen=True)
class Model:
    """A trained run with its weights.

    ``run``: the run folder.
    ``modality``: with the options of the run.
    ``data``: shape, classes and scale; contains samples only if they were read.
    ``denoiser``: in evaluation mode; ``denoiser(x, level, cond)`` is E[x_0 | x] in model units, for any solver.
    ``plan``: the default plan of sampling.
    ``weights``: as requested, see :meth:`ptdiff.run.folder.Run.denoiser`; None for the best ones of the run.
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
        """The model of a run.

        ``plan``: default: that of the run's configuration.
        ``data``: the data, if its samples are needed; scale and classes stay those of training.
        ``weights``, ``device``, ``warn``: see :func:`load`.  Raises ValueError if the shape of the data has changed.
        """
        known = run.data
        if data is not None:
            if data.shape != known.shape:
                raise ValueError(f"the data now has the shape {data.shape}, but had {known.shape} in training")
            known = replace(known, train=data.train, val=data.val)
        denoiser = run.denoiser(warn, weights=weights).to(host.device(device)).requires_grad_(False)
        return Model(run, run.modality(), known, denoiser, planned(run) if plan is None else plan, weights)

    @property
    def device(self) -> torch.device:
        """The device of the denoiser, on which samples are computed."""
        return next(self.denoiser.parameters()).device

    @property
    def means(self) -> bool:
        """True if the denoiser estimates E[x_0 | x]; False for consistency models, which estimate samples."""
        return self.run.means

    def planned(self, seed: int = 0, **options: Unpack[Options]) -> Plan:
        """The model's plan with ``options`` in place of its own; UnknownName or ValueError for wrong options."""
        given = {name: value for name, value in options.items() if value is not None}
        return checked(self.run, changed(self.plan, given), seed)

    def shape(self, points: Points | None = None) -> tuple[int, ...]:
        """The shape of one sample, with ``points`` elements for sets, the largest of a range; ValueError for others."""
        return shape_of(self.run, points)

    def labels(self, count: int, label: Label | None = None) -> Tensor | None:
        """The classes (count,) int64 of samples 0 … count - 1; None without classes.

        ``label``: see :data:`ptdiff.model.arguments.Label`; default: all classes in turn.
        """
        return labels_of(self.run, count, label)

    def sample(
        self,
        n: int = 16,
        *,
        first: int = 0,
        label: Label | None = None,
        conditions: Conditions | None = None,
        points: Points | None = None,
        seed: int = 0,
        batch: int | None = None,
        raw: bool = False,
        trajectory: bool = False,
        weak: Model | None = None,
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Unpack[Options],
    ) -> Samples:
        """Generate ``n`` samples; sample i depends only on (seed, i), its label and the plan.

        ``first``: number of the first sample; ``sample(2, first=5)`` are samples 5 and 6.
        ``label``: see :data:`ptdiff.model.arguments.Label`; default: all classes in turn.
        ``conditions``: ``{"atoms": 12}``, see :data:`ptdiff.model.arguments.Conditions`; default: not given.
        ``points``: of each sample of a set, any number, or a range such as "12..20"; default: as in training.
        Sets of different sizes are padded with NaN in memory, see :attr:`ptdiff.sampling.samples.Samples.sets`.
        ``batch``: samples at a time; changes the last digits.  Default: chosen from their size.
        ``raw``: skip the modality's postprocessing, such as rounding to the values of the data.
        ``trajectory``: keep all states from noise to data.
        ``weak``: a weaker model to guide away from (autoguidance; Karras et al. 2024).
        ``progress``: called with (done, total).  ``say``: called with a line about the work.
        ``options``: solver, steps, process, spacing, guidance, threshold, precision …, see
        :class:`ptdiff.sampling.options.Options`.

        Raises UnknownName or ValueError for wrong options, and ValueError if sampling diverged.
        """
        plan, shape = self.planned(seed, **options), self.shape(points)
        if first < 0:
            raise ValueError(f"first must be at least 0, not {first}")
        say = say or _silent
        given = conditions_of(self.run, n, label, conditions, first, say)
        mask = mask_for(self.run, n, points, seed, given, first)
        if mask is not None:
            given["mask"], shape = mask, (mask.shape[1], *shape[1:])
        if trajectory and isinstance(plan.solver, Adaptive):
            raise ValueError(
                "an adaptive solver takes different steps for each sample: use another solver to keep a trajectory"
            )
        if weak is not None and weak.data.shape[-1:] != self.data.shape[-1:]:
            raise ValueError(f"weak: the weaker model has data of a different shape, {weak.data.shape}")
        size = batch_size(n, shape, batch)
        some = torch.arange(first, first + min(size, n), device=self.device)
        told = {name: value[: len(some)].to(self.device) for name, value in given.items()}
        calls = (plan.cost(self.denoiser) or plan.steps) * math.ceil(n / size)
        way = quickest(self.denoiser, plan, some, shape, told, calls)
        if plan.precision == "auto":
            say(f"using {WORDS[way.precision]}, which is faster here")
        plan = replace(plan, precision=way.precision)
        network, against = Counted(self.denoiser), None if weak is None else Counted(weak.denoiser)
        denoiser = prepared(network, plan, self.data, against)
        # without a condition, only a weaker model can guide
        cost = plan.cost(denoiser if given.keys() - {"mask"} or weak is not None else network)
        say(f"{n} samples, {'an adaptive number of' if cost is None else cost} network calls each")
        out: list[Tensor] = []
        kept: list[list[Tensor]] = []
        with threads(way.threads):
            for rows in batches(n, size, self.device):
                cond = {name: value.to(self.device)[rows] for name, value in given.items()}
                if mask is not None:
                    # as wide as the largest set of the batch
                    cond["mask"] = cond["mask"][:, : int(cond["mask"].sum(dim=1).max())]
                    shape = (cond["mask"].shape[1], *shape[1:])
                states: list[Tensor] = []
                noisiest = 0.0
                for state in walk(denoiser, plan, first + rows, shape, cond):
                    if trajectory:
                        states.append(shown(state, self.data).cpu())
                    angle = math.atan2(*reversed(state.level))
                    noisiest = noisiest or angle
                    if progress is not None:
                        progress(int(rows[0]) + int((1 - angle / noisiest) * len(rows)), n)
                if mask is not None and not bool(torch.isfinite(state.x).all()):
                    raise ValueError(DIVERGED)
                x = finished(state, self.data)
                out.append((x if raw else by_size(x, self._postprocessed)).cpu())
                kept.append(states)
        if progress is not None:
            progress(n, n)
        spent = network.rows + (0 if against is None else against.rows)
        if cost is None or spent != n * cost:
            say(f"{spent / n:.4g} network calls for each sample")
        way_there = [stacked(parts) for parts in zip(*kept, strict=True)]
        passed = torch.stack(way_there) if way_there else None
        stored = self.stored(stacked(out), given.get("label"), passed, given, ragged=mask is not None)
        return Samples(stored, self.modality, plan, spent / n, way.threads)

    def evaluate(
        self,
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
        progress: Progress | None = None,
        say: Say | None = None,
        **options: Unpack[Options],
    ) -> Evaluation:
        """Score ``n`` samples against held-out data; all arguments: see :func:`ptdiff.evaluation.evaluate`."""
        from ptdiff.evaluation import evaluate

        return evaluate(
            self,
            n=n,
            protocol=protocol,
            metrics=metrics,
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
        conditions: Conditions | None = None,
        path: FlowPath | None = None,
        divergence: Divergence | None = None,
        seed: int = 0,
        batch: int | None = None,
        progress: Progress | None = None,
        say: Say | None = None,
    ) -> WorldLogLikelihood:
        """Compute log p(x) of x (n, *shape) in world units, by the probability flow.

        ``label``: classes of x, see :data:`ptdiff.model.arguments.Label`; default: those of Samples, none for arrays.
        ``conditions``: of x, see :data:`ptdiff.model.arguments.Conditions`; default: those of Samples, none for arrays.
        ``path``: levels and steps; default: under the process of the plan.
        ``divergence``, ``seed``, ``batch``, ``progress``, ``say``: see
        :func:`ptdiff.likelihood.world.world_log_likelihood`.

        Raises ValueError for a consistency model, for x of another shape, and if a likelihood is not finite.
        """
        from ptdiff.likelihood.flow import FlowPath
        from ptdiff.likelihood.world import world_log_likelihood
        from ptdiff.modality.offsets import without_origin

        if not self.means:
            raise ValueError("a network trained for consistency does not estimate E[x0 | x], so it has no likelihood")
        origin = self.data.origin
        if isinstance(x, Samples):
            values = torch.from_numpy(x.stored.moved(origin).samples)
        else:
            values = torch.from_numpy(without_origin(torch.as_tensor(x).detach().cpu().numpy(), origin)).float()
        if values.ndim != len(self.data.shape) + 1 or not self.takes(tuple(values.shape[1:])):
            raise ValueError(f"x must have the shape (n, *{self.data.shape}), not {tuple(values.shape)}")
        asked = dict(conditions or {})
        if isinstance(x, Samples):
            asked = {name: v for name, v in x.stored.conditions.items() if name in self.data.conditions} | asked
            if label is None and "label" not in asked and self.data.classes:
                label = x.labels
        elif label is None and "label" not in asked:
            label = "none"
        cond = conditions_of(self.run, len(values), label, asked)
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

    def export(
        self,
        to: Path | str,
        *,
        license: str | None = None,
        half: bool = False,
        samples: int = 9,
        replace: bool = False,
        say: Say | None = None,
    ) -> str:
        """Write the model for others and return where: a folder, an ``hf://owner/name`` on the Hub, or a file .onnx.

        All other arguments, and errors: see :func:`ptdiff.model.export.export`.
        """
        from ptdiff.model.export import export

        return export(self, to, license=license, half=half, samples=samples, replace=replace, say=say or _silent)

    def takes(self, shape: tuple[int, ...]) -> bool:
        """True if the network accepts samples of this shape; the first axis of sets may have any length."""
        own = self.data.shape
        return shape[1:] == own[1:] if self.data.unordered else shape == own

    def stored(
        self,
        samples: Tensor,
        labels: Tensor | None,
        trajectory: Tensor | None = None,
        cond: Condition | None = None,
        *,
        ragged: bool = False,
    ) -> Stored:
        """Samples (n, *shape) in world units with the metadata for files; ValueError if they are not finite.

        ``cond``: the condition of the samples, of which those that the data declares are kept.
        ``ragged``: True for sets of different sizes, padded with NaN.
        """
        array = _array(samples)
        if not (np.isfinite(array).all() or (ragged and len(sizes_of(array)))):
            raise ValueError(DIVERGED)
        label = np.full(len(array), -1) if labels is None else labels.numpy().astype(np.int64)
        config = self.run.config
        way = None if trajectory is None else _array(trajectory)
        told = {name: self._plain(name, value) for name, value in (cond or {}).items() if name in self.data.conditions}
        return Stored(array, label, self.data.classes, config.modality, config.options, way, self.data.origin, told)

    def _plain(self, name: str, value: Tensor) -> npt.NDArray[Any]:
        """A condition for a file of samples: numbers, or the names of categories."""
        kind = self.data.conditions[name]
        if isinstance(kind, Category):
            return np.array([kind.names[i] if i >= 0 else NOT_GIVEN for i in value.tolist()], dtype=np.str_)
        return value.cpu().numpy().astype(np.float32)

    def states(
        self,
        n: int = 16,
        *,
        label: Label | None = None,
        conditions: Conditions | None = None,
        points: Points | None = None,
        seed: int = 0,
        **options: Unpack[Options],
    ) -> Iterator[State]:
        """Iterate over the states of :meth:`sample` from noise to data, in one batch and in model units.

        A state has ``step``, ``level`` (alpha, sigma), ``x`` (n, *shape) and ``x0``, the latest estimate of the data;
        :meth:`finish` converts a state to samples.  The loop may stop at any state.  Options are checked at the call,
        before the first state.
        """
        plan, shape = self.planned(seed, **options), self.shape(points)
        cond = {name: value.to(self.device) for name, value in conditions_of(self.run, n, label, conditions).items()}
        mask = mask_for(self.run, n, points, seed, cond)
        if mask is not None:
            cond["mask"], shape = mask.to(self.device), (mask.shape[1], *shape[1:])
        return self.walk(torch.arange(n, device=self.device), cond, plan, shape)

    def walk(
        self, ids: Tensor, cond: Condition, plan: Plan | None = None, shape: tuple[int, ...] | None = None
    ) -> Iterator[State]:
        """Iterate over the states of samples ``ids`` (b,) under ``cond``, in model units, from noise to data."""
        plan = self.plan if plan is None else plan
        return walk(prepared(self.denoiser, plan, self.data), plan, ids, shape or self.data.shape, cond)

    def finish(self, state: State) -> Tensor:
        """Convert a state to samples (b, *shape) in world units, postprocessed; earlier states keep their noise."""
        return by_size(finished(state, self.data), self._postprocessed)

    def _postprocessed(self, x: Tensor) -> Tensor:
        return self.modality.postprocess(x, self.data)


def _array(x: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = x.numpy().astype(np.float32)
    return array


def _silent(line: Any) -> None:
    pass
