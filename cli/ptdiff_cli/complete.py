"""``ptdiff complete``: whole sets from a part of one.  What it shares with ``ptdiff upsample`` is :func:`filled`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import Plan
    from ptdiff_cli.shared.given import Frame, Given

METHODS = ("replacement", "pigdm", "mmps")
_FAR = 4.0
"""No shape that was centered and scaled reaches so far: in a box of diagonal 1 0.5, with deviation 1 a few."""


def complete(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
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
    frame: Annotated[
        str | None,
        typer.Option(help="x,y,z,size: center and size of the whole shape, in the file's units; see the page."),
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
    device: Device = "auto",
) -> None:
    """Complete part of a cloud: ptdiff complete RUN part.ply -n 4.

    The given points come first in every completion.  Where a run was trained on shapes that were each centered and
    scaled, a part in units of its own needs --frame: 0,1.2,0,3.5 takes (0, 1.2, 0) off and divides by 3.5, and the
    completions come back in the file's units.
    """
    from ptdiff.choices import unknown
    from ptdiff.run.folder import Run
    from ptdiff_cli.shared.given import fitting, labels_of, read_given, write_samples
    from ptdiff_cli.shared.sampling_options import make_plan, scale, shape_of

    found = Run.open(run, say)
    if not found.data.unordered:
        raise ValueError(f"sets are completed, and samples of {found.config.modality} are none")
    if method is not None and method not in METHODS:
        raise unknown("method", method, METHODS)
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    before = read_given(file, found.modality())
    around = _frame(found, before, file, frame)
    part = fitting(found, before, file, around)[0]
    shape = shape_of(found, points)
    kept = _some(part, min(held or max(1, shape[0] // 2), shape[0], len(part)), seed)
    labels = labels_of(found, before.classes[:1] * count, label)
    say(f"{len(kept)} of {len(part)} given points are held among {shape[0]}")
    after = filled(found, plan, part, kept, shape, count, labels, method, weights, batch, device)
    target = out or found.outputs / "samples" / f"complete-{file.stem}-seed-{seed}.npz"
    write_samples(found, after, labels, target, around)
    say(f"{count} completions of {shape[0]} points: {target}")
    say(f"next: ptdiff render {target}")


def filled(
    run: Run,
    plan: Plan,
    part: Tensor,
    kept: Tensor,
    shape: tuple[int, ...],
    count: int,
    labels: Tensor | None,
    method: str | None,
    weights: str | None,
    batch: int | None,
    device: str,
) -> Tensor:
    """``count`` sets of ``shape`` in model units that begin with ``kept``; a model made for it is given ``part``.

    method: of ptdiff/inverse by name; None for the condition, if the model was trained for it, and replacement.
    """
    import torch

    from ptdiff.inverse import METHODS as ALL
    from ptdiff.machine import host
    from ptdiff.modality.data import Condition
    from ptdiff.sampling.editing import complete as completed
    from ptdiff_cli.shared.given import in_batches, model_of

    condition = None if method is not None else run.modality().given(run.data, run.data.world(part), count)
    name = method or "replacement"
    say(f"by {name}" if condition is None else "by a model that is given them")
    where = host.device(device)
    model = model_of(run, plan, weights, where)

    def make(ids: torch.Tensor) -> torch.Tensor:
        cond: Condition = {
            key: value.to(ids.device)[ids]
            for key, value in {**(condition or {}), **({} if labels is None else {"label": labels})}.items()
        }
        return completed(model, plan, ALL[name](), kept.to(ids.device), shape[0], ids, cond)

    return in_batches(count, shape, batch, where, make)


def _frame(run: Run, given: Given, path: Path, text: str | None) -> Frame | None:
    """Of --frame; ValueError where one is needed: a part does not tell the center and the size of the whole."""
    import numpy as np

    from ptdiff_cli.shared.given import frame_of

    width = given.samples.shape[-1]
    if text is not None:
        try:
            *center, size = (float(word) for word in text.split(","))
        except ValueError:
            center, size = [], 0.0
        if len(center) != 3 or not 0 < size < float("inf") or not np.isfinite(center).all():
            raise ValueError(f"--frame {text}: four numbers x,y,z,size with a size above 0, such as 0,1.2,0,3.5")
        return np.array([*center, *[0.0] * (width - 3)], np.float32), size
    reach = float(np.abs(given.samples[..., :3]).max())
    if frame_of(run, given, path) is not None and reach > _FAR:
        raise ValueError(
            f"{path} reaches to {reach:.4g}, and {run.path} knows shapes that were each centered and scaled "
            f"({run.data.summary['normalize']}): say with --frame x,y,z,size what the whole shape's are"
        )
    return None


def _some(part: Tensor, count: int, seed: int) -> Tensor:
    """``count`` elements of a set (m, …), drawn by the seed, in their order; all of them where there are no more."""
    import torch

    from ptdiff.noise import Stream, uniform

    order = uniform(seed, Stream.ORDER, torch.zeros(1, dtype=torch.int64), 0, (len(part),))[0].argsort()
    return part[order[:count].sort().values]
