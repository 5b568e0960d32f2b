"""UniPC (Zhao et al. 2023): exponential multistep with a corrector that reuses the call of the next step.

UniP-p predicts x_t from p estimates, the denoiser is called there, and UniC-p repeats the step from s with the new
estimate as an additional node; the next step starts from the corrected point.  Where UniPC solves a full system for its
weights (theorem 3.1 of the paper), they are those of the polynomial through the nodes with exact moments, for any B(h).
B(h) only matters where the paper sets the single unknown to 1/2: prediction from two estimates (m_1 = B / (2 h)) and
correction after one.  bh1: B = h.  bh2: B = h m_0, that is 1 - exp(-h) for x_0 and exp(h) - 1 for noise.

Predictor and corrector share x_s, so the corrected point is the predicted one plus a combination of estimates:

    x_corrected = x_predicted + sum_j (corrected weight_j - predicted weight_j) D_j

which is folded into the next step: one stage per step, whose states are the predicted points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ptdiff.solvers.multistep import Estimate, Multistep, Start, exponential, kernel, read, weights
from ptdiff.solvers.table import Pair
from ptdiff.solvers.trace import Form, Node, Trace


@dataclass(frozen=True)
class UniPC(Multistep):
    """UniPC, predictor and corrector with one call per step (Zhao et al. 2023, algorithms 1 and 2).

    ``points``: number of estimates that a step interpolates, 1 to 3.
    ``variant``: the paper's B(h), "bh1" or "bh2".
    ``estimate``: the interpolated quantity, data ("x0") or noise ("eps").
    ``start``: see :mod:`ptdiff.solvers.multistep`.
    ``lower_order_final``: use fewer estimates in the last steps.
    """

    points: int = 2
    variant: Literal["bh1", "bh2"] = "bh2"
    estimate: Estimate = "x0"
    lower_order_final: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.points <= 3:
            raise ValueError(f"points must lie in [1, 3], not {self.points}")

    @property
    def depth(self) -> int:
        """Number of estimates that a step uses: ``points``."""
        return self.points

    @property
    def accuracy(self) -> int:
        """Global order with enough estimates from the first step on: points + 1, thanks to the corrector."""
        return self.points + 1

    @property
    def order(self) -> int:
        """Global order, limited by the start and by ``lower_order_final``."""
        # the corrector raises the first step to order 2, so a start from one estimate limits the global order to 3
        limit = 2 if self.lower_order_final else 3 if self.start == "low" else 4
        return min(self.accuracy, limit)

    def most(self, left: int) -> int:
        """Number of estimates that a step may use with ``left`` steps remaining, itself included."""
        return min(self.depth, left) if self.lower_order_final else self.depth

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """The data or noise estimate at the current x."""
        return read(trace, self.estimate, trace.x, x0, level)

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t by the predictor."""
        return exponential(trace, x, s, t, nodes, self.estimate, self._moments(s, t, len(nodes)))

    def correct(self, trace: Trace, s: Pair, t: Pair, nodes: Sequence[Node], new: Node) -> Form:
        """x at t by the corrector, with the estimate ``new`` at the predicted point."""
        levels = [node.level for node in nodes]
        predicted = [*weights(s, t, levels, self.estimate, self._moments(s, t, len(nodes))), 0.0]
        exact = self._moments(s, t, 2) if len(nodes) == 1 else ()
        corrected = weights(s, t, [*levels, t], self.estimate, exact)
        changes = [a - b for a, b in zip(corrected, predicted, strict=True)]
        return trace.sum((1.0, trace.x), *((w, node.value) for w, node in zip(changes, [*nodes, new], strict=True)))

    def _moments(self, s: Pair, t: Pair, count: int) -> list[float]:
        exact = kernel(s, t, self.estimate, count)
        return [exact[0], 0.5 if self.variant == "bh1" else exact[0] / 2] if count == 2 else exact


@dataclass(frozen=True)
class UniPC3(UniPC):
    """UniPC with three points and a Runge-Kutta start that preserves its order 4."""

    start: Start = "rk"
    points: int = 3
