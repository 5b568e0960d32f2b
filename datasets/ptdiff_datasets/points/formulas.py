"""Formulas from uniform numbers to points, the building blocks of :mod:`ptdiff_datasets.points.toys`.

u is uniform on [0, 1), (n, 4) or wider. Most distributions are points or curves blurred by Gaussian noise; their
density is known in closed form or as an integral along the curve: see :class:`Blurred`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Formula = Callable[[Floats], tuple[Floats, Labels]]

_BLOCK = 2**21


@dataclass(frozen=True)
class Blurred:
    """x = s(v) + std z with v uniform on [0, 1)^2 and z standard normal in the plane.

    skeleton: s, from v (n, 2) to positions (n, 2) and classes (n,).
    nodes: number of midpoints along each axis of v where the density is evaluated. Exact for a skeleton of points;
        along curves their spacing is a small fraction of ``std``, and the midpoint rule for a Gaussian is right to many
        digits.
    """

    skeleton: Formula
    std: float
    nodes: tuple[int, int]

    def __call__(self, u: Floats) -> tuple[Floats, Labels]:
        """Map uniform u (n, 4) to points (n, 2) and classes (n,)."""
        places, label = self.skeleton(u[:, :2])
        return places + self.std * normal(u[:, 2:4]), label

    def blurred(self, std: float) -> Blurred:
        """Return the same skeleton with noise ``std``, more nodes for less noise; ValueError unless 0 < std < inf."""
        if not 0 < std < math.inf:
            raise ValueError(f"noise must be positive and finite, not {std}")
        times = max(1, math.ceil(self.std / std))
        first, second = (count if count == 1 else count * times for count in self.nodes)
        return replace(self, std=std, nodes=(first, second))

    def log_density(self, x: Floats) -> Floats:
        """log p(x) in nats for x (n, 2), as (n,): p is the mean of N(x; s(v), std^2) over v."""
        from scipy.special import logsumexp

        grid = [(np.arange(count) + 0.5) / count for count in self.nodes]
        v = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
        places, count = np.unique(self.skeleton(v)[0], axis=0, return_counts=True)
        weight = count / (len(v) * 2 * math.pi * self.std**2)
        found = [np.empty(0)]
        for part in np.array_split(x, -(-len(x) * len(places) // _BLOCK) or 1):
            square = np.square(part[:, None] - places).sum(axis=2)
            found.append(logsumexp(-square / (2 * self.std**2), axis=1, b=weight))
        return np.concatenate(found)


def normal(u: Floats) -> Floats:
    """Map two uniform columns u to two standard normal ones, (n, 2) (Box and Muller 1958)."""
    # u < 1, so log1p(-u) is finite
    return _polar(np.sqrt(-2 * np.log1p(-u[:, 0])), u[:, 1])


def _plane(x: Floats, y: Floats) -> Floats:
    return np.stack([x, y], axis=-1)


def _polar(radius: Floats | float, turn: Floats) -> Floats:
    """Points at ``radius`` and an angle of ``turn`` full turns."""
    return _plane(radius * np.cos(2 * math.pi * turn), radius * np.sin(2 * math.pi * turn))


def _choose(u: Floats, count: int) -> tuple[Labels, Floats]:
    """Split u into one of ``count`` classes and a remainder, again uniform on [0, 1) and independent of the class."""
    label = np.floor(u * count).astype(np.int64)
    return label, u * count - label


def _unlabelled(points: Floats) -> tuple[Floats, Labels]:
    return points, np.zeros(len(points), dtype=np.int64)


def two_places(v: Floats) -> tuple[Floats, Labels]:
    """Two points at distance 3."""
    label, _ = _choose(v[:, 0], 2)
    return (label[:, None] - 0.5) * [3.0, 0.0], label


def eight_places(v: Floats) -> tuple[Floats, Labels]:
    """Eight points on a circle of radius 2, counterclockwise from the positive x axis."""
    label, _ = _choose(v[:, 0], 8)
    return _polar(2.0, label / 8), label


def places_on_rings(v: Floats) -> tuple[Floats, Labels]:
    """Six points on a circle of radius 1 and twelve on one of radius 2; each circle has half of the probability."""
    label, rest = _choose(v[:, 0], 2)
    count = 6.0 * (1 + label)
    return _polar(count / 6, np.floor(rest * count) / count), label


def lattice(v: Floats) -> tuple[Floats, Labels]:
    """Five rows of five points at distance 1."""
    return _unlabelled(np.floor(5 * v) - 2)


def moons(v: Floats) -> tuple[Floats, Labels]:
    """Two interleaved half circles."""
    label, along = _choose(v[:, 0], 2)
    upper = _polar(1.0, along / 2)
    return np.where(label[:, None] == 0, upper, np.array([1.0, 0.5]) - upper), label


def circles(v: Floats) -> tuple[Floats, Labels]:
    """Two concentric circles, of radius 1 and 0.5."""
    label, turn = _choose(v[:, 0], 2)
    return _polar(np.where(label == 0, 1.0, 0.5), turn), label


def rings(v: Floats) -> tuple[Floats, Labels]:
    """Four concentric circles of radius 1 to 4."""
    label, turn = _choose(v[:, 0], 4)
    return _polar(1 + label.astype(np.float64), turn), label


def roll(v: Floats) -> tuple[Floats, Labels]:
    """Swiss roll from 0.75 to 2.25 turns, as scikit-learn's ``make_swiss_roll``; the radius is the angle in turns."""
    turn = 0.75 * (1 + 2 * v[:, 0])
    return _unlabelled(_polar(turn, turn))


