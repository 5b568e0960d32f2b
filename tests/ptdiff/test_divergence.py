"""Divergences agree with the trace of the Jacobian, and their standard errors say how well."""

import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff.likelihood.divergence import (
    DIVERGENCES,
    Divergence,
    Exact,
    Hutchinson,
    HutchPlusPlus,
    mean_and_error,
    value_and_divergence,
)

SHAPES = [(), (7,), (4, 3), (2, 3, 2)]


def _matrix(d: int) -> Tensor:
    """Not symmetric: products from the left and from the right differ."""
    return torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)


def _field(y: Tensor) -> Tensor:
    """div f = sum_i (cos(y_i) A_ii), with every element depending on all of its own datum."""
    flat = y.reshape(len(y), -1)
    return (torch.sin(flat) @ _matrix(flat.shape[1]).to(y)).reshape(y.shape)


def _truth(y: Tensor) -> Tensor:
    flat = y.reshape(len(y), -1)
    return (torch.cos(flat) * _matrix(flat.shape[1]).diagonal()).sum(dim=1)


def _draws(kind: Divergence, y: Tensor, field=_field, seed: int = 0) -> Tensor:  # type: ignore[no-untyped-def]
    return value_and_divergence(field, y, kind, kind.directions(y, seed, torch.arange(len(y))))[1]


def _points(n: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunk", [1, 2, 5, 16])
def test_the_exact_divergence_is_the_trace(shape: tuple[int, ...], chunk: int) -> None:
    y = _points(5, shape)
    kind = Exact(chunk=chunk)
    value, draws = value_and_divergence(_field, y, kind, kind.directions(y, 0, torch.arange(5)))
    assert torch.equal(value, _field(y))
    assert not value.requires_grad
    assert torch.allclose(draws[:, 0], _truth(y), atol=1e-12)
    assert mean_and_error(draws)[1].tolist() == [0.0] * 5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "kind", [Hutchinson(8), Hutchinson(8, "gaussian"), Hutchinson(8, chunk=3), HutchPlusPlus(2, 6)]
)
def test_estimates_lie_within_their_standard_errors(shape: tuple[int, ...], kind: Divergence) -> None:
    y = _points(3000, shape)
    mean, error = mean_and_error(_draws(kind, y))
    gap = mean - _truth(y)
    if float(error.max()) < 1e-12:
        # signs see one dimension exactly, and a sketch as wide as the datum sees it all
        assert float(gap.abs().max()) < 1e-12
        return
    assert abs(float(gap.mean())) < 3 * float(error.square().mean().sqrt()) / math.sqrt(3000)
    # Student's t with seven or five degrees of freedom lies within 3 in 98 or 97 %; the square of one normal number is
    # further from normal
    assert float((gap.abs() <= 3 * error).double().mean()) > (0.94 if shape else 0.88)
    assert 0.9 < float(gap.square().mean() / error.square().mean()) < 1.1


def test_signs_are_exact_on_a_diagonal_and_normal_probes_where_there_is_nothing() -> None:
    y = _points(3, (6,))
    diagonal = torch.arange(1.0, 7.0, dtype=torch.float64)
    assert torch.allclose(_draws(Hutchinson(2), y, lambda v: v * diagonal), diagonal.sum(), atol=1e-12)
    assert _draws(Hutchinson(2, "gaussian"), y, lambda v: v * 0).abs().max() == 0


def test_a_sketch_as_wide_as_the_rank_leaves_nothing_to_chance() -> None:
    y = _points(4, (9,))
    basis = _matrix(9)
    low = basis[:, :3] @ basis[3:6]
    for rank, matrix in ((3, low), (9, basis), (12, basis), (1, torch.zeros_like(basis))):
        draws = _draws(HutchPlusPlus(sketch=rank, probes=3), y, lambda v, m=matrix: v @ m)
        assert torch.allclose(draws, matrix.diagonal().sum().expand(4, 3), atol=1e-10)


def test_hutch_plus_plus_beats_hutchinson_on_a_few_strong_directions() -> None:
    y = _points(50, (40,))
    turn = torch.linalg.qr(_matrix(40))[0]
    matrix = turn @ torch.diag(0.01 + 10.0 * (torch.arange(40) < 4).double()) @ turn.T
    plain, sketched = Hutchinson(18), HutchPlusPlus(sketch=6, probes=6)
    assert plain.products(40) == sketched.products(40) == 18
    errors = [float(mean_and_error(_draws(kind, y, lambda v: v @ matrix))[1].mean()) for kind in (plain, sketched)]
    assert errors[1] < errors[0] / 100


@pytest.mark.parametrize("kind", [Hutchinson(3), Hutchinson(3, "gaussian"), HutchPlusPlus(2, 2)])
def test_probes_belong_to_samples(kind: Divergence) -> None:
    y = _points(6, (4, 3)).float()
    together = kind.directions(y, 5, torch.arange(6))
    assert together.dtype == torch.float32
    assert torch.equal(kind.directions(y[2:4], 5, torch.tensor([2, 3])), together[:, 2:4])
    assert not torch.equal(kind.directions(y, 6, torch.arange(6)), together)
    assert not torch.equal(together[0], together[1])


class _Alone(torch.autograd.Function):
    """Sine whose derivative cannot be batched, and counts itself."""

    count = 0

    @staticmethod
    def forward(ctx, y):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(y)
        return torch.sin(y)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        _Alone.count += 1
        (y,) = ctx.saved_tensors
        assert float(gradient.abs().sum()) >= 0  # a look at the numbers, which a batch of directions does not allow
        return gradient * torch.cos(y)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_as_many_products_are_taken_as_are_declared(name: str) -> None:
    y = _points(3, (5,))
    kind = DIVERGENCES[name](chunk=1)
    _Alone.count = 0
    _draws(kind, y, _Alone.apply)
    assert _Alone.count == kind.products(5)


def test_what_cannot_be_batched_is_named() -> None:
    with pytest.raises(RuntimeError, match="chunk=1"):
        _draws(Exact(chunk=4), _points(3, (5,)), _Alone.apply)


def test_attention_is_differentiated_for_many_directions_at_once() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double().eval()
    y = _points(2, (5, 4))
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v).sum(dim=0), y)
    truth = torch.einsum("icbic->b", jacobian)
    for chunk in (1, 7):
        assert torch.allclose(_draws(Exact(chunk=chunk), y, layer)[:, 0], truth, atol=1e-10)


def test_one_probe_and_no_chunk_are_refused() -> None:
    with pytest.raises(ValueError, match="probes must be at least 2, not 1"):
        Hutchinson(probes=1)
    with pytest.raises(ValueError, match="probes"):
        HutchPlusPlus(probes=1)
    with pytest.raises(ValueError, match="chunk must be at least 1, not 0"):
        Exact(chunk=0)
    with pytest.raises(ValueError, match="law"):
        Hutchinson(law="cauchy")  # type: ignore[arg-type]
