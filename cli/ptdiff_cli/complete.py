"""``ptdiff complete``: whole sets from a part of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("replacement", "pigdm", "mmps")


def complete(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    file: Annotated[Path, typer.Argument(help="The part: .npz (its first sample), or a file such as .ply.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many completions.")] = 4,
    points: Annotated[int | None, typer.Option(help="Points of each completion, the given ones included.")] = None,
    held: Annotated[
        int | None, typer.Option(min=1, help="Given points that are held, drawn at random; default half at most.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="replacement, pigdm or mmps; default the condition, if trained for it, and replacement."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="A class by name or number, or none; default the file's.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under; any works.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid: see 'ptdiff list spacing'.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Completion i depends on (seed, i) alone.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, guidance …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, or a format of the data).")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Completions at a time.")] = None,
) -> None:
    """Complete part of a cloud: ptdiff complete RUN part.ply -n 4.

    The given points come first in every completion. They are in the units of the run's data.
    """
    import torch

    from ptdiff.data import Condition
    from ptdiff.editing import complete as completed
    from ptdiff.inverse import METHODS as ALL
    from ptdiff.names import unknown
    from ptdiff.run import Run
    from ptdiff_cli.drawing import make_plan, scale, shape_of
    from ptdiff_cli.given import fitting, in_batches, labels_of, model_of, read_given, write_samples

    found = Run.open(run)
    if not found.data.unordered:
        raise ValueError(f"sets are completed, and samples of {found.config.modality} are none")
    if method is not None and method not in METHODS:
        raise unknown("method", method, METHODS)
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    before = read_given(file, found.modality())
    part = fitting(found, before, file)[0]
    shape = shape_of(found, points)
    kept = _some(part, min(held or max(1, shape[0] // 2), shape[0], len(part)), seed)
    labels = labels_of(found, before.classes[:1] * count, label)
    condition = None if method is not None else found.modality().given(found.data, found.data.world(part), count)
    name = method or "replacement"
    how = f"by {name}" if condition is None else "by a model that is given them"
    say(f"{len(kept)} of {len(part)} given points are held among {shape[0]}, {how}")
    model = model_of(found, plan, weights)

    def make(ids: torch.Tensor) -> torch.Tensor:
        cond: Condition = {
            key: value.to(ids.device)[ids]
            for key, value in {**(condition or {}), **({} if labels is None else {"label": labels})}.items()
        }
        return completed(model, plan, ALL[name](), kept.to(ids.device), shape[0], ids, cond)

    after = in_batches(count, shape, batch, make)
    target = out or found.path / "samples" / f"complete-{file.stem}-seed-{seed}.npz"
    write_samples(found, after, labels, target)
    say(f"{count} completions of {shape[0]} points: {target}")


def _some(part: Tensor, count: int, seed: int) -> Tensor:
    """``count`` elements of a set (m, …), drawn by the seed, in their order; all of them where there are no more."""
    import torch

    from ptdiff.noise import Stream, uniform

    order = uniform(seed, Stream.ORDER, torch.zeros(1, dtype=torch.int64), 0, (len(part),))[0].argsort()
    return part[order[:count].sort().values]
