"""Toy distributions in the plane: each a short formula from four uniform numbers to a point.

u = (u_0, u_1, u_2, u_3), uniform on [0, 1)^4: point i of a seed is the formula at block i of the Philox
generator keyed with that seed.  Points are addressed: the first thousand are the same however many are drawn,
and a later stretch of the sequence is an independent sample of the same distribution.

    >>> points, label = TOYS["moons"].draw(1000, seed=0)
    >>> points.shape, points.dtype.name, sorted(set(label.tolist()))
    ((1000, 2), 'float32', [0, 1])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Formula = Callable[[Floats], tuple[Floats, Labels]]


@dataclass(frozen=True)
class Toy:
    """A distribution in the plane.

    formula: u (n, 4) to points (n, 2) and their classes (n,).
    classes: the names of the classes; empty where the distribution has none.
    center, reach: the square with this center and half this side holds practically all points.
    """

    formula: Formula
    classes: tuple[str, ...]
    center: tuple[float, float]
    reach: float

    def draw(self, count: int, *, seed: int, start: int = 0) -> tuple[npt.NDArray[np.float32], Labels]:
        """Points ``start`` … ``start + count - 1`` of ``seed``, (count, 2), and their classes (count,)."""
        if count < 0 or start < 0 or seed < 0:
            raise ValueError(f"count, start and seed must not be negative: {count}, {start}, {seed}")
        # one block of the generator is four 64-bit words, hence one row
        uniform = np.random.Generator(np.random.Philox(key=seed, counter=start)).random((count, 4))
        points, label = self.formula(uniform)
        return points.astype(np.float32), label


def _plane(x: Floats, y: Floats) -> Floats:
    return np.stack([x, y], axis=-1)


def _polar(radius: Floats | float, turn: Floats) -> Floats:
    """Points at ``radius`` and an angle in turns."""
    return _plane(radius * np.cos(2 * math.pi * turn), radius * np.sin(2 * math.pi * turn))


def _normal(u: Floats) -> Floats:
    """Two standard normal numbers (n, 2) from u_2 and u_3 (Box and Muller 1958)."""
    # u < 1, so log1p(-u) is finite
    return _polar(np.sqrt(-2 * np.log1p(-u[:, 2])), u[:, 3])


def _choose(u: Floats, count: int) -> tuple[Labels, Floats]:
    """One of ``count`` classes, and what is left of u: again uniform on [0, 1), independent of the class."""
    label = np.floor(u * count).astype(np.int64)
    return label, u * count - label


def _unlabelled(points: Floats) -> tuple[Floats, Labels]:
    return points, np.zeros(len(points), dtype=np.int64)


def _two_gaussians(u: Floats) -> tuple[Floats, Labels]:
    label, _ = _choose(u[:, 0], 2)
    return 0.5 * _normal(u) + (label[:, None] - 0.5) * [3.0, 0.0], label


def _eight_gaussians(u: Floats) -> tuple[Floats, Labels]:
    label, _ = _choose(u[:, 0], 8)
    return 0.15 * _normal(u) + _polar(2.0, label / 8), label


def _grid(u: Floats) -> tuple[Floats, Labels]:
    return _unlabelled(0.08 * _normal(u) + np.floor(5 * u[:, :2]) - 2)


def _moons(u: Floats) -> tuple[Floats, Labels]:
    label, along = _choose(u[:, 0], 2)
    upper = _polar(1.0, along / 2)
    return 0.06 * _normal(u) + np.where(label[:, None] == 0, upper, np.array([1.0, 0.5]) - upper), label


def _circles(u: Floats) -> tuple[Floats, Labels]:
    label, turn = _choose(u[:, 0], 2)
    return 0.04 * _normal(u) + _polar(np.where(label == 0, 1.0, 0.5), turn), label


def _rings(u: Floats) -> tuple[Floats, Labels]:
    label, turn = _choose(u[:, 0], 4)
    return 0.08 * _normal(u) + _polar(1 + label.astype(np.float64), turn), label


def _checkerboard(u: Floats) -> tuple[Floats, Labels]:
    x = 4 * u[:, 0] - 2
    row, up = _choose(u[:, 1], 2)
    return _unlabelled(_plane(x, up + 2 * row - 2 + np.floor(x) % 2))


def _pinwheel(u: Floats) -> tuple[Floats, Labels]:
    # Johnson et al. 2016, "Composing graphical models with neural networks"
    label, _ = _choose(u[:, 0], 5)
    along, across = (_normal(u) * [0.3, 0.08] + [1.0, 0.0]).T
    turn = label / 5 + 0.25 * np.exp(along) / (2 * math.pi)
    return 2 * (_polar(along, turn) + _polar(across, turn + 0.25)), label


def _swissroll(u: Floats) -> tuple[Floats, Labels]:
    # three quarters of a turn to nine quarters, as in scikit-learn's make_swiss_roll
    turn = 0.75 * (1 + 2 * u[:, 0])
    return _unlabelled(0.05 * _normal(u) + _polar(turn, turn))


def _spirals(u: Floats) -> tuple[Floats, Labels]:
    # the root makes points evenly spaced along the arm
    label, along = _choose(u[:, 0], 2)
    turn = 1.5 * np.sqrt(along)
    return 0.05 * _normal(u) + _polar(1.5 * turn, turn + label / 2), label


_COMPASS = ("east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast")

TOYS: dict[str, Toy] = {
    "8-gaussians": Toy(_eight_gaussians, _COMPASS, (0.0, 0.0), 2.8),
    "checkerboard": Toy(_checkerboard, (), (0.0, 0.0), 2.2),
    "circles": Toy(_circles, ("outer", "inner"), (0.0, 0.0), 1.3),
    "grid": Toy(_grid, (), (0.0, 0.0), 2.6),
    "moons": Toy(_moons, ("upper", "lower"), (0.5, 0.25), 1.9),
    "pinwheel": Toy(_pinwheel, tuple(f"arm {n}" for n in range(1, 6)), (0.0, 0.0), 4.2),
    "rings": Toy(_rings, tuple(f"ring {n}" for n in range(1, 5)), (0.0, 0.0), 4.6),
    "spirals": Toy(_spirals, ("first", "second"), (0.0, 0.0), 2.7),
    "swissroll": Toy(_swissroll, (), (0.0, 0.0), 2.6),
    "two-gaussians": Toy(_two_gaussians, ("left", "right"), (0.0, 0.0), 4.0),
}
"""The distributions by name."""
