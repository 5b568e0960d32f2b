"""Classifier-free guidance: the formula, and no cost where it does nothing."""

import torch

from ptdiff.guidance import ClassifierFree
from ptdiff.process import Level

LEVEL = Level(torch.tensor(0.6), torch.tensor(0.8))


def test_guidance_extrapolates_from_free_to_given() -> None:
    seen = []

    def denoiser(x, level, cond):  # type: ignore[no-untyped-def]
        seen.append(dict(cond))
        return x + 1 if cond else x

    x, cond = torch.zeros(2, 3), {"label": torch.tensor([0, 1])}
    assert torch.equal(ClassifierFree(denoiser, 3.0)(x, LEVEL, cond), torch.full((2, 3), 3.0))
    assert seen[1] == {}
    assert torch.equal(ClassifierFree(denoiser, 0.0)(x, LEVEL, cond), x)


def test_guidance_of_one_or_without_a_condition_costs_nothing() -> None:
    calls = 0

    def denoiser(x, level, cond):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        return x

    x = torch.zeros(2, 3)
    ClassifierFree(denoiser, 1.0)(x, LEVEL, {"label": torch.tensor([0, 1])})
    ClassifierFree(denoiser, 4.0)(x, LEVEL, {})
    assert calls == 2
