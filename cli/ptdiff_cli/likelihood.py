"""``ptdiff likelihood``: the log-likelihood of data under a run, in nats and in bits per dimension."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import counted, say, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.model.likelihoods import SplitLikelihood


def likelihood(
    run: options.RunOrModel,
    count: Annotated[int, typer.Option("-n", "--count", min=2, help="Number of samples.")] = 64,
    split: options.Split = "val",
    probes: Annotated[
        int | None, typer.Option(min=2, help="Number of random probes of the divergence; default: 8.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compute the divergence exactly; slow for many dimensions.")
    ] = False,
    steps: Annotated[
        int, typer.Option(min=2, help="Number of steps along the flow, even; four network calls each.")
    ] = 48,
    sigma_min: Annotated[float, typer.Option(min=0, help="Lowest noise level, for data of unit variance.")] = 1e-3,
    process: options.Process = None,
    weights: options.Weights = None,
    unconditional: Annotated[bool, typer.Option("--unconditional", help="Ignore the classes.")] = False,
    seed: options.Seed = 0,
    batch: options.Batch = None,
    device: options.Device = "auto",
    out: Annotated[
        Path | None, typer.Option(callback=writable, help="Output file (.npz) for the value of each sample.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compute the negative log-likelihood of held-out data: ptdiff likelihood RUN."""
    from ptdiff.choices import choose
    from ptdiff.likelihood.divergence import Exact, Hutchinson
    from ptdiff.likelihood.flow import FlowPath
    from ptdiff.model.likelihoods import split_likelihood
    from ptdiff.model.loaded import Model
    from ptdiff.process import PROCESSES
    from ptdiff.run.folder import Run

    if exact and probes is not None:
        raise ValueError("--exact uses no probes: leave out --probes or --exact")
    if out is not None and out.suffix != ".npz":
        raise ValueError(f"--out {out}: the file name must end in .npz")
    found = Run.open(run, say)
    choice = found.config.process if process is None else {"name": process}
    path = FlowPath(choose("process", PROCESSES, choice), steps, sigma_min)
    model = Model.of(found, weights=weights, device=device, warn=say)
    with counted("samples", "likelihood") as move:
        result = split_likelihood(
            model,
            count,
            split=split,
            path=path,
            divergence=Exact() if exact else Hutchinson(8 if probes is None else probes),
            unconditional=unconditional,
            seed=seed,
            batch=batch,
            progress=move,
            say=say,
        )
    if out is not None:
        say(f"values of each sample: {result.save(out)}")
    if as_json:
        show_json(result.to_json())
    else:
        _show(result)


def _show(result: SplitLikelihood) -> None:
    """Print the means as a table, and their units."""
    found, errors = result.likelihood, result.likelihood.model_units
    given = f" given the {', '.join(result.cond)}" if result.cond else ""
    width = found.bin_width
    unit = "density in world units" if width is None else f"values {width:.4g} apart, dequantized"
    names = {
        "nats": f"nats, data with noise of {errors.sigma_min:.4g}",
        "nats_without_noise": "nats, extrapolated to no noise",
        "nats_per_point": "nats per point",
        "bits_per_dimension": "bits per dimension",
    }
    means = found.negative()
    rows = [
        [name, f"{mean.value:.4g}", f"{mean.standard_error:.4g}", f"{mean.probe_error:.4g}"]
        for key, name in names.items()
        if (mean := means.get(key)) is not None
    ]
    show_table([f"NLL{given}, n = {len(result.ids)}", "mean", "± samples", "± probes"], rows)
    steps_error, gap = float(errors.step_error.mean()), float(errors.prior_gap.mean())
    say(f"{unit}; discretization ± {steps_error:.2g} nats, the prior adds at most {gap:.2g} nats")
