"""Divergences of vector fields: the trace of the Jacobian, exact, or estimated from a few products with it.

    div f(y) = tr J,   J = df/dy,        y: one datum as d numbers
    z^T J z                              a draw, unbiased if E[z z^T] = I (Hutchinson 1990; Skilling 1989)

J is used only in products v^T J, by reverse-mode differentiation, so any network and any shape works.  Every kind
returns independent unbiased draws (b, k); their mean is the estimate, and their spread gives its standard error.
Directions are addressed by (seed, sample id, probe).  If they are fixed along a trajectory, draws can be integrated.
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
"""Maps y (b, …) to f(y) of the same shape; row i depends only on row i."""

Product = Callable[[Tensor], Tensor]
"""Maps directions v (k, b, d) to v^T J (k, b, d), row by row."""

_PROBES = 1  # separates probes from the noise of a solver with the same seed


class Divergence(Protocol):
    """A method to compute or estimate tr J."""

    @property
    def chunk(self) -> int:
        """Number of products at a time, which limits the memory."""
        ...

    def products(self, size: int) -> int:
        """Number of products v^T J for one datum of ``size`` numbers; each costs a network evaluation."""
        ...

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        """Random directions (m, b, d) for samples ``ids`` (b,), with device and type of ``like``; m may be 0."""
        ...

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        """Independent unbiased draws of tr J, float64 (b, k)."""
        ...


@dataclass(frozen=True)
class Exact:
    """The exact trace, by one product per dimension, ``chunk`` at a time to limit the memory."""

    chunk: int = 16

    def __post_init__(self) -> None:
        _at_least(1, chunk=self.chunk)

    def products(self, size: int) -> int:
        """``size``, one product per dimension."""
        return size

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        """No directions (0, b, d)."""
        return like.new_zeros(0, len(like), like[0].numel())

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        """The exact trace, float64 (b, 1)."""
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
    """The mean of z^T J z over random probes z (Hutchinson 1990; Grathwohl et al. 2019).

    ``probes``: number of probes, at least 2.  ``law``: random signs or normal numbers.  ``chunk``: products at a time.
    """

    probes: int = 8
    law: Literal["rademacher", "gaussian"] = "rademacher"
    chunk: int = 16

    def __post_init__(self) -> None:
        _at_least(2, probes=self.probes)
        _at_least(1, chunk=self.chunk)
        if self.law not in ("rademacher", "gaussian"):
            raise ValueError(f"law must be rademacher or gaussian, not {self.law!r}")

    def products(self, size: int) -> int:
        """``probes``, for any size."""
        return self.probes

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        """Random probes (probes, b, d) for samples ``ids`` (b,)."""
        draw = _signs if self.law == "rademacher" else _normals
        return draw(like, seed, ids, range(self.probes))

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        """z^T J z for each probe, float64 (b, probes)."""
        return _quadratic(product, directions, self.chunk)


@dataclass(frozen=True)
class HutchPlusPlus:
    """Hutch++: exact on the leading ``sketch`` directions of J, probes for the rest (Meyer et al. 2021, algorithm 1).

    Q = orth(J^T S) for random signs S (d, sketch);  a draw is  tr(Q^T J Q) + g^T P J P g,  P = I - Q Q^T.
    With sketch >= d the result is exact.  ``chunk``: products at a time.
    """

    sketch: int = 4
    probes: int = 4
    chunk: int = 16

    def __post_init__(self) -> None:
        _at_least(1, sketch=self.sketch, chunk=self.chunk)
        _at_least(2, probes=self.probes)

    def products(self, size: int) -> int:
        """Two products per sketched direction, and one per probe."""
        return self.sketch + min(self.sketch, size) + self.probes

    def directions(self, like: Tensor, seed: int, ids: Tensor) -> Tensor:
        """Random signs (sketch + probes, b, d) for samples ``ids`` (b,)."""
        return _signs(like, seed, ids, range(self.sketch + self.probes))

    def draws(self, product: Product, directions: Tensor) -> Tensor:
        """Unbiased draws of tr J, float64 (b, probes)."""
        seen = _chunked(product, directions[: self.sketch], self.chunk)
        # (b, d, sketch): an orthonormal basis even if products vanish
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
    """Compute f(y) (b, …), and draws of its divergence, float64 (b, k).

    ``directions``: from :meth:`Divergence.directions`.  Raises RuntimeError if the field cannot be differentiated for
    several directions at once; ``chunk=1`` avoids that.
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
                f"the denoiser cannot be differentiated for {len(v)} directions at once, choose chunk=1: {error}"
            ) from error
        return rows.reshape(len(v), len(y), -1)

    return value.detach(), kind.draws(product, directions)


def mean_and_error(draws: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of independent draws (b, k) over k, and its standard error, (b,); a single draw has error 0."""
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
