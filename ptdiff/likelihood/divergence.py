"""Divergences of vector fields: the trace of the Jacobian, exact, or estimated from a few products with it.

    div f(y) = tr J,   J = df/dy,        y one datum as d numbers
    z^T J z                              a draw: unbiased where E[z z^T] = I (Hutchinson 1990; Skilling 1989)

J is reached through products v^T J alone, by reverse differentiation, so any network will do and no shape is special.
Every kind returns independent draws (b, k), each unbiased; their mean is the estimate, their spread its standard error.
Directions are addressed by (seed, sample id, probe): hold them fixed along a trajectory and draws may be integrated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.machine.host import double, exact
from ptdiff.noise import Stream, mix, normal, uniform

Field = Callable[[Tensor], Tensor]
"""y (b, …) to f(y) of the same shape; row i depends on row i alone."""

Product = Callable[[Tensor], Tensor]
"""Directions v (k, b, d) to v^T J (k, b, d), row by row."""

_PROBES = 1  # keeps probes apart from a solver's noise of the same seed


class Divergence(Protocol):
    """A way to find tr J."""

    @property
    def chunk(self) -> int:
        """Products at a time: bounds the memory."""
        ...

    def products(self, size: int) -> int:
        """Products v^T J for one datum of ``size`` numbers; each costs one more evaluation of the network."""
        ...

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        """Random directions (m, b, d) for the samples ``ids`` (b,); m may be 0."""
        ...

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        """Independent unbiased draws of tr J, float64 (b, k)."""
        ...


@dataclass(frozen=True)
class Exact:
    """The trace itself, one product a dimension; ``chunk`` of them at a time bound the memory."""

    chunk: int = 16

    def __post_init__(self) -> None:
        _at_least(1, chunk=self.chunk)

    def products(self, size: int) -> int:
        return size

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        return like.new_zeros(0, len(like), like[0].numel())

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        _, b, d = directions.shape
        total = torch.zeros(b, dtype=torch.float64, device=exact(directions.device))
        for first in range(0, d, self.chunk):
            rows = torch.arange(first, min(first + self.chunk, d), device=directions.device)
            basis = torch.nn.functional.one_hot(rows, d).to(directions)[:, None].expand(-1, b, -1)
            picked = rows[:, None, None].expand(-1, b, 1)
            total = total + double(product(basis).gather(2, picked)[..., 0]).sum(dim=0)
        return total[:, None]


@dataclass(frozen=True)
class Hutchinson:
    """The mean of z^T J z over random probes: signs, or normal numbers (Hutchinson 1990; Grathwohl et al. 2019)."""

    probes: int = 8
    law: Literal["rademacher", "gaussian"] = "rademacher"
    chunk: int = 16

    def __post_init__(self) -> None:
        _at_least(2, probes=self.probes)
        _at_least(1, chunk=self.chunk)
        if self.law not in ("rademacher", "gaussian"):
            raise ValueError(f"law must be rademacher or gaussian, not {self.law!r}")

    def products(self, size: int) -> int:
        return self.probes

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        draw = _signs if self.law == "rademacher" else _normals
        return draw(like, seed, ids, range(self.probes))

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        return _quadratic(product, directions, self.chunk)


@dataclass(frozen=True)
class HutchPlusPlus:
    """Hutch++: exact on the leading ``sketch`` directions of J, probes for the rest (Meyer et al. 2021, algorithm 1).

    Q = orth(J^T S) for random signs S (d, sketch);  a draw is  tr(Q^T J Q) + g^T P J P g,  P = I - Q Q^T.
    With sketch >= d nothing is left to chance.
    """

    sketch: int = 4
    probes: int = 4
    chunk: int = 16

    def __post_init__(self) -> None:
        _at_least(1, sketch=self.sketch, chunk=self.chunk)
        _at_least(2, probes=self.probes)

    def products(self, size: int) -> int:
        return self.sketch + min(self.sketch, size) + self.probes

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        return _signs(like, seed, ids, range(self.sketch + self.probes))

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        seen = _chunked(product, directions[: self.sketch], self.chunk)
        # (b, d, sketch): an orthonormal basis even where the products vanish
        q = torch.linalg.qr(seen.permute(1, 2, 0))[0]
        leading = _quadratic(product, q.permute(2, 0, 1).contiguous(), self.chunk).sum(dim=1, keepdim=True)
        probes = directions[self.sketch :].permute(1, 2, 0)
        rest = (probes - q @ (q.mT @ probes)).permute(2, 0, 1).contiguous()
        return leading + _quadratic(product, rest, self.chunk)


DIVERGENCES: Catalog[type[Exact] | type[Hutchinson] | type[HutchPlusPlus]] = Catalog(
    "divergence",
    {
        "exact": Exact,
        "hutchinson": Hutchinson,
        "hutch++": HutchPlusPlus,
    },
)


def value_and_divergence(field: Field, y: Tensor, kind: Divergence, directions: Tensor) -> tuple[Tensor, Tensor]:
    """f(y) (b, …), and draws of its divergence, float64 (b, k).

    RuntimeError where the field cannot be differentiated for several directions at once: choose ``chunk=1``.
    """
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        value = field(y)

    def product(v: Tensor) -> Tensor:
        v = v.reshape(-1, *value.shape)
        if kind.chunk == 1:
            (row,) = torch.autograd.grad(value, y, v[0], retain_graph=True)
            return row.reshape(1, len(y), -1)
        try:
            (rows,) = torch.autograd.grad(value, y, v, retain_graph=True, is_grads_batched=True)
        except RuntimeError as error:
            raise RuntimeError(
                f"the denoiser cannot be differentiated for {len(v)} directions at once, use chunk=1: {error}"
            ) from error
        return rows.reshape(len(v), len(y), -1)

    return value.detach(), kind.draws(product, directions)


def mean_and_error(draws: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of independent draws (b, k) over k, and its standard error; one draw alone is exact: error 0."""
    k = draws.shape[1]
    error = draws.std(dim=1) / math.sqrt(k) if k > 1 else torch.zeros_like(draws[:, 0])
    return draws.mean(dim=1), error


def _chunked(product: Product, vectors: Tensor, chunk: int) -> Tensor:
    return torch.cat([product(part) for part in torch.split(vectors, chunk)])


def _quadratic(product: Product, vectors: Tensor, chunk: int) -> Tensor:
    """v^T J v for each of ``vectors`` (k, b, d), float64 (b, k)."""
    return (double(vectors) * double(_chunked(product, vectors, chunk))).sum(dim=2).T


def _signs(like: Tensor, seed: int, ids: Tensor, probes: range) -> Tensor:
    d = like[0].numel()
    draws = [uniform(mix(seed, _PROBES), Stream.SOLVER, ids, j, (d,)) for j in probes]
    return torch.where(torch.stack(draws) < 0.5, -1.0, 1.0).to(like)


def _normals(like: Tensor, seed: int, ids: Tensor, probes: range) -> Tensor:
    d = like[0].numel()
    return torch.stack([normal(mix(seed, _PROBES), Stream.SOLVER, ids, j, (d,)) for j in probes]).to(like)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
