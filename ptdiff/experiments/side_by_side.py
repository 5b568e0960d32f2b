"""Runs side by side: what sets them apart, how far they came, and their curves.

Everything is read from the run folders; no data, network or checkpoint is touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.errors import RunError
from ptdiff.experiments.scores import Measured, measured
from ptdiff.pictures.files import Picture
from ptdiff.run.config import read

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Summary:
    """A run in figures; None for what it does not have (yet)."""

    path: Path
    settings: Mapping[str, Any]
    steps: int
    minutes: float
    loss: float | None
    validation: float | None
    measured: Measured | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """Those of 'ptdiff eval' by name; none where it was not measured."""
        return {} if self.measured is None else self.measured.figures

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.path.name


def runs_in(folder: Path) -> list[Path]:
    """The run folders in a folder, at any depth, by name."""
    return sorted(path.parent for path in folder.rglob("config.yaml") if path.with_name("data.json").exists())


def history(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; of steps that were done twice, after a kill, those that the run went on from."""
    lines: list[dict[str, Any]] = []
    path = run / "metrics.jsonl"
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            # a kill may cut a line in two
            continue
        while lines and lines[-1]["step"] >= line["step"]:
            lines.pop()
        lines.append(line)
    return lines


def summary(run: Path) -> Summary:
    """The figures of a run folder; RunError where it is none."""
    if not (run / "config.yaml").is_file():
        raise RunError(f"{run} is not a run folder: it has no config.yaml")
    lines = history(run)
    last = lines[-1] if lines else {"step": 0, "seconds": 0.0}
    losses = [line["loss"] for line in lines if line.get("loss") is not None]
    validated = [line["validation_loss"] for line in lines if line.get("validation_loss") is not None]
    return Summary(
        run,
        flattened(read(run / "config.yaml")),
        int(last["step"]),
        float(last["seconds"]) / 60,
        losses[-1] if losses else None,
        min(validated, default=None),
        measured(run),
    )


def differing(summaries: Sequence[Summary]) -> list[str]:
    """The settings that are not the same in all runs, by dotted keys, in the order of the configuration."""
    keys = dict.fromkeys(key for run in summaries for key in run.settings)
    return [key for key in keys if any(run.settings.get(key) != summaries[0].settings.get(key) for run in summaries)]


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted keys.

    >>> flattened({"seed": 3, "process": {"name": "ve", "sigma_max": 80}})
    {'seed': 3, 'process.name': 've', 'process.sigma_max': 80}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def curves(runs: Sequence[Path]) -> Picture:
    """Training and validation loss of runs against their steps, a color a run; ValueError where nothing is recorded."""
    # the gallery imports much that the figures of runs do not need
    from ptdiff.pictures.plot import picture

    lines = {name: history(run) for name, run in zip(names(runs), runs, strict=True)}
    if not any(lines.values()):
        raise ValueError("the runs have recorded no losses yet")
    height = 3.4 + 0.16 * max(0, len(runs) - 12)
    return picture(height)(_curves)(lines)


def _curves(figure: Figure, lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from ptdiff.pictures.plot import COLORS

    validated = any("validation_loss" in line for run in lines.values() for line in run)
    panels = figure.subplots(1, 1 + validated, squeeze=False)[0]
    kinds = [("loss", "training loss"), ("validation_loss", "validation loss")]
    for axes, (key, title) in zip(panels, kinds, strict=False):
        for number, (name, run) in enumerate(lines.items()):
            drawn = list(_points(run, key))
            style = ("-", "--", ":")[number // len(COLORS) % 3]
            marker = "o" if len(drawn) < 25 else None
            axes.plot(
                *zip(*drawn, strict=True) if drawn else ([], []),
                style,
                color=COLORS[number % len(COLORS)],
                marker=marker,
                markersize=3,
                linewidth=1.4,
                label=name,
            )
        axes.set(title=title, xlabel="step")
        values = [value for run in lines.values() for _, value in _points(run, key)]
        if values and max(values) > 2 * min(values):
            axes.set_yscale("log")
            _plain(axes)
    if len(lines) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")


def _plain(axes: Any) -> None:
    """Numbers of a short logarithmic axis as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    some = (1, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5)
    axes.yaxis.set_major_locator(LogLocator(subs=some if high / low < 300 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _points(run: Sequence[Mapping[str, Any]], key: str) -> Iterator[tuple[int, float]]:
    # a loss of zero has no place on a logarithmic axis
    return ((line["step"], line[key]) for line in run if line.get(key) is not None and line[key] > 0)


def names(runs: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    paths = [run.resolve().parts for run in runs]
    depth = next((d for d in range(1, 9) if len({p[-d:] for p in paths}) == len(paths)), 9)
    return ["/".join(p[-depth:]) for p in paths]
