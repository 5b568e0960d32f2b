"""The loss curves of one or several runs, as one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.experiments.compare_runs import history, names
from ptdiff.pictures.files import Picture
from ptdiff.pictures.plot import COLORS, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(runs: Sequence[Path]) -> Picture:
    """Plot training and validation loss against the step, with one color per run.

    Raises ValueError if no run has recorded a loss yet.
    """
    lines = {name: history(run) for name, run in zip(names(runs), runs, strict=True)}
    if not any(lines.values()):
        raise ValueError("there are no losses to plot: the runs have not recorded any yet")
    height = 3.4 + 0.16 * max(0, len(runs) - 12)
    return picture(height)(_curves)(lines)


def _curves(figure: Figure, lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
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
    """Label a short logarithmic axis with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    some = (1, 2, 3, 5, 7) if high / low < 10 else (1, 2, 5)
    axes.yaxis.set_major_locator(LogLocator(subs=some if high / low < 300 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _points(run: Sequence[Mapping[str, Any]], key: str) -> Iterator[tuple[int, float]]:
    # a loss of zero cannot be shown on a logarithmic axis
    return ((line["step"], line[key]) for line in run if line.get(key) is not None and line[key] > 0)
