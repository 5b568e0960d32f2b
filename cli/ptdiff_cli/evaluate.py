"""``ptdiff eval``: how good a run is, on held-out data, with intervals and floors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, bad_data, counter, progress, say, show_json, show_table

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.evaluation import ReferenceSets
    from ptdiff.modality.data import Samples

MOST = 500
"""So many reference samples at most, unless -n or another protocol than the modality's own says otherwise."""

FEW = 300
"""Figures of fewer samples look better than they are."""

TRAINING = 1000
"""So many training samples, of which copies are looked for."""


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    reference: Annotated[
        str | None, typer.Option(help="Other data, given as for --data; default the run's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the reference: val or train.")] = "val",
    protocol: Annotated[
        str | None, typer.Option(help="How to measure: one of the modality's protocols; default its own.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=2, help=f"Samples; default the whole split, at most {MOST}.")
    ] = None,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid: see 'ptdiff list spacing'; or a .yaml.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width: an average after the fact.")
    ] = None,
    precision: Annotated[
        Literal["auto", "32", "bf16"] | None, typer.Option(help="Precision of the network; auto: the faster one here.")
    ] = None,
    points: Annotated[int | None, typer.Option(help="Points of each cloud, generated and reference.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples and of the intervals.")] = 0,
    raw: Annotated[
        bool, typer.Option("--raw", help="Values as the model gives them: not rounded or cut to those of the data.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value: solver, process, guidance …")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time.")] = None,
    device: Device = "auto",
    report: Annotated[Path | None, typer.Option(help="Write a page with all there is to see: report.html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a run against held-out data: ptdiff eval RUN."""
    import shlex
    import sys
    from json import dumps

    import torch

    from ptdiff.atomic import write_atomic
    from ptdiff.choices import one_of, unknown
    from ptdiff.evaluation import largest, reference_sets
    from ptdiff.machine import host
    from ptdiff.metrics import memorization
    from ptdiff.modality import registry
    from ptdiff.modality.data import unaugmented
    from ptdiff.modality.types import Comparison
    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import spread_labels
    from ptdiff_cli.shared.report import Near, write_report
    from ptdiff_cli.shared.sampling_options import draw_samples, facts, make_plan, scale, shape_of, titles

    found = Run.open(run, say)
    given: dict[str, Any] = {"solver": solver, "steps": steps, "process": process, "spacing": spacing}
    given |= {"guidance": scale(guidance), "precision": precision}
    plan = make_plan(found, given, set_, seed)
    shape = shape_of(found, points)
    options = dict(found.config.options)
    if points is not None:
        options["points"] = points
    if report is not None and report.suffix != ".html":
        raise ValueError(f"--report {report}: a report is an .html file")
    own = registry.load(found.config.modality, options)
    ways = own.protocols()
    way = one_of("protocol", protocol, ways)
    ways[way].require()
    other = own
    if reference is not None:
        place = Path(reference).expanduser()
        other = registry.load(
            found.config.modality, options | {"data": str(place.resolve()) if place.exists() else reference}
        )
    with bad_data("data"):
        ours = own.dataset()
        held = ours if other is own else other.dataset()
    splits = {"val": held.val, "train": held.train and unaugmented(held.train)}
    if split not in splits:
        raise unknown("split", split, splits)
    target = splits[split]
    if target is None or ours.train is None:
        raise Failure(f"the reference has no {split} split", BAD_DATA)
    training = unaugmented(ours.train)
    # others' figures are of whole splits
    most = count or (MOST if way == one_of("protocol", None, ways) else len(target))
    n = largest(training, target, most)
    if count is not None and n < count:
        say(f"there are {n} samples to compare with: that many are compared")
    same_classes = held.classes == found.data.classes
    if not same_classes:
        say("the reference has other classes than the run: samples are drawn with the run's classes in turn")
    with bad_data("data"):
        sets = reference_sets(training, target, n, seed, match=same_classes)
    labels = sets.labels if same_classes else spread_labels(torch.arange(n), len(found.data.classes)).get("label")
    asked = labels if found.data.classes else None
    drawn = draw_samples(found, plan, asked, n, shape, device=device, batch=batch, weights=weights, raw=raw)
    say(f"comparing {n} samples with {n} of the {split} split")
    generated = torch.from_numpy(drawn.samples)
    with progress("pairs") as bar:
        measured = own.compare(
            Comparison(
                generated,
                sets.reference,
                sets.training,
                labels=asked,
                seed=seed,
                progress=counter(bar, "compare"),
                cache=found.outputs / "distances",
            ),
            way,
        )
    scores = dict(measured.scores)
    seen = _some(training, seed)
    with progress("neighbors") as bar:
        copied, twin = own.nearest(generated, seen, counter(bar, "nearest training samples"))
        if other is own and split == "val":
            unseen = own.nearest(sets.reference, seen, counter(bar, "the same of the reference"))[0]
            if float(unseen.mean()) > 0:
                scores["memorization"] = memorization(copied, unseen, seed)
    result: dict[str, Any] = {
        "n": n,
        "note": few(n),
        "protocol": way,
        "measures": ways[way].summary,
        "metrics": {name: dataclasses.asdict(score) for name, score in scores.items()},
        "sets": {**_hashes(generated, sets), "memorization_training": len(seen), **measured.facts},
        "reference": {"data": str(options.get("data") if reference is None else reference), "split": split},
        "sampling": {
            **facts(drawn.plan),
            "threads": drawn.threads,
            "shape": list(shape),
            "calls": drawn.calls,
            "raw": raw,
        },
        "weights": weights,
        "step": found.checkpoint().step,
        "machine": host.facts(),
    }
    found.outputs.mkdir(parents=True, exist_ok=True)
    write_atomic(found.outputs / "eval.json", dumps(result, indent=1) + "\n")
    if report is not None:
        missed, partner = own.nearest(generated, sets.reference)
        write_report(
            report,
            found,
            result,
            drawn.samples,
            titles(found, drawn.labels),
            Near(copied.tolist(), seen[twin].numpy()),
            Near(missed.tolist(), sets.reference[partner].numpy()),
            shlex.join(["ptdiff", *sys.argv[1:]]),
        )
        say(f"report: {report}")
    if as_json:
        show_json(result)
        return
    rows = [[k, f"{s.value:.4g}", f"{s.low:.4g} – {s.high:.4g}", f"{s.floor:.4g}"] for k, s in scores.items()]
    if result["note"]:
        say(result["note"])
    show_table([f"{way}, {'raw, ' * raw}n = {n}", "value", "95 % interval", "floor"], rows)
    digests = ", ".join(f"{k} {v[:12]}" for k, v in result["sets"]["sha256_drawn"].items())
    say("; ".join([ways[way].summary, *(f"{k} {v}" for k, v in measured.facts.items() if isinstance(v, (str, int)))]))
    say(f"seed {seed}; sha256 of {digests}; written to {found.outputs / 'eval.json'}")


def few(n: int) -> str | None:
    """A caution about figures of few samples; None if there are enough."""
    if n >= FEW:
        return None
    return (
        f"n = {n}: figures of fewer than {FEW} samples look better than they are, as noise hides the gap to the floor"
    )


def _some(training: Samples, seed: int) -> Tensor:
    """At most TRAINING training samples at random, in world units: those that samples may be copies of."""
    import torch

    from ptdiff.noise import mix

    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(mix(seed, 2)))
    return training.batch(order[:TRAINING].sort().values, mix(seed, 3))[0]


def _hashes(generated: Tensor, sets: ReferenceSets) -> dict[str, Any]:
    """SHA-256 of the float32 values that were compared."""
    from hashlib import sha256

    import numpy as np

    named = {"generated": generated, "reference": sets.reference, "training": sets.training}
    digests = {k: sha256(np.ascontiguousarray(v.numpy(), dtype="<f4").tobytes()).hexdigest() for k, v in named.items()}
    return {"sha256_drawn": digests}
