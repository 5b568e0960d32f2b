"""``ptdiff runs list|compare``: list runs, and compare their settings and scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import say, show, show_json, show_side_by_side, show_table

if TYPE_CHECKING:
    from ptdiff.experiments.compare_runs import Summary
    from ptdiff.experiments.scores import Measured

app = typer.Typer(help="List runs, and compare them.", no_args_is_help=True)

HEAD = ("steps", "minutes", "loss", "validation")


@app.command("list", short_help="list the runs in a folder")
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder to search, at any depth.")] = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """List the runs in a folder: ptdiff runs list runs.

    Shows their data, steps, time and losses.
    """
    from ptdiff.experiments.compare_runs import runs_in, summary

    found = [summary(path, say) for path in runs_in(folder)]
    if as_json:
        show_json([_facts(run, ["modality", "options.data"]) for run in found])
    elif not found:
        say(f"no runs in {folder}")
    else:
        rows = [
            [str(run.path), str(run.settings.get("modality")), _word(run.settings.get("options.data")), *_figures(run)]
            for run in found
        ]
        show_table(["run", "modality", "data", *HEAD], rows)


@app.command("compare", short_help="compare runs: settings, losses, scores")
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, folders of runs, or models.")],
    plot: Annotated[
        Path | None, typer.Option(callback=writable, help="Plot all losses to this image, such as curves.png.")
    ] = None,
    as_json: options.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="Show only the main score of 'ptdiff eval', with interval and floor.")
    ] = False,
) -> None:
    """Compare runs: ptdiff runs compare RUN RUN --plot curves.png.

    Shows settings that differ, steps, losses, and the scores of 'ptdiff eval'.
    """
    from ptdiff.experiments.compare_runs import differing, runs_in, summary
    from ptdiff.experiments.loss_curves import curves
    from ptdiff.pictures.files import IMAGE_SUFFIXES, save_image
    from ptdiff.run.models import located, near

    if as_json + as_csv + scores > 1:
        raise ValueError("choose only one of --json, --csv and --scores")
    if plot is not None and plot.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"--plot {plot}: the suffix must be one of {', '.join(IMAGE_SUFFIXES)}")
    places = {run: located(run, say) for run in runs}
    there = {run: [path] if (path / "config.yaml").is_file() else runs_in(path) for run, path in places.items()}
    empty = [str(run) for run, paths in there.items() if not paths]
    if empty:
        raise FileNotFoundError(f"no runs in {', '.join(empty)}{near(Path(empty[0]))}")
    found = [summary(path, say) for path in dict.fromkeys(path for paths in there.values() for path in paths)]
    keys = differing(found)
    if scores:
        _write_scores(found)
    elif as_json:
        show_json([_facts(run, keys) for run in found])
    elif as_csv:
        _write_csv(found, keys)
    else:
        _write_tables(found, keys)
    if plot is not None:
        save_image(plot, curves([run.path for run in found]))
        say(f"curves: {plot}")


def _write_scores(found: Sequence[Summary]) -> None:
    """Print one line for each run: its main score with interval and floor."""
    from ptdiff.experiments.compare_runs import names
    from ptdiff.experiments.scores import main_score

    rows = []
    for run, name in zip(found, names([run.path for run in found]), strict=True):
        if run.measured is None or (score := main_score(run.path)) is None:
            rows.append([name, _word(run.steps), "not measured: ptdiff eval", "", "", ""])
            continue
        metric, value, low, high, floor = score
        interval = f"{low:.4g} – {high:.4g}"
        rows.append([name, _word(run.steps), metric, f"{value:.4g}", interval, f"{floor:.4g}"])
    show_table(["run", "steps", "score", "value", "95 % interval", "floor"], rows)


def _facts(run: Summary, keys: Sequence[str]) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "settings": {key: run.settings.get(key) for key in keys},
        "steps": run.steps,
        "minutes": run.minutes,
        "loss": run.loss,
        "validation": run.validation,
        "figures": dict(run.figures),
        "measured": None if run.measured is None else {**run.measured.basis, "calls": run.measured.calls},
    }


def _write_csv(found: Sequence[Summary], keys: Sequence[str]) -> None:
    """Print one line for each run; scores measured in different ways have separate columns."""
    from ptdiff.documents.cells import cell

    groups = _groups(found)
    apart = len(groups) > 1
    columns = [(label, name) for label, group in groups.items() for name in _names(group.values())]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    figures = [f"{name} ({label})" if apart else name for label, name in columns]
    table.writerow([cell(name) for name in ("run", *keys, *HEAD, "measured", *figures)])
    for run in found:
        own = next((label for label, group in groups.items() if str(run.path) in group), None)
        values = [run.figures.get(name) if label == own else None for label, name in columns]
        way = [run.steps, run.minutes, run.loss, run.validation, own]
        row = [run.path, *(run.settings.get(key) for key in keys), *way, *values]
        table.writerow([v if v is None or isinstance(v, (int, float)) else cell(str(v)) for v in row])
    show(text.getvalue().rstrip("\n"))


def _write_tables(found: Sequence[Summary], keys: Sequence[str]) -> None:
    """Print settings that differ and progress; then the scores, in one table for each way they were measured."""
    from ptdiff.experiments.compare_runs import names

    called = dict(zip(map(str, (run.path for run in found)), names([run.path for run in found]), strict=True))
    settings = {_short(key, keys): [_word(run.settings.get(key)) for run in found] for key in keys}
    way = dict(zip(HEAD, zip(*map(_figures, found), strict=True), strict=True))
    show_side_by_side("run", list(called.values()), settings, way)
    groups = _groups(found)
    for label, group in groups.items():
        show(label)
        calls = [_word(m.calls) for m in group.values()]
        columns = {"calls": calls} if len(set(calls)) > 1 else {}
        columns |= {name: [_word(m.figures.get(name)) for m in group.values()] for name in _names(group.values())}
        show_side_by_side("run", [called[path] for path in group], columns)
    if len(groups) > 1:
        show("Scores in different tables were measured in different ways; do not compare them.")


def _groups(found: Sequence[Summary]) -> dict[str, dict[str, Measured]]:
    """The scores of the runs, by path, in groups of comparable ones."""
    from ptdiff.experiments.scores import alike

    return alike((str(run.path), run.measured) for run in found if run.measured is not None)


def _names(group: Iterable[Measured]) -> list[str]:
    return list(dict.fromkeys(name for one in group for name in one.figures))


def _short(key: str, keys: Sequence[str]) -> str:
    """A dotted key without a common section and without .name, unless that makes it equal to another of ``keys``."""

    def bare(key: str) -> str:
        section, _, rest = key.partition(".")
        return (rest if section in ("options", "training", "sampling") else key).removesuffix(".name")

    short = bare(key)
    return short if [*HEAD, *map(bare, keys)].count(short) == 1 else key


def _figures(run: Summary) -> list[str]:
    return [str(run.steps), f"{run.minutes:.1f}", _word(run.loss), _word(run.validation)]


def _word(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
