"""The figure by which the trials of a set are compared."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from ptdiff_cli.shared.terminal import say

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config


def measure_trial(path: Path, metric: str | None, device: str = "auto") -> tuple[str, float]:
    """The figure that is compared: the best validation loss, the last loss, or one of 'ptdiff eval'."""
    from ptdiff.choices import unknown
    from ptdiff.experiments.compare_runs import summary
    from ptdiff_cli.evaluate import evaluate

    found = summary(path)
    metric = metric or ("loss" if found.validation is None else "validation_loss")
    losses = {"loss": found.loss, "validation_loss": found.validation}
    if metric in losses:
        value = losses[metric]
        if value is None:
            raise ValueError(f"{path} has no {metric}: choose another metric")
        return metric, value
    if metric not in found.figures:
        # the table of each trial is for people
        with redirect_stdout(sys.stderr):
            evaluate(path, device=device)
    figures = summary(path).figures
    if metric not in figures:
        raise unknown("metric", metric, [*losses, *figures])
    return metric, figures[metric]


def check_metric(metric: str, config: Config, kind: Modality, data: Data) -> None:
    """ValueError for a metric that the trials will not have, before any of them is trained."""
    from ptdiff.choices import unknown

    if data.val is None or not len(data.val) or (metric == "validation_loss" and not config.training.validations):
        raise ValueError(f"metric: {metric} is measured on held-out samples, which the trials do not have: say 'loss'")
    try:
        known = ["loss", "validation_loss", *_figures(kind, data)]
    except Exception as error:
        # so few samples may not be measured
        say(f"whether there is a metric {metric} shows after the first trial: {error}")
        return
    if metric not in known:
        raise unknown("metric", metric, known)


def _figures(kind: Modality, data: Data, n: int = 8) -> list[str]:
    """The names of what 'ptdiff eval' measures: it is measured of ``n`` training samples."""
    from ptdiff.evaluation import largest, reference_sets
    from ptdiff.modality.data import unaugmented
    from ptdiff.modality.types import Comparison
    from ptdiff_cli.shared.terminal import counter, progress

    assert data.train is not None and data.val is not None
    training = unaugmented(data.train)
    sets = reference_sets(training, data.val, largest(training, data.val, n))
    with progress("pairs") as bar:
        report = counter(bar, "the metric")
        found = kind.compare(Comparison(sets.training, sets.reference, sets.training, sets.labels, progress=report))
    return [*found.scores, "memorization"]
