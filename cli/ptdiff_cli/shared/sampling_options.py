"""Drawing samples from a run: what ``sample``, ``eval`` and ``render`` share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff_cli.shared.terminal import progress, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from ptdiff.modality.data import Condition
    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import Plan
    from ptdiff.solvers import State


@dataclass(frozen=True)
class Drawn:
    """Samples in world units (n, *shape), their labels (n,), -1 where there are no classes, and all states if kept.

    calls: evaluations of the network for each sample, counted.   plan, threads: how they were computed.
    """

    samples: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    trajectory: npt.NDArray[np.float32] | None
    calls: float
    plan: Plan
    threads: int


def make_plan(run: Run, over: Mapping[str, Any], settings: list[str] | None = None, seed: int = 0) -> Plan:
    """The run's own way of sampling, with what the command line says instead.

    over: option to value, None where it was not given; "process" beside the keys of the section ``sampling``.
    """
    from ptdiff.choices import unknown
    from ptdiff.run.config import merged, read, sampling
    from ptdiff.run.config import settings as parse
    from ptdiff.sampling.walk import Plan
    from ptdiff.solvers import Adaptive

    if over.get("spacing") is not None and Path(over["spacing"]).suffix == ".yaml":
        if not Path(over["spacing"]).is_file():
            raise ValueError(f"--spacing {over['spacing']}: there is no such file ('ptdiff optimize' writes them)")
        over = {**over, "spacing": read(Path(over["spacing"]))}
    base = {"process": run.config.process, **run.config.sampling.model_dump()}
    extra = parse(settings or [], "solver.key=value")
    for key in extra:
        if key not in base:
            raise unknown("section", key, base)
    # among themselves first: an option and the name it belongs to come in any order
    asked = merged({key: value for key, value in over.items() if value is not None}, extra)
    chosen = merged(base, asked)
    plan = Plan.chosen(chosen.pop("process"), sampling(chosen), seed)
    # a wrong combination ends here, before the model is loaded
    if not run.means:
        from ptdiff.objective.consistency import check_solver

        check_solver(run.config, plan.solver)
    if isinstance(plan.solver, Adaptive):
        plan.levels()
    else:
        plan.table()
    return plan


def scale(guidance: float | None) -> dict[str, float] | None:
    """--guidance as the option of whatever rule the run is configured with."""
    return None if guidance is None else {"scale": guidance}


def facts(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, all options included."""
    from ptdiff.choices import described
    from ptdiff.grid import SPACINGS
    from ptdiff.guidance import GUIDANCE
    from ptdiff.guidance.threshold import THRESHOLDS
    from ptdiff.process import PROCESSES
    from ptdiff.solvers import ADAPTIVE, SOLVERS

    spacing = plan.spacing
    return {
        "process": described(PROCESSES, plan.process),
        "solver": described(SOLVERS | ADAPTIVE, plan.solver),
        "steps": plan.steps,
        "spacing": spacing if isinstance(spacing, str) else described(SPACINGS, spacing),
        "end": plan.end,
        "guidance": described(GUIDANCE, plan.guidance),
        "threshold": None if plan.threshold is None else described(THRESHOLDS, plan.threshold),
        "noise": plan.noise,
        "precision": plan.precision,
        "seed": plan.seed,
    }


def shape_of(run: Run, points: int | None) -> tuple[int, ...]:
    """The shape of one sample, with another number of points where the data is a set."""
    if points is None:
        return run.data.shape
    if not run.data.unordered:
        raise ValueError(f"--points is for sets; samples of {run.config.modality} have the shape {run.data.shape}")
    if points < 1:
        raise ValueError(f"--points must be at least 1, not {points}")
    return (points, *run.data.shape[1:])


def label_of(run: Run, label: str) -> int:
    """The number of a class, given by name or number."""
    from ptdiff.choices import unknown

    classes = run.data.classes
    if not classes:
        raise ValueError("--label: this run was trained without classes")
    if label in classes:
        return classes.index(label)
    if label.isdecimal() and int(label) < len(classes):
        return int(label)
    raise unknown("class", label, classes)


