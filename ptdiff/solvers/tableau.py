"""Butcher tableaux of explicit Runge-Kutta methods, and their order from the order conditions.

    k_i = f(y + h sum_{j<i} a_ij k_j),    y <- y + h sum_i b_i k_i

a: ``inner``, the rows below the diagonal without the empty first one.  b: ``outer``.  The nodes c are the row sums.

A method has order p if sum_i b_i phi_i(tree) = 1 / gamma(tree) for every rooted tree of at most p vertices (Butcher
1963; Hairer, Noersett and Wanner 1993, theorem II.2.13).  A tree is the sorted tuple of its branches, and

    phi_i(tree) = prod_branches sum_j a_ij phi_j(branch),    gamma(tree) = |tree| prod_branches gamma(branch)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Tree = tuple[Any, ...]
_HIGHEST, _TOLERANCE = 6, 1e-9


def trees(size: int) -> tuple[Tree, ...]:
    """All rooted trees of ``size`` vertices.

    >>> [len(trees(size)) for size in range(1, 7)]
    [1, 1, 2, 4, 9, 20]
    """

    def forests(vertices: int, largest: Tree | None) -> Iterator[Tree]:
        if vertices == 0:
            yield ()
        for first in range(1, vertices + 1):
            for branch in trees(first):
                if largest is None or (first, branch) <= (_size(largest), largest):
                    yield from ((branch, *rest) for rest in forests(vertices - first, branch))

    return tuple(forests(size - 1, None))


def _size(tree: Tree) -> int:
    return 1 + sum(_size(branch) for branch in tree)


def _gamma(tree: Tree) -> int:
    return _size(tree) * math.prod(_gamma(branch) for branch in tree)


@dataclass(frozen=True)
class Tableau:
    """Coefficients of an explicit Runge-Kutta method; ValueError unless lower triangular and consistent.

    ``inner``: rows below the diagonal, of 1, 2, … numbers.  ``outer``: weights, which sum to one.  The row sums must
    lie in [0, 1].
    """

    inner: tuple[tuple[float, ...], ...]
    outer: tuple[float, ...]

    def __post_init__(self) -> None:
        if [len(row) for row in self.inner] != list(range(1, len(self.outer))):
            raise ValueError(
                f"an explicit tableau with {len(self.outer)} weights needs rows of 1 … {len(self.outer) - 1} numbers, "
                f"not of {[len(row) for row in self.inner]}"
            )
        if not all(math.isfinite(value) for row in (*self.inner, self.outer) for value in row):
            raise ValueError("the numbers of a tableau must be finite")
        if not abs(sum(self.outer) - 1) < _TOLERANCE:
            raise ValueError(f"the weights of a tableau must sum to 1, not {sum(self.outer):.6g}")
        if not all(-_TOLERANCE < node < 1 + _TOLERANCE for node in self.nodes):
            raise ValueError(f"the nodes of a tableau, its row sums, must lie in [0, 1], not {self.nodes}")

    @cached_property
    def nodes(self) -> tuple[float, ...]:
        """Positions of the slopes, in units of the step."""
        return (0.0, *(sum(row) for row in self.inner))

    @cached_property
    def order(self) -> int:
        """Order of convergence by the order conditions, up to 6."""
        for p in range(2, _HIGHEST + 1):
            if not all(self._holds(tree) for tree in trees(p)):
                return p - 1
        return _HIGHEST

    def _holds(self, tree: Tree) -> bool:
        weight = sum(b * phi for b, phi in zip(self.outer, self._phi(tree), strict=True))
        return abs(weight - 1 / _gamma(tree)) < _TOLERANCE

    def _phi(self, tree: Tree) -> list[float]:
        branches = [self._phi(branch) for branch in tree]
        rows: tuple[tuple[float, ...], ...] = ((), *self.inner)
        return [
            math.prod(sum(a * phi for a, phi in zip(row, branch, strict=False)) for branch in branches) for row in rows
        ]
