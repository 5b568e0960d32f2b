"""``ptdiff interpolate``: samples on the way from one to another, by way of the noise they are made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import say

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ptdiff.denoiser.network import Denoiser
    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import Plan


def interpolate(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Two files: the first sample of each is an end.")] = None,
    from_: Annotated[int, typer.Option("--from", min=0, help="Without files: the sample of this number …")] = 0,
    to: Annotated[int, typer.Option(min=0, help="… and that one, as 'ptdiff sample' numbers them.")] = 1,
    frames: Annotated[int, typer.Option(min=2, help="Samples on the way, both ends included.")] = 8,
    label: Annotated[
        str | None, typer.Option(help="A class by name or number, or none; default the nearer end's own.")
    ] = None,
    points: Annotated[int | None, typer.Option(help="Without files: points of each cloud.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver that adds no noise: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver; with files 50.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under; any works.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid; with files log-snr.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Without files: of the samples.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, guidance …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, or a format of the data).")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time.")] = None,
    device: Device = "auto",
) -> None:
    """Pass from one sample to another: ptdiff interpolate RUN --from 0 --to 5.

    The ends' noises are known, or found by following the probability flow backwards; the way between is the great
    circle. Of sets the points are matched first, by assignment between the two noises.
    """
    import torch

    from ptdiff.machine import host
    from ptdiff.modality.data import Condition
    from ptdiff.run.folder import Run
    from ptdiff.sampling.editing import between, denoised, matched
    from ptdiff_cli.shared.given import in_batches, model_of, write_samples
    from ptdiff_cli.shared.sampling_options import make_plan, scale

    if files and len(files) != 2:
        raise ValueError(f"a way has two ends: give two files or none, not {len(files)}")
    if files and points is not None:
        raise ValueError("--points is for samples that are drawn, not for files")
    found = Run.open(run, say)
    if files:
        steps, spacing = steps or 50, spacing or "log-snr"
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    _without_noise(plan)
    where = host.device(device)
    model = model_of(found, plan, weights, where)
    ends, labels, codes = (
        _of_files(found, plan, model, files, label, where)
        if files
        else _drawn(found, plan, model, (from_, to), label, points, where)
    )
    first, second = ends
    if found.data.unordered:
        second = matched(first, second)
    path = between(first, second, frames)
    # the class of the nearer end; in the middle it changes
    nearer = (torch.arange(frames) >= (frames + 1) // 2).long()
    known = None if labels is None else labels[nearer]

    def make(ids: torch.Tensor) -> torch.Tensor:
        cond: Condition = {} if known is None else {"label": known.to(ids.device)[ids]}
        if codes is not None:
            share = (ids / (frames - 1))[:, None].to(codes)
            cond = {**cond, "code": codes[0] * (1 - share) + codes[1] * share}
        return denoised(model, plan, path.to(ids.device)[ids], plan.levels(), ids, cond)

    after = in_batches(frames, tuple(first.shape), batch, where, make)
    target = out or found.outputs / "samples" / f"interpolate-{from_}-{to}-seed-{seed}.npz"
    write_samples(found, after, known, target)
    say(f"{frames} samples of shape {tuple(first.shape)}: {target}")
    if files:
        _report(found, after, files)


def _without_noise(plan: Plan) -> None:
    from ptdiff.solvers import Adaptive

    if not isinstance(plan.solver, Adaptive) and plan.table().stochastic:
        raise ValueError("a solver that adds noise has no way back to the noise: choose heun, ddim, dpm++2m …")


def _drawn(
    run: Run,
    plan: Plan,
    model: Denoiser,
    numbers: tuple[int, int],
    label: str | None,
    points: int | None,
    where: torch.device,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The noises of two samples of ``ptdiff sample``, their classes, and their codes where they have such."""
    import torch

    from ptdiff.denoiser.latent_code import drawn
    from ptdiff.sampling.walk import spread_labels, start
    from ptdiff_cli.shared.sampling_options import label_of, shape_of

    ids = torch.tensor(numbers)
    labels = spread_labels(ids, len(run.data.classes)).get("label")
    if label is not None:
        labels = None if label == "none" else torch.full((2,), label_of(run, label))
    cond = {} if labels is None else {"label": labels.to(where)}
    codes = drawn(model, cond, plan.seed, ids.to(where))
    return start(plan, ids, shape_of(run, points)), labels, codes.get("code")


def _of_files(
    run: Run, plan: Plan, model: Denoiser, files: list[Path], label: str | None, where: torch.device
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The noises of the first samples of two files, their classes, and their codes where the model reads such."""
    import torch

    from ptdiff.denoiser.latent_code import read
    from ptdiff.sampling.editing import encode
    from ptdiff_cli.shared.given import fitting, frame_of, labels_of, read_given

    both = [read_given(file, run.modality()) for file in files]
    x0 = [fitting(run, one, file, frame_of(run, one, file))[:1] for one, file in zip(both, files, strict=True)]
    if x0[0].shape != x0[1].shape:
        few = min(len(x0[0][0]), len(x0[1][0]))
        say(f"the clouds have {len(x0[0][0])} and {len(x0[1][0])} points: the first {few} of each are taken")
        x0 = [one[:, :few] for one in x0]
    labels = labels_of(run, [one.classes[0] for one in both], label)
    clean = torch.cat(x0).to(where)
    cond = read(model, clean, {} if labels is None else {"label": labels.to(where)})
    return encode(model, plan, clean, cond), labels, cond.get("code")


def _report(run: Run, after: Tensor, files: list[Path]) -> None:
    """How near the ends are to the files, point by point; sets are the same in any order."""
    from ptdiff.sampling.editing import matched
    from ptdiff_cli.shared.given import fitting, frame_of, read_given

    gaps = []
    for file, end in zip(files, (after[0], after[-1]), strict=True):
        given = read_given(file, run.modality())
        true = fitting(run, given, file, frame_of(run, given, file))[0][: len(end)]
        gap = end - (matched(end, true) if run.data.unordered else true)
        gaps.append(float(gap.square().mean().sqrt()))
    say(f"the ends differ from the files by {gaps[0]:.2g} and {gaps[1]:.2g} (rms, data has 1): more --steps, less")
