"""Bits per dimension count the units of the data, and quantized values become densities."""

import math

import pytest
import torch

from ptdiff.likelihood.bits import bits_per_dimension, dequantize, world_nats
from ptdiff.modality.data import Data


def test_scaling_the_data_shifts_the_density_by_the_jacobian() -> None:
    nats = torch.zeros(2, dtype=torch.float64)
    assert world_nats(nats, Data((4, 3), scale=0.5), (4, 3)).tolist() == pytest.approx([12 * math.log(2)] * 2)
    # one scale a coordinate, and another number of points than in training
    data = Data((4, 3), scale=(0.5, 1.0, 2.0))
    assert world_nats(nats, data, (9, 3)).tolist() == pytest.approx([0.0, 0.0])
    assert world_nats(nats, Data((4, 3), scale=(0.5, 1.0, 4.0)), (9, 3)).tolist() == pytest.approx(
        [-9 * math.log(2)] * 2
    )


def test_a_uniform_law_over_all_values_costs_their_bits() -> None:
    # density 1 on [0, 1]^d: eight bits for 256 values, whatever the number of dimensions
    for size in (1, 3, 784):
        assert bits_per_dimension(torch.zeros(1, dtype=torch.float64), size, 1 / 256).tolist() == pytest.approx([8.0])
    # 8-bit values kept in [-1, 1] have half the density and bins twice as wide
    nats = torch.full((1,), -3 * math.log(2), dtype=torch.float64)
    assert bits_per_dimension(nats, 3, 2 / 256).tolist() == pytest.approx([8.0])


def test_continuous_bits_are_those_of_a_normal_law() -> None:
    nats = torch.tensor([-7 * (0.5 + 0.5 * math.log(2 * math.pi))], dtype=torch.float64)
    assert bits_per_dimension(nats, 7).tolist() == pytest.approx([2.0471], abs=1e-4)


def test_dequantized_values_fill_their_bin_and_belong_to_samples() -> None:
    x = torch.full((500, 3, 4), 0.5)
    noisy = dequantize(x, 0.25, 0, torch.arange(500))
    gap = noisy - x
    assert noisy.dtype == torch.float32
    assert float(gap.abs().max()) <= 0.125
    assert float(gap.mean()) == pytest.approx(0, abs=0.004)
    assert float(gap.double().var()) == pytest.approx(0.25**2 / 12, rel=0.05)
    assert torch.equal(dequantize(x[7:8], 0.25, 0, torch.tensor([7])), noisy[7:8])
    assert not torch.equal(dequantize(x, 0.25, 1, torch.arange(500)), noisy)
