"""Checks of conditions: given, not given, and given to some samples of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ptdiff.modality.conditions import absent, is_given
from ptdiff.testing.subject import Subject, skip

if TYPE_CHECKING:
    from torch import Tensor


def not_given_is_said_in_two_ways(subject: Subject) -> None:
    """Check that a missing label and the label -1 give the same output."""
    import torch

    _needs_classes(subject)
    missing, minus_one = _told(subject, {}), _told(subject, {"label": torch.tensor([-1, -1])})
    assert torch.allclose(missing, minus_one, atol=1e-5), (
        "label -1 must give the same output as no label: ptdiff.denoiser.embedding.LevelEmbedding takes care of that"
    )


def the_backbone_uses_the_label(subject: Subject) -> None:
    """Check that a label changes the output, and another label changes it in another way."""
    import torch

    _needs_classes(subject)
    missing, first = (_told(subject, cond) for cond in ({}, {"label": torch.tensor([0, 0])}))
    advice = "pass cond to LevelEmbedding(width, len(data.classes))"
    assert not torch.allclose(missing, first), f"the output of the backbone does not depend on the label: {advice}"
    if len(subject.data.classes) > 1:
        second = _told(subject, {"label": torch.tensor([1, 1])})
        assert not torch.allclose(first, second), (
            f"the output of the backbone is the same for the labels 0 and 1: {advice}"
        )


def labels_are_dropped_for_single_samples(subject: Subject) -> None:
    """Check that in a batch in which some samples have no label, each is treated as if it were alone."""
    import torch

    _needs_classes(subject)
    mixed = _told(subject, {"label": torch.tensor([0, -1])})
    given, missing = _told(subject, {"label": torch.tensor([0, 0])}), _told(subject, {})
    assert torch.allclose(mixed[0], given[0], atol=1e-4) and torch.allclose(mixed[1], missing[1], atol=1e-4), (
        "a batch in which one sample has the label -1 must treat that sample alone as not given"
    )


def every_condition_is_used(subject: Subject) -> None:
    """Check that the output depends on every other condition, such as one that augmentation adds."""
    import torch

    _, cond = subject.batch()
    # declared conditions have a check of their own, and so has the padding
    others = [key for key in cond if key not in ("label", "mask", *subject.data.conditions)]
    if not others:
        skip("the data has no other conditions")
    x, angle = subject.noise(mask=cond.get("mask")), subject.angles()
    with torch.no_grad():
        known = subject.net(x, angle, cond)
        for key in others:
            value = cond[key]
            changed = value + 1 if value.is_floating_point() else torch.full_like(value, -1)
            same = torch.allclose(known, subject.net(x, angle, {**cond, key: changed}))
            assert not same, f"the output of the backbone does not depend on the condition {key!r}"


def the_backbone_uses_every_declared_condition(subject: Subject) -> None:
    """Check that each declared condition changes the output, and NaN or -1 gives the same as leaving it out."""
    import torch

    if not subject.data.conditions:
        skip("the data declares no conditions")
    _, cond = subject.batch()
    for name, kind in subject.data.conditions.items():
        known = cond[name][is_given(cond[name])][:1]
        if not len(known):
            continue
        given, nothing = known.repeat(2, *[1] * (known.ndim - 1)), absent(kind, 2)
        missing, neither, both, first = (
            _told(subject, told)
            for told in ({}, {name: nothing}, {name: given}, {name: torch.cat([given[:1], nothing[1:]])})
        )
        advice = "pass conditions=data.conditions to LevelEmbedding, which takes care of that"
        assert bool(neither.isfinite().all()), f"NaN for {name!r}, which means not given, reaches the output: {advice}"
        assert torch.allclose(missing, neither, atol=1e-5), (
            f"{name!r} given as NaN or -1 must give the same output as no {name!r}: {advice}"
        )
        assert not torch.allclose(missing, both), f"the output of the backbone does not depend on {name!r}: {advice}"
        assert torch.allclose(first[:1], both[:1], atol=1e-4) and torch.allclose(first[1:], missing[1:], atol=1e-4), (
            f"{name!r} of one sample changes the output for another"
        )


def every_condition_may_be_missing(subject: Subject) -> None:
    """Check that the network works without any condition, as guidance and plain sampling call it."""
    _, cond = subject.batch()
    if not cond:
        skip("the data has no conditions")
    for keys in ([], *([key] for key in cond if key != "mask")):
        try:
            _told(subject, {key: cond[key][:2] for key in keys})
        except Exception as error:
            given = f"only {keys[0]!r}" if keys else "no condition"
            raise AssertionError(
                f"the backbone fails with {given}: {type(error).__name__}: {error}; use cond.get(name)"
            ) from error


def no_estimate_is_said_in_two_ways(subject: Subject) -> None:
    """Check that a self-conditioning network treats a missing estimate like zeros, and uses a given one."""
    import torch

    if not getattr(subject.net, "self_conditioning", False):
        skip("the backbone has no self-conditioning")
    x = subject.noise(2)
    estimates = torch.zeros_like(x), subject.noise(2, seed=1)
    missing, zeros, given = (_told(subject, cond) for cond in ({}, *({"estimate": e} for e in estimates)))
    assert torch.allclose(missing, zeros, atol=1e-5), (
        "an estimate of zeros must give the same output as no estimate: cond.get('estimate', torch.zeros_like(x))"
    )
    assert not torch.allclose(missing, given), (
        "the backbone has self_conditioning = True, but its output does not depend on the estimate"
    )


def _needs_classes(subject: Subject) -> None:
    if not subject.data.classes:
        skip("the data has no classes")


def _told(subject: Subject, cond: Mapping[str, Tensor]) -> Tensor:
    """The output for two samples under a condition."""
    import torch

    with torch.no_grad():
        y: Tensor = subject.net(subject.noise(2), subject.angles(2), cond)
    return y
