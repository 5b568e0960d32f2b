"""The metric that compares the trials of a sweep."""

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
    """Name and value of the metric of a trial: the best validation loss, the last loss, or a score of 'ptdiff eval'.

    ``metric``: None means the validation loss if the trial has one, else the loss.  Raises UnknownName for an unknown
    metric, and ValueError if the trial does not have it.
    """
    from ptdiff.choices import unknown
    from ptdiff.experiments.compare_runs import summary
    from ptdiff_cli.evaluate import evaluate

    found = summary(path, say)
    metric = metric or ("loss" if found.validation is None else "validation_loss")
    losses = {"loss": found.loss, "validation_loss": found.validation}
    if metric in losses:
        value = losses[metric]
        if value is None:
            raise ValueError(f"{path} has no {metric}: choose another metric")
        return metric, value
    if metric not in found.figures:
        # the table is for people, not part of the result
        with redirect_stdout(sys.stderr):
            evaluate(path, device=device)
    figures = summary(path, lambda line: None).figures
    if metric not in figures:
        raise unknown("metric", metric, [*losses, *figures])
    return metric, figures[metric]


def check_metric(metric: str, config: Config, kind: Modality, data: Data) -> None:
    """Raise ValueError for a metric that the trials will not have, before training."""
    from ptdiff.choices import unknown

    if data.val is None or not len(data.val) or (metric == "validation_loss" and not config.training.validations):
        raise ValueError(f"metric: {metric} needs held-out samples, which the trials do not have: choose 'loss'")
    try:
        known = ["loss", "validation_loss", *_figures(kind, data)]
    except Exception as error:
        # the protocol may not apply to so few samples
        say(f"metric {metric} cannot be checked before the first trial: {error}")
        return
    if metric not in known:
        raise unknown("metric", metric, known)


def _figures(kind: Modality, data: Data, n: int = 8) -> list[str]:
    """The names of the scores of 'ptdiff eval', found by scoring ``n`` training samples."""
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
