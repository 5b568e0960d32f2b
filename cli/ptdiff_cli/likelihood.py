"""``ptdiff likelihood``: how probable a run finds data, in nats and in bits per dimension."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, bad_data, progress, say, show_json, show_table

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.likelihood.divergence import Divergence
    from ptdiff.likelihood.flow import LogLikelihood
    from ptdiff.likelihood.flow import Path as Flowline
    from ptdiff.modality.data import Condition
    from ptdiff.run.folder import Run


def likelihood(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    count: Annotated[int, typer.Option("-n", "--count", min=2, help="How many samples, at most the whole split.")] = 64,
    split: Annotated[str, typer.Option(help="val or train.")] = "val",
    probes: Annotated[int | None, typer.Option(min=2, help="Random probes of the divergence, default 8.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Exact divergence: as many products as dimensions.")] = False,
    steps: Annotated[int, typer.Option(min=2, help="Steps along the flow, even; four calls each.")] = 48,
    sigma_min: Annotated[float, typer.Option(min=0, help="Noise of the cleanest level, for data of width 1.")] = 1e-3,
    process: Annotated[str | None, typer.Option(help="Process whose end is the prior; default the run's.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width: an average after the fact.")
    ] = None,
    unconditional: Annotated[bool, typer.Option("--unconditional", help="Do not tell the network the class.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which samples, and which probes.")] = 0,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time.")] = None,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="File (.npz) for the values of every sample.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Negative log-likelihood of held-out data: ptdiff likelihood RUN."""
    import torch

    from ptdiff.choices import choose, described, unknown
    from ptdiff.likelihood.bits import bits_per_dimension, dequantize, world_nats
    from ptdiff.likelihood.divergence import DIVERGENCES, Exact, Hutchinson
    from ptdiff.likelihood.flow import Path as Flowline
    from ptdiff.process import PROCESSES
    from ptdiff.run.folder import Run
    from ptdiff.sampling.files import write_npz

    if exact and probes is not None:
        raise ValueError("--exact needs no --probes: choose one of them")
    if out is not None and out.suffix != ".npz":
        raise ValueError(f"--out {out}: values of samples are written to a file that ends in .npz")
    found = Run.open(run, say)
    if not found.means:
        raise ValueError(
            "a network trained for consistency estimates no E[x0 | x], and so has no likelihood by the flow"
        )
    choice = found.config.process if process is None else {"name": process}
    path = Flowline(choose("process", PROCESSES, choice), steps, sigma_min)
    kind: Divergence = Exact() if exact else Hutchinson(8 if probes is None else probes)
    own = found.modality()
    with bad_data("data"):
        data = own.dataset()
    splits = {"val": data.val, "train": data.train}
    if split not in splits:
        raise unknown("split", split, splits)
    target = splits[split]
    if target is None or len(target) < 2:
        raise Failure(f"there is no {split} split of two samples or more", BAD_DATA)
    n = min(count, len(target))
    if n < count:
        say(f"there are {n} samples in the {split} split: all of them are taken")
    # classes often come in turn, so the samples are drawn
    ids = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))[:n].sort().values
    with bad_data("data"):
        x, cond = target.batch(ids, seed)
    if unconditional:
        cond = {}
    width, shape, size = own.bin_width, tuple(x.shape[1:]), x[0].numel()
    if width is not None:
        x = dequantize(x, width, seed, ids)
    model_units = _measure(found, x, cond, path, kind, seed, ids, batch, weights, device)
    if not torch.isfinite(model_units.nats).all():
        raise ValueError("the likelihoods are not finite: try more steps, or a larger --sigma-min")
    nats = world_nats(model_units.nats, found.data, shape)
    error = model_units.standard_error
    result: dict[str, Any] = {
        "n": n,
        "split": split,
        "shape": list(shape),
        "given": sorted(cond),
        "nats": _summary(-nats, error),
        "nats_in_model_units": _summary(-model_units.nats, error),
        "bits_per_dimension": _summary(bits_per_dimension(nats, size, width), bits_per_dimension(-error, size)),
    }
    without = world_nats(model_units.nats + model_units.start_gap, found.data, shape)
    result["nats_without_noise"] = _summary(-without, error)
    if found.data.unordered:
        result["nats_per_point"] = _summary(-nats / shape[0], error / shape[0])
    result |= {
        "bin_width": width,
        "step_error": float(model_units.step_error.mean()),
        "start_gap": float(model_units.start_gap.mean()),
        "prior_gap": float(model_units.prior_gap.mean()),
        "calls": model_units.calls,
        "divergence": described(DIVERGENCES, kind),
        "process": described(PROCESSES, path.process),
        "steps": steps,
        "sigma_min": model_units.sigma_min,
        "seed": seed,
        "weights": weights,
        "step": found.checkpoint().step,
    }
    if out is not None:
        own_errors = {"step_error": model_units.step_error, "start_gap": model_units.start_gap}
        arrays = {"nats": nats, "standard_error": error, **own_errors, "id": ids, **cond}
        write_npz(out, **{name: value.numpy() for name, value in arrays.items()})
        say(f"the values of every sample: {out}")
    if as_json:
        show_json(result)
        return
    given = f" given the {', '.join(cond)}" if cond else ""
    unit = "density in world units" if width is None else f"values {width:.4g} apart, dequantised"
    noise = f"noise of {model_units.sigma_min:.4g}"
    names = {
        "nats": f"nats, data with {noise}",
        "nats_without_noise": "nats, extrapolated to none",
        "nats_per_point": "nats per point",
        "bits_per_dimension": "bits per dimension",
    }
    rows = [
        [names[key], *(f"{result[key][part]:.4g}" for part in ("value", "standard_error", "probe_error"))]
        for key in names
        if key in result
    ]
    show_table([f"NLL{given}, n = {n}", "mean", "± samples", "± probes"], rows)
    steps_error, gap = result["step_error"], result["prior_gap"]
    say(f"{unit}; discretization ± {steps_error:.2g} nats, the prior adds {gap:.2g} nats at most")


