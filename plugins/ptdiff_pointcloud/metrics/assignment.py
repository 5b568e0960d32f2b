"""The optimal assignment between two clouds of equally many points: exact, and fast thanks to good potentials.

c_ij = |a_i - b_j| are the lengths (n, n). Potentials u, v with u_i + v_j <= c_ij prove that no assignment has a mean
length below mean u + mean v (Kantorovich duality). The reduced lengths r_ij = c_ij - u_i - v_j >= 0 have the same
optimal assignment, and the better the potentials, the shorter the paths that SciPy's solver (Crouse 2016) searches: it
computes no initial potentials itself.

Potentials come from Sinkhorn's iteration on K = exp(-r / e), at two values of e in turn,

    q_j = 1 / sum_i p_i K_ij        p_i = 1 / sum_j K_ij q_j        u_i += e log p_i,   v_j += e log q_j,

over-relaxed (Thibault et al. 2021, "Overrelaxed Sinkhorn-Knopp algorithm for regularized optimal transport"), which
takes a tenth of the iterations. Then the minima of columns and rows are subtracted, which turns any numbers into valid
potentials: float32 is enough to find them.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

PREPARED_FROM = 128
"""Number of points from which computing potentials pays."""

_LEVELS = ((0.02, 20), (0.004, 30))  # e as a fraction of the mean length, and iterations
_RELAXATION = np.float32(1.8)
_LARGEST = 60  # of |log p|: beyond it float32 overflows

_ROUNDING = 1e-12
"""Generous bound on the rounding error of the reduced lengths, as a fraction of the longest length."""

Floats = npt.NDArray[np.float64]


class Room(threading.local):
    """Two work matrices per thread: allocating them for every pair costs more than the lengths."""

    def __init__(self, points: int) -> None:
        self.reduced = np.empty((points, points))
        self.kernel = np.empty((points, points), np.float32)


def mean_length(a: Floats, b: Floats, room: Room, ceiling: float = np.inf) -> float:
    """Return the mean length of the optimal assignment of a to b, (n, 3) each; infinity if it exceeds ``ceiling``."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    n, reduced = len(a), room.reduced
    cdist(a, b, out=reduced)
    mean, off = float(reduced.mean()), _ROUNDING * float(reduced.max())
    if mean > 0 and n >= PREPARED_FROM:
        potentials = _take_least(reduced)
        for share, rounds in _LEVELS:
            if potentials / n - off > ceiling:
                return np.inf
            potentials += _ascend(room, share * mean, rounds)
        if potentials / n - off > ceiling:
            return np.inf
    i, j = linear_sum_assignment(reduced)
    return float(np.linalg.norm(a[i] - b[j], axis=1).mean())


def _ascend(room: Room, e: float, rounds: int) -> float:
    """Improve the potentials and subtract them from the reduced lengths; returns the growth of their sum."""
    reduced, kernel = room.reduced, room.kernel
    np.multiply(reduced, -1 / e, out=kernel, casting="unsafe")
    np.exp(kernel, out=kernel)
    log_p, log_q = np.zeros((2, len(kernel)), np.float32)
    for k in range(rounds):
        step = _RELAXATION if k else np.float32(1)
        # every row and column holds a 1: no sum is 0
        log_q -= step * (np.log(np.exp(log_p) @ kernel) + log_q)
        log_q.clip(-_LARGEST, _LARGEST, out=log_q)
        log_p -= step * (np.log(kernel @ np.exp(log_q)) + log_p)
        log_p.clip(-_LARGEST, _LARGEST, out=log_p)
    rows = e * log_p.astype(np.float64)
    reduced -= rows[:, None]
    return float(rows.sum()) + _take_least(reduced)


def _take_least(reduced: Floats) -> float:
    """Subtract the minimum of every column, then of every row; returns the sum subtracted."""
    columns = reduced.min(axis=0)
    reduced -= columns
    rows = reduced.min(axis=1)
    reduced -= rows[:, None]
    return float(columns.sum() + rows.sum())
