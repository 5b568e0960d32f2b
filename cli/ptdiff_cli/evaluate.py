"""``ptdiff eval``: how good a run is, on held-out data, with intervals and floors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from ptdiff_cli.terminal import BAD_DATA, Failure, bad_data, counter, progress, say, show_json, show_table

MOST = 500
"""So many reference samples at most, unless -n says otherwise."""


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    reference: Annotated[
        str | None, typer.Option(help="Other data, given as for --data; default the run's own.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the reference: val or train.")] = "val",
    protocol: Annotated[
        str | None, typer.Option(help="How to measure; the modality's own is the only one yet.")
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
    points: Annotated[int | None, typer.Option(help="Points of each cloud, generated and reference.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples and of the intervals.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value: solver, process, guidance …")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a run against held-out data: ptdiff eval RUN."""
    from json import dumps

    import torch

    from ptdiff import registry
    from ptdiff.checkpoint import write_atomic
    from ptdiff.evaluation import comparison, largest
    from ptdiff.names import unknown
    from ptdiff.run import Run
    from ptdiff.sampling import spread_labels
    from ptdiff_cli.drawing import draw_samples, facts, make_plan, scale, shape_of

    found = Run.open(run)
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    shape = shape_of(found, points)
    options = dict(found.config.options)
    if points is not None:
        options["points"] = points
    own = registry.load(found.config.modality, options)
    if protocol not in (None, own.protocol):
        raise unknown("protocol", str(protocol), [own.protocol])
    other = own
    if reference is not None:
        place = Path(reference).expanduser()
        other = registry.load(
            found.config.modality, options | {"data": str(place.resolve()) if place.exists() else reference}
        )
    with bad_data("data"):
        ours = own.dataset()
        held = ours if other is own else other.dataset()
    splits = {"val": held.val, "train": held.train}
    if split not in splits:
        raise unknown("split", split, splits)
    target = splits[split]
    if target is None or ours.train is None:
        raise Failure(f"the reference has no {split} split", BAD_DATA)
    n = largest(ours.train, target, MOST if count is None else count)
    if count is not None and n < count:
        say(f"there are {n} samples to compare with: that many are compared")
    same_classes = held.classes == found.data.classes
    if not same_classes:
        say("the reference has other classes than the run: samples are drawn with the run's classes in turn")
    with bad_data("data"):
        sets = comparison(ours.train, target, n, seed, match=same_classes)
    labels = sets.labels if same_classes else spread_labels(torch.arange(n), len(found.data.classes)).get("label")
    drawn = draw_samples(found, plan, labels if found.data.classes else None, n, shape, batch=batch, weights=weights)
    say(f"comparing {n} samples with {n} of the {split} split")
    with progress("pairs") as bar:
        generated = torch.from_numpy(drawn.samples)
        scores = own.metrics(generated, sets.reference, sets.training, seed, counter(bar, "compare"))
    result: dict[str, Any] = {
        "n": n,
        "protocol": own.protocol,
        "metrics": {name: dataclasses.asdict(score) for name, score in scores.items()},
        "reference": {"data": str(options.get("data") if reference is None else reference), "split": split},
        "sampling": {
            **facts(plan),
            "shape": list(shape),
            "calls": drawn.calls,
        },
        "weights": weights,
        "step": found.checkpoint().step,
    }
    write_atomic(found.path / "eval.json", dumps(result, indent=1) + "\n")
    if as_json:
        show_json(result)
        return
    rows = [[k, f"{s.value:.4g}", f"{s.low:.4g} – {s.high:.4g}", f"{s.floor:.4g}"] for k, s in scores.items()]
    show_table([f"{own.protocol}, n = {n}", "value", "95 % interval", "floor"], rows)
    say(f"written to {found.path / 'eval.json'}")
