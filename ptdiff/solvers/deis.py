"""DEIS (Zhang and Chen 2023): the noise is interpolated by a polynomial in a chosen variable and integrated exactly.

    x_t = (alpha_t / alpha_s) x_s + alpha_t int_{rho_s}^{rho_t} eps drho,     rho = sigma / alpha

    variable   u                                                           name in the paper
    time       time of the VP process with beta from 0.1 to 20             tAB
    rho        rho                                                         rhoAB; the same method as lms
    log-rho    log rho                                                     exponential Adams-Bashforth in noise

The integrals are Gauss-Legendre sums over log rho with 32 nodes, in units of the step, accurate to double precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from ptdiff.solvers.multistep import Multistep, Start, log_snr
from ptdiff.solvers.table import Pair
from ptdiff.solvers.trace import Form, Node, Trace, epsilon
from ptdiff.solvers.weights import interpolation

Variable = Literal["time", "rho", "log-rho"]
_BETA_MIN, _BETA_MAX = 0.1, 20.0


@cache
def _quadrature() -> tuple[tuple[float, float], ...]:
    # nodes and weights on [0, 1]
    nodes, weights = np.polynomial.legendre.leggauss(32)
    return tuple((float(x + 1) / 2, float(w) / 2) for x, w in zip(nodes, weights, strict=True))


def _place(variable: Variable, log_rho: float) -> float:
    """u at a level."""
    if variable == "log-rho":
        return log_rho
    if variable == "rho":
        return math.exp(log_rho)
    # int_0^t beta = log(1 + rho^2), solved for t without cancellation
    integral = math.log1p(math.exp(2 * log_rho))
    slope = _BETA_MAX - _BETA_MIN
    return 2 * integral / (_BETA_MIN + math.sqrt(_BETA_MIN**2 + 2 * slope * integral))


@dataclass(frozen=True)
class DEIS(Multistep):
    """DEIS-tAB, polynomials of the noise in time, rho or log-rho: one call per step (Zhang and Chen 2023).

    ``points``: number of noise estimates that a step interpolates, 1 to 4.
    ``variable``: variable of the polynomial.
    ``start``: see :mod:`ptdiff.solvers.multistep`.
    ``lower_order_final``: use fewer estimates in the last steps.
    """

    start: Start = "rk"
    points: int = 3
    variable: Variable = "time"
    lower_order_final: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.points <= 4:
            raise ValueError(f"points must lie in [1, 4], not {self.points}")

    @property
    def depth(self) -> int:
        """Number of estimates that a step uses: ``points``."""
        return self.points

    @property
    def accuracy(self) -> int:
        """Global order with enough estimates from the start: ``points``, at most 2 with ``lower_order_final``."""
        return min(self.points, 2) if self.lower_order_final else self.points

    def most(self, left: int) -> int:
        """Number of estimates that a step may use with ``left`` steps remaining, itself included."""
        return min(self.depth, left) if self.lower_order_final else self.depth

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """The noise estimate at the current x."""
        return Node(level, epsilon(trace, trace.x, x0, level))

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t by the integral of the polynomial through ``nodes``."""
        first, last = -log_snr(s), -log_snr(t)
        u, width = _place(self.variable, first), _place(self.variable, last) - _place(self.variable, first)
        moments = [0.0] * len(nodes)
        for y, weight in _quadrature():
            log_rho = first + y * (last - first)
            place = (_place(self.variable, log_rho) - u) / width
            for k in range(len(nodes)):
                # drho = rho dlog(rho)
                moments[k] += weight * math.exp(log_rho) * (last - first) * place**k
        where = [(_place(self.variable, -log_snr(node.level)) - u) / width for node in nodes]
        weights = interpolation(where, moments)
        return trace.sum((t[0] / s[0], x), *((t[0] * w, node.value) for w, node in zip(weights, nodes, strict=True)))
