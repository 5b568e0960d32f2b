"""Drawing samples from a run: what ``sample``, ``eval`` and ``render`` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff_cli.terminal import progress, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from ptdiff.data import Condition
    from ptdiff.run import Run
    from ptdiff.sampling import Plan
    from ptdiff.solvers import State


@dataclass(frozen=True)
class Drawn:
    """Samples in world units (n, *shape), their labels (n,), -1 where there are no classes, and all states if kept."""

    samples: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    trajectory: npt.NDArray[np.float32] | None = None


def make_plan(
    run: Run,
    *,
    solver: str | None = None,
    steps: int | None = None,
    process: str | None = None,
    spacing: str | None = None,
    guidance: float | None = None,
    seed: int = 0,
    settings: list[str] | None = None,
) -> Plan:
    """The run's own way of sampling, with what the command line says instead."""
    from ptdiff.config import merged
    from ptdiff.config import settings as parse
    from ptdiff.names import choose, unknown
    from ptdiff.process import PROCESSES
    from ptdiff.sampling import Plan
    from ptdiff.solvers import SOLVERS

    base: dict[str, Any] = {"solver": run.config.sampling.solver, "process": run.config.process}
    over = {key: {"name": name} for key, name in (("solver", solver), ("process", process)) if name is not None}
    extra = parse(settings or [], "solver.key=value")
    for key in extra:
        if key not in base:
            raise unknown("section", key, base)
    chosen = merged(merged(base, over), extra)
    plan = Plan(
        process=choose("process", PROCESSES, chosen["process"]),
        solver=choose("solver", SOLVERS, chosen["solver"]),
        steps=run.config.sampling.steps if steps is None else steps,
        spacing=run.config.sampling.spacing if spacing is None else spacing,
        guidance=run.config.sampling.guidance if guidance is None else guidance,
        seed=seed,
    )
    plan.table()  # a wrong combination ends here, before the model is loaded
    return plan


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
    from ptdiff.names import unknown

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
    batch: int | None = None,
    keep: Callable[[int], bool] | None = None,
) -> Drawn:
    """``count`` samples with ``labels`` (count,) or without; ``keep`` picks the steps whose states are kept."""
    import numpy as np
    import torch

    from ptdiff.sampling import shown, walk

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = run.denoiser(say).to(device)
    kind = run.modality()
    table = plan.table()
    calls = table.calls * (2 if plan.guidance != 1 and labels is not None else 1)
    say(f"{count} samples, {calls} calls of the network each")
    # a batch keeps the largest activation of a network of width 64 near 64 MiB
    size = batch or max(1, min(count, 2**18 // max(1, int(np.prod(shape)))))
    out: list[Tensor] = []
    kept: list[list[Tensor]] = []
    with progress("samples") as bar:
        task = bar.add_task("sample", total=count, note="")
        for first in range(0, count, size):
            ids = torch.arange(first, min(first + size, count), device=device)
            cond: Condition = {} if labels is None else {"label": labels[first : first + size].to(device)}
            states: list[Tensor] = []
            state: State | None = None
            for state in walk(model, plan, ids, shape, cond):
                if keep is not None and keep(state.step):
                    states.append(shown(state, run.data).cpu())
                share = state.step / (len(table.levels) - 1)
                bar.update(task, completed=first + int(share * len(ids)), note=f"step {state.step}")
            assert state is not None
            out.append(kind.postprocess(run.data.world(state.x)).cpu())
            kept.append(states)
    samples = torch.cat(out).numpy().astype(np.float32)
    if not np.isfinite(samples).all():
        raise ValueError("the samples are not finite: this model does not bear this process, solver and grid")
    known = np.full(count, -1, dtype=np.int64) if labels is None else labels.numpy().astype(np.int64)
    trajectory = None
    if keep is not None:
        trajectory = np.stack([torch.cat(parts).numpy() for parts in zip(*kept, strict=True)]).astype(np.float32)
    return Drawn(samples, known, trajectory)


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
