"""The best assignment with potentials against SciPy's solver alone, and what the potentials prove."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ptdiff_pointcloud.metrics import assignment
from ptdiff_pointcloud.metrics.assignment import PREPARED_FROM, Floats, Room, mean_length

N = 200


def cloud(seed: int, points: int = N) -> Floats:
    return np.random.default_rng(seed).random((points, 3))


def alone(a: Floats, b: Floats) -> float:
    lengths = cdist(a, b)
    return float(lengths[linear_sum_assignment(lengths)].mean())


X, Y = cloud(0), cloud(1)
TWO = np.arange(N)[:, None] < np.array([N // 4, N // 4, N // 4])
PAIRS = {
    "clouds": (X, Y),
    "one and the same": (X, X),
    "copies in another order": (X, X[np.random.default_rng(2).permutation(N)]),
    "near copies": (X, X[::-1] + 1e-8 * Y),
    "all points at one place": (0 * X, 0 * X + 1),
    "a place and a cloud": (0 * X, Y),
    "two heaps of other sizes": (1.0 * TWO, 1.0 * ~TWO),
    "two heaps of other sizes, not quite": (1.0 * TWO + 1e-3 * X, 1.0 * ~TWO + 1e-3 * Y),
    "many at few places": (np.round(3 * X), np.round(3 * Y)),
    "far from each other": (X, Y + 1e6),
    "small": (1e-9 * X, 1e-9 * Y),
    "large": (1e9 * X, 1e9 * Y),
    "on a line": (X * [1, 0, 0], Y * [1, 0, 0]),
    "one point far off": (np.concatenate([X[1:], [[1e6, 0, 0]]]), Y),
    "of all sizes": (np.exp(20 * X), np.exp(20 * Y)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_the_solver_alone_and_a_ceiling_hides_nothing_below_it(name: str) -> None:
    a, b = PAIRS[name]
    room, true = Room(N), alone(a, b)
    found = mean_length(a, b, room)
    assert found == pytest.approx(true, rel=1e-9, abs=1e-15 * float(cdist(a, b).max()))
    assert mean_length(a, b, room, ceiling=found) == found
    assert mean_length(a, b, room, ceiling=0.5 * found) in (found, np.inf)


def test_few_points_are_the_solver_alone() -> None:
    for n in (1, 2, PREPARED_FROM - 1):
        a, b = cloud(3, n), cloud(4, n)
        assert mean_length(a, b, Room(n)) == pytest.approx(alone(a, b), rel=1e-12)


def test_a_ceiling_just_below_spares_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    true = alone(X, Y)
    monkeypatch.setattr("scipy.optimize.linear_sum_assignment", None)
    assert mean_length(X, Y, Room(N), ceiling=0.98 * true) == np.inf


@pytest.mark.parametrize("name", PAIRS)
def test_reduced_lengths_are_lengths_less_potentials_and_nowhere_negative(name: str) -> None:
    a, b = PAIRS[name]
    lengths, room = cdist(a, b), Room(N)
    room.reduced[:] = lengths
    total = assignment._take_least(room.reduced)
    if lengths.any():
        total += assignment._ascend(room, 0.02 * float(lengths.mean()), 20)
    taken, digits = lengths - room.reduced, 1e-12 * float(lengths.max())
    assert room.reduced.min() >= 0
    # u_i + v_j: of rank one but for a constant, and their sum is what was counted
    assert np.abs(taken - taken[:1] - taken[:, :1] + taken[0, 0]).max() <= digits
    assert taken.trace() == pytest.approx(total, abs=N * digits)
    assert total / N <= alone(a, b) + digits