def _measure(
    run: Run,
    x: Tensor,
    cond: Condition,
    path: Flowline,
    kind: Divergence,
    seed: int,
    ids: Tensor,
    batch: int | None,
    weights: str | None,
    device: str,
) -> LogLikelihood:
    """Log-likelihoods of x (n, …), world units, in model units and on the CPU."""
    import torch

    from ptdiff.likelihood.flow import LogLikelihood, log_likelihood
    from ptdiff.machine import host

    where = host.device(device)
    model = run.denoiser(say, weights=weights).to(where).requires_grad_(False)
    size = x[0].numel()
    say(f"{len(x)} samples, {path.calls * (1 + kind.products(size)):,} evaluations of the network each")
    z = run.data.normalize(x)
    rows = batch or max(1, min(len(x), 2**14 // size))
    parts = []
    with progress("samples") as bar:
        task = bar.add_task("likelihood", total=len(x), note="")
        for first in range(0, len(x), rows):
            some = slice(first, first + rows)
            given = {name: value[some].to(where) for name, value in cond.items()}
            parts.append(
                log_likelihood(
                    model, z[some].to(where), given, path=path, divergence=kind, seed=seed, ids=ids[some].to(where)
                )
            )
            bar.update(task, advance=len(z[some]))
    names = ("nats", "standard_error", "step_error", "start_gap", "prior_gap")
    whole = {name: torch.cat([getattr(part, name) for part in parts]).cpu() for name in names}
    return LogLikelihood(**whole, sigma_min=path.lowest, calls=parts[0].calls)


def _summary(values: Tensor, errors: Tensor) -> dict[str, float]:
    """Mean of (n,) with its standard errors: over samples, and over the probes alone."""
    n = len(values)
    return {
        "value": float(values.mean()),
        "standard_error": float(values.std()) / n**0.5,
        "probe_error": float(errors.square().sum().sqrt()) / n,
    }
