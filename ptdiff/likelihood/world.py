"""Log-likelihoods in the units of the data, by the probability flow of a trained denoiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.likelihood.bits import bits_per_dimension, dequantize, world_nats
from ptdiff.likelihood.divergence import Divergence, Hutchinson
from ptdiff.likelihood.flow import FlowPath, LogLikelihood, log_likelihood
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.ragged import is_ragged, padded, sizes_of
from ptdiff.modality.types import Progress

PARTS = ("nats", "standard_error", "step_error", "start_gap", "prior_gap")
"""The tensors of a :class:`ptdiff.likelihood.flow.LogLikelihood`, in order."""

NUMBERS = 2**14
"""Count of numbers in a batch, unless its size is given."""


@dataclass(frozen=True)
class Mean:
    """A mean over samples, with its standard errors over samples and over the probes of the divergence only."""

    value: float
    standard_error: float
    probe_error: float


@dataclass(frozen=True, eq=False)
class WorldLogLikelihood:
    """log p(x) of n samples, in nats and world units; every tensor is float64 (n,), on the CPU.

    ``model_units``: the same in model units, with all errors; ``standard_error`` is equal in both units.
    ``shape``: of one sample.  ``bin_width``: of quantized values, whose bits per dimension are those of probabilities;
    None for continuous data.  ``data``: the scale between the units.
    ``sizes``: numbers of elements (n,) of sets of different sizes; None for samples of one shape.
    """

    nats: Tensor
    model_units: LogLikelihood
    shape: tuple[int, ...]
    bin_width: float | None
    data: Data = field(repr=False)
    sizes: Tensor | None = None

    @property
    def standard_error(self) -> Tensor:
        """Standard error (n,) of ``nats`` over the probes of the divergence; 0 if it is exact."""
        return self.model_units.standard_error

    @property
    def bits_per_dimension(self) -> Tensor:
        """-log2 p(x) / d, (n,): for quantized values of probabilities, else of densities relative to one world unit."""
        return bits_per_dimension(self.nats, self._numbers, self.bin_width)

    @property
    def _numbers(self) -> int | Tensor:
        # of a sample; padding is no number
        return self.size if self.sizes is None else self.sizes * (self.size // self.shape[0])

    @property
    def size(self) -> int:
        """The count d of numbers in one sample, the largest for sets of different sizes."""
        return int(torch.Size(self.shape).numel())

    def negative(self) -> Mapping[str, Mean]:
        """Mean negative log-likelihoods by name: nats, bits per dimension, and for sets nats per point.

        ``nats_without_noise`` is extrapolated to data without the noise of the lowest level.
        """
        error, found = self.standard_error, self.model_units
        if self.sizes is None:
            without = world_nats(found.nats + found.start_gap, self.data, self.shape)
        else:
            without = self.nats + found.start_gap
        bits = bits_per_dimension(-error, self._numbers)
        means = {
            "nats": _mean(-self.nats, error),
            "nats_in_model_units": _mean(-found.nats, error),
            "bits_per_dimension": _mean(self.bits_per_dimension, bits),
            "nats_without_noise": _mean(-without, error),
        }
        if self.data.unordered:
            count = self.shape[0] if self.sizes is None else self.sizes
            means["nats_per_point"] = _mean(-self.nats / count, error / count)
        return means


def world_log_likelihood(
    denoiser: NetworkDenoiser,
    data: Data,
    x: Tensor,
    cond: Condition | None = None,
    *,
    bin_width: float | None = None,
    path: FlowPath | None = None,
    divergence: Divergence | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
    batch: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> WorldLogLikelihood:
    """Compute log p(x | cond) of x (n, *shape) in world units, in batches.

    Sets of different sizes are padded with NaN, or have ``cond["mask"]``; each size is computed on its own, without
    padding, so that the value of a set is that of its elements alone.

    ``data``: the scale with which the denoiser was trained.
    ``bin_width``: of quantized values, in world units; x first gets uniform noise of one bin.
    ``path``, ``divergence``: see :func:`ptdiff.likelihood.flow.log_likelihood`.
    ``seed``, ``ids``: address that noise and the probes, so the value of a sample does not depend on its batch;
    ids (n,), default 0 … n - 1.
    ``batch``: samples at a time.  ``progress``: called with (done, total).  ``say``: called with a line about the cost.

    Raises ValueError if a likelihood is not finite.
    """
    path, kind = path or FlowPath(), divergence or Hutchinson()
    ids = torch.arange(len(x)) if ids is None else ids
    x, cond = padded(x, (cond or {}).get("mask")), {k: v for k, v in (cond or {}).items() if k != "mask"}
    if is_ragged(x):
        settings = {"bin_width": bin_width, "path": path, "divergence": kind, "seed": seed, "batch": batch}
        return _of_sets(denoiser, data, x, cond, ids, settings, progress, say)
    shape, size = tuple(x.shape[1:]), x[0].numel()
    where = next(denoiser.parameters()).device
    if bin_width is not None:
        x = dequantize(x, bin_width, seed, ids)
    if say is not None:
        say(f"{len(x)} samples, {path.calls * (1 + kind.products(size)):,} network evaluations each")
    z, rows, parts = data.normalize(x), batch or max(1, min(len(x), NUMBERS // size)), []
    for first in range(0, len(x), rows):
        some = slice(first, first + rows)
        given = {name: value[some].to(where) for name, value in (cond or {}).items()}
        part = log_likelihood(
            denoiser, z[some].to(where), given, path=path, divergence=kind, seed=seed, ids=ids[some].to(where)
        )
        parts.append(part)
        if progress is not None:
            progress(min(first + rows, len(x)), len(x))
    whole = {name: torch.cat([getattr(part, name) for part in parts]).cpu() for name in PARTS}
    if not torch.isfinite(whole["nats"]).all():
        raise ValueError("the likelihoods are not finite: try more steps or a larger sigma_min")
    found = LogLikelihood(**whole, sigma_min=path.lowest, calls=parts[0].calls)
    return WorldLogLikelihood(world_nats(found.nats, data, shape), found, shape, bin_width, data)


def _of_sets(
    denoiser: NetworkDenoiser,
    data: Data,
    x: Tensor,
    cond: Condition,
    ids: Tensor,
    settings: Mapping[str, Any],
    progress: Progress | None,
    say: Callable[[str], None] | None,
) -> WorldLogLikelihood:
    """The likelihoods of sets of different sizes x (n, *shape), padded with NaN, size by size."""
    sizes = sizes_of(x)
    world, numbers = torch.zeros(len(x), dtype=torch.float64), torch.zeros(len(PARTS), len(x), dtype=torch.float64)
    done, calls, lowest = 0, 0, 0.0
    for size in sizes.unique().tolist():
        rows = (sizes == size).nonzero()[:, 0]
        given = {name: value[rows] for name, value in cond.items()}
        part = world_log_likelihood(denoiser, data, x[rows, :size], given, ids=ids[rows], **settings)
        world[rows] = part.nats
        numbers[:, rows] = torch.stack([getattr(part.model_units, name) for name in PARTS])
        done, calls, lowest = done + len(rows), max(calls, part.model_units.calls), part.model_units.sigma_min
        if progress is not None:
            progress(done, len(x))
    if say is not None:
        say(f"{len(x)} sets of {len(sizes.unique())} sizes, at most {calls:,} network evaluations each")
    found = LogLikelihood(**dict(zip(PARTS, numbers, strict=True)), sigma_min=lowest, calls=calls)
    shape = (int(sizes.max()), *x.shape[2:])
    return WorldLogLikelihood(world, found, shape, settings["bin_width"], data, sizes)


def _mean(values: Tensor, errors: Tensor) -> Mean:
    """The mean of (n,) with its standard errors."""
    n = len(values)
    return Mean(float(values.mean()), float(values.std()) / n**0.5, float(errors.square().sum().sqrt()) / n)
