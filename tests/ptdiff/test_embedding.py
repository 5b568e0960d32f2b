"""What every backbone is told: finite and distinct for every level, with one way to say "not given" in two forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptdiff.embedding import LevelEmbedding
from ptdiff.process import PROCESSES


@pytest.fixture
def embedding() -> LevelEmbedding:
    torch.manual_seed(0)
    return LevelEmbedding(32, classes=5).eval()


def angles(n: int) -> Tensor:
    return torch.linspace(0, math.pi / 2, n)


def test_minus_one_and_no_label_are_the_same_and_every_class_is_another(embedding: LevelEmbedding) -> None:
    angle = angles(7)
    missing = embedding(angle, {})
    assert torch.equal(missing, embedding(angle, {"label": torch.full((7,), -1)}))
    outputs = [missing, *(embedding(angle, {"label": torch.full((7,), c)}) for c in range(5))]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().max() > 0.01


def test_labels_are_told_apart_sample_by_sample(embedding: LevelEmbedding) -> None:
    angle, label = angles(6), torch.tensor([-1, 0, 1, 2, 3, 4])
    together = embedding(angle, {"label": label})
    for i in range(6):
        alone = embedding(angle[i : i + 1], {"label": label[i : i + 1]})
        assert torch.allclose(alone[0], together[i], atol=1e-6)


def test_without_classes_a_label_is_not_looked_at() -> None:
    embedding = LevelEmbedding(8)
    assert torch.equal(embedding(angles(3), {}), embedding(angles(3), {"label": torch.arange(3)}))


def test_a_label_that_is_no_class_is_refused(embedding: LevelEmbedding) -> None:
    with pytest.raises(IndexError):
        embedding(angles(1), {"label": torch.tensor([5])})


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_finite_at_both_ends_of_every_process_with_its_gradients(name: str, dtype: torch.dtype) -> None:
    embedding = LevelEmbedding(16, classes=2)
    angle = PROCESSES[name]().level(torch.tensor([0.0, 1e-12, 0.5, 1 - 1e-7, 1.0], dtype=dtype)).angle
    out = embedding(angle, {"label": torch.tensor([-1, 0, 1, 0, -1])})
    assert out.shape == (5, 16)
    assert torch.isfinite(out).all()
    out.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in embedding.parameters())


def test_distinct_levels_give_distinct_outputs(embedding: LevelEmbedding) -> None:
    with torch.no_grad():
        out = embedding(angles(400), {})
    gaps = torch.cdist(out, out) + torch.eye(400) * 1e9
    assert gaps.min() > 1e-3


def test_the_almost_clean_levels_are_told_apart(embedding: LevelEmbedding) -> None:
    # between sigma / alpha = 1e-3 and 1e-2 fine structure is decided
    angle = torch.logspace(-3, -2, 50)
    with torch.no_grad():
        out = embedding(angle, {})
    assert (out[1:] - out[:-1]).norm(dim=1).min() > 1e-3


def test_half_precision_angles_are_not_rounded_further() -> None:
    embedding = LevelEmbedding(16)
    angle = torch.rand(5).bfloat16()
    assert torch.equal(embedding(angle, {}), embedding(angle.float(), {}))