def draw_samples(
    run: Run,
    plan: Plan,
    labels: Tensor | None,
    count: int,
    shape: tuple[int, ...],
    *,
    device: str = "auto",
    batch: int | None = None,
    keep: Callable[[int], bool] | None = None,
    weak: Run | None = None,
    weights: str | None = None,
    raw: bool = False,
) -> Drawn:
    """``count`` samples with ``labels`` (count,) or without; ``keep`` picks the steps whose states are kept.

    weak: a run to be guided away from (autoguidance).  weights: which of the run's, see Run.denoiser.
    raw: without the modality's last touch.  device: by name, see ptdiff.machine.host.device.
    """
    import numpy as np
    import torch

    from ptdiff.denoiser.cost import Counted
    from ptdiff.machine import host
    from ptdiff.machine.race import WORDS, threads
    from ptdiff.sampling.trial import quickest
    from ptdiff.sampling.walk import finished, postprocessed, prepared, shown, walk
    from ptdiff.solvers import Adaptive

    where = host.device(device)
    network = run.denoiser(say, weights=weights).to(where)
    # a batch keeps the largest activation of a network of width 64 near 64 MiB
    size = batch or max(1, min(count, 2**18 // max(1, int(np.prod(shape)))))
    some = torch.arange(min(size, count), device=where)
    told: Condition = {} if labels is None else {"label": labels[: len(some)].to(where)}
    way = quickest(network, plan, some, shape, told, (plan.cost(network) or plan.steps) * math.ceil(count / size))
    if plan.precision == "auto":
        say(f"the network works in {WORDS[way.precision]}, which is faster here")
    plan = replace(plan, precision=way.precision)
    model = Counted(network)
    against = None if weak is None else Counted(weak.denoiser(say).to(where))
    denoiser = prepared(model, plan, run.data, against)
    kind = run.modality()
    if keep is not None and isinstance(plan.solver, Adaptive):
        raise ValueError("an adaptive solver gives every sample steps of its own: there are no common states to keep")
    # without a condition there is nothing to guide by, unless a weaker model does
    known_cost = plan.cost(denoiser if labels is not None or weak is not None else model)
    cost = "the solver decides how many" if known_cost is None else str(known_cost)
    say(f"{count} samples, {cost} calls of the network each")
    out: list[Tensor] = []
    kept: list[list[Tensor]] = []
    with progress("samples") as bar, threads(way.threads):
        task = bar.add_task("sample", total=count, note="")
        for first in range(0, count, size):
            ids = torch.arange(first, min(first + size, count), device=where)
            cond: Condition = {} if labels is None else {"label": labels[first : first + size].to(where)}
            states: list[Tensor] = []
            state: State | None = None
            noisiest: tuple[float, float] | None = None
            for state in walk(denoiser, plan, ids, shape, cond):
                if keep is not None and keep(state.step):
                    states.append(shown(state, run.data).cpu())
                noisiest = noisiest or state.level
                share = 1 - math.atan2(*reversed(state.level)) / math.atan2(*reversed(noisiest))
                bar.update(task, completed=first + int(share * len(ids)), note=f"step {state.step}")
            assert state is not None
            x = finished(state, run.data)
            out.append((x if raw else postprocessed(kind, x, run.data)).cpu())
            kept.append(states)
    samples = torch.cat(out).numpy().astype(np.float32)
    if not np.isfinite(samples).all():
        raise ValueError("the samples are not finite: this model does not bear this process, solver and grid")
    known = np.full(count, -1, dtype=np.int64) if labels is None else labels.numpy().astype(np.int64)
    trajectory = None
    if keep is not None:
        trajectory = np.stack([torch.cat(parts).numpy() for parts in zip(*kept, strict=True)]).astype(np.float32)
    spent = model.rows + (0 if against is None else against.rows)
    if known_cost is None or spent != count * known_cost:
        say(f"{spent / count:.4g} calls of the network for each sample")
    return Drawn(samples, known, trajectory, spent / count, plan, way.threads)


def titles(run: Run, labels: npt.NDArray[np.int64]) -> list[str]:
    """The class under each sample; nothing for data without classes."""
    classes = run.data.classes
    return [classes[i] if i >= 0 else "" for i in labels] if classes else []


def write_npz(path: Path, **arrays: Any) -> None:
    """An npz file, written whole or not at all."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp.npz")
    try:
        np.savez(temporary, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
