"""The best assignment between two clouds of equally many points: exact, and quick by good potentials.

c_ij = |a_i - b_j|, the lengths (n, n).  Potentials u, v with u_i + v_j <= c_ij prove that no assignment has a mean
length below mean u + mean v (Kantorovich's duality).  The reduced lengths r_ij = c_ij - u_i - v_j >= 0 have the same
best assignment, and the better the potentials, the shorter the paths that SciPy's solver (Crouse 2016) has to search:
it prepares nothing itself.

Potentials come from Sinkhorn's iteration on K = exp(-r / e), at two values of e one after the other,

    q_j = 1 / sum_i p_i K_ij        p_i = 1 / sum_j K_ij q_j        u_i += e log p_i,   v_j += e log q_j,

over-relaxed (Thibault et al. 2021, "Overrelaxed Sinkhorn-Knopp algorithm for regularized optimal transport"), which
takes a tenth of the rounds.  Then the least entries of columns and rows are taken off: so any numbers at all make
potentials, and float32 is enough to find them.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

PREPARED_FROM = 128
"""Points from which looking for potentials is quicker than not."""

_LEVELS = ((0.02, 20), (0.004, 30))  # e as a share of the mean length, and rounds
_RELAXATION = np.float32(1.8)
_LARGEST = 60  # of |log p|: beyond it float32 overflows

_ROUNDING = 1e-12
"""Far more than what the reduced lengths can be off by rounding, as a share of the longest length."""

Floats = npt.NDArray[np.float64]


class Room(threading.local):
    """Two matrices to work in, for each thread its own: new memory for every pair costs more than the lengths."""

    def __init__(self, points: int) -> None:
        self.reduced = np.empty((points, points))
        self.kernel = np.empty((points, points), np.float32)


def mean_length(a: Floats, b: Floats, room: Room, ceiling: float = np.inf) -> float:
    """Mean length of the best assignment of a to b, (n, 3) each; infinity once it is known to exceed ``ceiling``."""
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
    """Better potentials, taken off the reduced lengths; by how much their sum grew."""
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
    """Take the least entry off every column, then off every row; the sum of what was taken."""
    columns = reduced.min(axis=0)
    reduced -= columns
    rows = reduced.min(axis=1)
    reduced -= rows[:, None]
    return float(columns.sum() + rows.sum())
