"""Runs side by side: the settings that differ, progress, losses and scores.

Everything is read from small files in the run folders; no data, network or checkpoint is loaded.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.documents.jsons import json_lines
from ptdiff.errors import RunError
from ptdiff.experiments.scores import Measured, measured
from ptdiff.run.config import MOST_STEPS, flattened, read
from ptdiff.run.models import check_links
from ptdiff.run.seal import edited


@dataclass(frozen=True)
class Summary:
    """A run in numbers; None for numbers that it does not have (yet).

    ``settings``: the configuration by dotted keys.
    ``steps``, ``minutes``: length of the training so far.
    ``loss``: last training loss.  ``validation``: lowest validation loss.
    ``measured``: the scores in eval.json.
    """

    path: Path
    settings: Mapping[str, Any]
    steps: int
    minutes: float
    loss: float | None
    validation: float | None
    measured: Measured | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """Scores from 'ptdiff eval' by name; empty if there are none."""
        return {} if self.measured is None else self.measured.figures

    @property
    def name(self) -> str:
        """Name of the run: that of its folder."""
        return self.path.name


def runs_in(folder: Path) -> list[Path]:
    """Find the run folders in a folder, at any depth, sorted by path."""
    return sorted(path.parent for path in folder.rglob("config.yaml") if path.with_name("data.json").exists())


def history(run: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl; if steps were repeated after a crash, only the later lines are kept.

    Lines without a step, and lines whose seconds or losses are not numbers, are left out.
    """
    lines: list[dict[str, Any]] = []
    for line in json_lines(run / "metrics.jsonl"):
        losses = (line.get(key, 0.0) for key in ("loss", "validation_loss"))
        numbers = (line.get("seconds", 0.0), *(loss for loss in losses if loss is not None))
        if type(line.get("step")) is not int or not all(type(number) in (int, float) for number in numbers):
            continue
        if not 0 <= line["step"] <= MOST_STEPS or not math.isfinite(numbers[0]):
            continue
        while lines and lines[-1]["step"] >= line["step"]:
            lines.pop()
        lines.append(line)
    return lines


def summary(run: Path, warn: Callable[[str], None] = warnings.warn) -> Summary:
    """Summarize a run folder; raises RunError if it is not one, or has links inside.

    ``warn``: called with a line if config.yaml was edited: the settings may not be those of the training.
    """
    if not (run / "config.yaml").is_file():
        raise RunError(f"{run} is not a run folder: it has no config.yaml")
    check_links(run)
    if (line := edited(run)) is not None:
        warn(line)
    # a line may be damaged and still be JSON
    lines = [line for line in history(run) if _is_number(line.get("seconds"))]
    last = lines[-1] if lines else {"step": 0, "seconds": 0.0}
    losses = [line["loss"] for line in lines if _is_number(line.get("loss"))]
    validated = [line["validation_loss"] for line in lines if _is_number(line.get("validation_loss"))]
    return Summary(
        run,
        flattened(read(run / "config.yaml")),
        int(last["step"]),
        float(last.get("seconds", 0.0)) / 60,
        losses[-1] if losses else None,
        min(validated, default=None),
        measured(run),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def differing(summaries: Sequence[Summary]) -> list[str]:
    """Dotted keys of the settings that differ between runs, in the order of the configuration."""
    keys = dict.fromkeys(key for run in summaries for key in run.settings)
    return [key for key in keys if any(run.settings.get(key) != summaries[0].settings.get(key) for run in summaries)]


def names(runs: Sequence[Path]) -> list[str]:
    """Names that distinguish the runs: the shortest ends of their paths that differ."""
    paths = [run.resolve().parts for run in runs]
    depth = next((d for d in range(1, 9) if len({p[-d:] for p in paths}) == len(paths)), 9)
    return ["/".join(p[-depth:]) for p in paths]
