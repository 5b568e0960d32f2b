"""Log densities in the units of the data: nats of world units, and bits per dimension.

    x = z scale + mean                               world units x, model units z (:mod:`ptdiff.modality.data`)
    log p(x) = log p(z) - sum_i log scale_i
    bits per dimension = -log2 p(x) / d              continuous data: density relative to one world unit per dimension
                         -log2 (p(x) w^d) / d        quantized data: probability of the value, with bins of width w

Quantized values first get uniform noise of one bin, addressed by (seed, id): the mean log density of the result is at
most the log probability of the value (Theis et al. 2016, eq. 3-6).  The noise is centered on the value.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ptdiff.modality.data import Data
from ptdiff.noise import Stream, mix, uniform

_DEQUANTIZE = 3  # separates this noise from other noise of the same seed


def dequantize(x: Tensor, bin_width: float, seed: int, ids: Tensor) -> Tensor:
    """x (b, …) in world units plus uniform noise of one bin around each value; ``ids`` (b,) address the noise."""
    return x + ((uniform(mix(seed, _DEQUANTIZE), Stream.DATA, ids, 0, tuple(x.shape[1:])) - 0.5) * bin_width).to(x)


def world_nats(nats: Tensor, data: Data, shape: tuple[int, ...]) -> Tensor:
    """Convert log densities (b,) in nats of data of ``shape`` from model units to world units."""
    return nats - float(torch.tensor(data.scale, dtype=torch.float64).expand(shape).log().sum())


def bits_per_dimension(nats: Tensor, size: int | Tensor, bin_width: float | None = None) -> Tensor:
    """Convert log densities (b,) in nats and world units, of data of ``size`` numbers, or (b,), to bits per dimension.

    ``bin_width``: of quantized values, in world units; None for continuous data.

    >>> bits_per_dimension(torch.tensor([0.0], dtype=torch.float64), 3, bin_width=1 / 256).tolist()
    [8.0]
    """
    return -(nats / size + math.log(1 if bin_width is None else bin_width)) / math.log(2)
