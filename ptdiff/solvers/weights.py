"""Interpolation weights: a kernel integrated against the polynomial through values at nodes.

    weight_j = int_0^1 k(x) L_j(x) dx,    L_j the Lagrange polynomials of the nodes, in units of the step

x = 0 is the start of the step, x = 1 its end; earlier nodes lie at x < 0.  The kernel enters through its moments m_k =
int_0^1 k(x) x^k dx.  Everything is in double precision; the moments are accurate for steps of any size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def interpolation(nodes: Sequence[float], moments: Sequence[float]) -> list[float]:
    """Weights for nodes (n,) and at least n moments.

    >>> interpolation([0.0, -1.0], [1.0, 0.5])
    [1.5, -0.5]
    """
    weights = []
    for j, node in enumerate(nodes):
        # coefficients of L_j, lowest first
        polynomial = [1.0]
        for other in (*nodes[:j], *nodes[j + 1 :]):
            shifted, scaled = [0.0, *polynomial], [-other * c for c in polynomial] + [0.0]
            polynomial = [(a + b) / (node - other) for a, b in zip(shifted, scaled, strict=True)]
        weights.append(sum(c * m for c, m in zip(polynomial, moments, strict=False)))
    return weights


def uniform_moments(count: int) -> list[float]:
    """The first ``count`` moments of the kernel 1 (Adams-Bashforth)."""
    return [1 / (k + 1) for k in range(count)]


def exponential_moments(h: float, count: int) -> list[float]:
    """The first ``count`` moments of exp(-h (1 - x)), h of either sign.

    m_k = k! phi_{k+1}(-h), phi as in exponential integrators.  Integration by parts gives m_k = (1 - k m_{k-1}) / h,
    which suffers from cancellation for small h; there, m_k = sum_n (-h)^n k! / (n + k + 1)!.
    """
    if abs(h) < 2:
        return [_series(h, k) for k in range(count)]
    found = [-math.expm1(-h) / h]
    for k in range(1, count):
        found.append((1 - k * found[-1]) / h)
    return found


def _series(h: float, k: int) -> float:
    term = total = 1 / (k + 1)
    n = 0
    while abs(term) > 1e-18 * abs(total):
        n += 1
        term *= -h / (n + k + 1)
        total += term
    return total
