"""What every backbone is told: finite and distinct for every level, with one way to say "not given" in two forms."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.embedding import Frequencies, LevelEmbedding
from ptdiff.process import PROCESSES

FREQUENCIES: tuple[Frequencies, ...] = get_args(Frequencies)


@pytest.fixture(params=FREQUENCIES)
def embedding(request: pytest.FixtureRequest) -> LevelEmbedding:
    torch.manual_seed(0)
    return LevelEmbedding(32, classes=5, frequencies=request.param).eval()


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
@pytest.mark.parametrize("frequencies", ["fourier", "learned"])
def test_it_is_finite_at_both_ends_of_every_process_with_its_gradients(
    name: str, dtype: torch.dtype, frequencies: Frequencies
) -> None:
    embedding = LevelEmbedding(16, classes=2, frequencies=frequencies)
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


def features(embedding: LevelEmbedding, angle: Tensor) -> Tensor:
    """What is handed to the perceptron."""
    embedding.mlp = torch.nn.Sequential()
    with torch.no_grad():
        found: Tensor = embedding(angle, {})
    return found


def test_learned_frequencies_begin_as_octaves_and_follow_the_loss() -> None:
    torch.manual_seed(0)
    learned, fixed = LevelEmbedding(16, frequencies="learned"), LevelEmbedding(16)
    assert torch.equal(features(learned, angles(9)), features(fixed, angles(9)))
    # a sine of three half turns, which octaves hold but as a sum: its frequency is found
    one = LevelEmbedding(1, octaves=1, frequencies="learned")
    torch.nn.init.constant_(one.frequency, 2.6)
    one.mlp = torch.nn.Sequential()
    u = torch.linspace(0, 1, 64)
    optimizer = torch.optim.Adam([one.frequency], 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        (one(u**4 * (math.pi / 2), {})[:, 2] - (3 * math.pi * u).sin()).square().mean().backward()
        optimizer.step()
    assert float(one.frequency.detach()) == pytest.approx(3, abs=1e-2)


def test_random_features_have_the_kernel_of_their_distribution() -> None:
    # the mean of cos 2 pi B d over B ~ N(0, 16^2) is exp(-2 (16 pi d)^2) (Rahimi and Recht 2007)
    embedding = LevelEmbedding(1, frequencies="fourier")
    w = torch.linspace(0, 1, 201)
    found = features(embedding, w**4 * (math.pi / 2))[:, 2:]
    kernel = found @ found.T / (found.shape[1] / 2)
    distance = (w[:, None] - w).abs()
    expected = (-2 * (16 * math.pi * distance) ** 2).exp()
    # as many draws miss it by more than twice as much
    assert (kernel - expected).abs().max() < 0.1
    assert torch.equal(LevelEmbedding(1, frequencies="fourier").frequency, embedding.frequency)


def test_frequencies_that_are_not_learned_are_no_part_of_a_checkpoint() -> None:
    kept = {kind: "frequency" in LevelEmbedding(4, frequencies=kind).state_dict() for kind in FREQUENCIES}
    assert kept == {"positional": False, "fourier": False, "learned": True}