def spirals(v: Floats) -> tuple[Floats, Labels]:
    """Two spiral arms; the square root spaces points evenly along an arm."""
    label, along = _choose(v[:, 0], 2)
    turn = 1.5 * np.sqrt(along)
    return _polar(1.5 * turn, turn + label / 2), label


def checkerboard(u: Floats) -> tuple[Floats, Labels]:
    """Uniform on eight of the sixteen squares of [-2, 2]^2."""
    x = 4 * u[:, 0] - 2
    row, up = _choose(u[:, 1], 2)
    return _unlabelled(_plane(x, up + 2 * row - 2 + np.floor(x) % 2))


def pinwheel(u: Floats) -> tuple[Floats, Labels]:
    """Pinwheel of five twisted arms (Johnson et al. 2016, "Composing graphical models with neural networks")."""
    label, _ = _choose(u[:, 0], 5)
    along, across = (normal(u[:, 2:4]) * [0.3, 0.08] + [1.0, 0.0]).T
    turn = label / 5 + 0.25 * np.exp(along) / (2 * math.pi)
    return 2 * (_polar(along, turn) + _polar(across, turn + 0.25)), label


def tree(u: Floats) -> tuple[Floats, Labels]:
    """Binary tree of seven levels: a trunk of length 1, then branches 0.7 times as long, 28 degrees to either side.

    u_0 chooses the branch, in proportion to its length, and u_1 the position on it.
    """
    levels, ratio, fork = 7, 0.7, 28 / 360
    total = np.cumsum((2 * ratio) ** np.arange(levels))
    place = u[:, 0] * total[-1]
    level = np.searchsorted(total[:-1], place, side="right")
    length = np.diff(total, prepend=0.0)[level]
    # which of the 2^level branches: its bits are the turns taken at the forks; rounding may give one too many
    branch = np.floor((place - total[level] + length) / length * 2**level).astype(np.int64)
    branch = np.minimum(branch, 2**level - 1)
    foot, turn = np.zeros((len(u), 2)), np.full(len(u), 0.25)
    for k in range(levels):
        walked = np.where(k < level, 1.0, np.where(k == level, u[:, 1], 0.0))
        foot += _polar(ratio**k * walked, turn)
        way = branch >> np.maximum(level - 1 - k, 0) & 1
        turn = turn + (2 * way - 1) * fork
    return _unlabelled(foot + 0.01 * normal(u[:, 2:4]))


def roll_in_space(u: Floats) -> tuple[Floats, Labels]:
    """Swiss roll in 3-D: the 2-D roll in x and z, as long in y as scikit-learn's; eight uniform numbers per point."""
    flat, label = roll(u[:, :1])
    along = 21 / (2 * math.pi) * (u[:, 1] - 0.5)
    noise = 0.05 * np.concatenate([normal(u[:, 2:4]), normal(u[:, 4:6])[:, :1]], axis=1)
    return np.stack([flat[:, 0], along, flat[:, 1]], axis=-1) + noise, label


def flips(u: Floats) -> tuple[Floats, Labels]:
    """48 coins, of which exactly 36 show heads (1), all arrangements equally likely; 48 uniform numbers per row."""
    rank = u.argsort(axis=1).argsort(axis=1)
    return _unlabelled((rank < 36).astype(np.float64))
