"""Checks of metrics and of the functions for the gallery."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from ptdiff.errors import UnknownName
from ptdiff.modality.ragged import padded
from ptdiff.modality.types import Comparison, EvaluationProtocol, Measurement
from ptdiff.testing.subject import Subject, skip

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.metrics import Score

FEWEST = 4
"""Samples of a set that any distance over pairs needs."""


def protocols_are_described(subject: Subject) -> None:
    """Check that every protocol is described by a line, and an unknown one is refused."""
    protocols = subject.modality.protocols()
    assert protocols, "protocols() is empty: the first one is the default"
    for name, protocol in protocols.items():
        assert isinstance(protocol, EvaluationProtocol), f"protocols() holds no EvaluationProtocol under {name!r}"
        assert protocol.summary.strip(), f"the protocol {name!r} has no summary"
    with suppress(UnknownName):
        subject.modality.compare(Comparison(*_sets(subject)), "no such protocol")
        raise AssertionError("compare() ignores an unknown protocol: use ptdiff.choices.one_of('protocol', ...)")


def scores_are_finite_with_intervals(subject: Subject) -> None:
    """Check that every score has a name, a finite value, and an interval with low at most high."""
    for name, score in _scores(subject).items():
        assert isinstance(name, str) and name.strip(), f"names of scores must be text, not {name!r}"
        for what, number in (("value", score.value), ("low", score.low), ("high", score.high)):
            assert math.isfinite(number), f"{name}: the {what} is {number}"
        assert score.low <= score.high, f"{name}: the interval has low {score.low} above high {score.high}"


def scores_are_the_same_every_time(subject: Subject) -> None:
    """Check that the same samples and seed give the same scores."""
    first, again = (dict(_compared(subject, _sets(subject)).scores) for _ in range(2))
    different = [name for name, score in first.items() if str(again[name]) != str(score)]
    assert not different, (
        f"{', '.join(different[:5])} differ when computed again: draw random numbers from comparison.seed"
    )


def scores_do_not_depend_on_the_order(subject: Subject) -> None:
    """Check that the scores of samples in another order lie within the interval, up to its width."""
    import torch

    samples, reference, training = _sets(subject)
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    turned = _compared(subject, (samples[order], reference, training)).scores
    for name, score in _scores(subject).items():
        width = score.high - score.low
        inside = score.low - width <= turned[name].value <= score.high + width
        near = math.isclose(turned[name].value, score.value, rel_tol=1e-4, abs_tol=1e-6)
        assert inside or near, f"{name} is {score.value:.4g}, and {turned[name].value:.4g} for samples in another order"


def metrics_tell_noise_from_data(subject: Subject) -> None:
    """Check that some score puts training samples closer to the floor than noise."""
    import torch

    sets = _sets(subject)
    noise = subject.data.world(torch.randn(sets[0].shape, generator=torch.Generator().manual_seed(0)) * 3)
    # sets of the same sizes
    noise = noise.masked_fill(sets[0].isnan(), float("nan"))
    good, bad = _scores(subject), _compared(subject, (noise, *sets[1:])).scores
    right = [name for name in good if _distance(good[name]) < _distance(bad[name])]
    assert right, "no metric distinguishes noise from data"


def gallery_functions_are_described(subject: Subject) -> None:
    """Check that every function of gallery() has a docstring, which ``ptdiff gallery`` lists."""
    found = subject.modality.gallery()
    if not found:
        skip("there is no gallery()")
    silent = [name for name, plot in found.items() if not (getattr(plot, "__doc__", None) or "").strip()]
    assert not silent, f"no docstring on the gallery function {', '.join(silent)}"


def _distance(score: Score) -> float:
    return abs(score.value - score.floor)


def _sets(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    """Three sets of training samples."""
    import torch

    train = subject.train
    count = min(16, len(train) // 3)
    if count < FEWEST:
        skip(f"needs at least {3 * FEWEST} training samples")
    # interleaved, because data may be sorted by class
    batches = (train.batch(torch.arange(i, 3 * count, 3), 0) for i in range(3))
    one, two, three = (padded(x, cond.get("mask")) for x, cond in batches)
    return one, two, three


def _compared(subject: Subject, sets: tuple[Tensor, Tensor, Tensor]) -> Measurement:
    samples, reference, training = (each.clone() for each in sets)
    found = subject.modality.compare(Comparison(samples, reference, training, device="cpu"))
    assert isinstance(found, Measurement), f"compare() must return a Measurement, not {type(found).__name__}"
    assert found.scores, "compare() returned no scores"
    return found


def _scores(subject: Subject) -> dict[str, Score]:
    return _compared(subject, _sets(subject)).scores
