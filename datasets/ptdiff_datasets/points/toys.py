"""Toy distributions: short formulas from uniform numbers to points in the plane, in space, or in more dimensions.

Point i of a seed is the formula at block i of the Philox generator keyed with that seed. Points are addressable: the
first thousand are the same however many are drawn, and a later stretch of the sequence is an independent sample of the
same distribution.

    >>> points, label = TOYS["moons"].draw(1000, seed=0)
    >>> points.shape, points.dtype.name, sorted(set(label.tolist()))
    ((1000, 2), 'float32', [0, 1])
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.points import formulas
from ptdiff_datasets.points.formulas import Blurred, Floats, Formula, Labels


@dataclass(frozen=True)
class Toy:
    """A distribution given by a formula.

    formula: from u (n, 4 * blocks) to points (n, width) and their classes (n,).
    classes: the names of the classes; empty if there are none.
    center, reach: the cube with this center and half this side holds practically all points.
    blocks: number of blocks of four uniform numbers that make a point.
    total: sum of the coordinates of every point, if it is fixed.
    """

    formula: Formula
    classes: tuple[str, ...]
    center: tuple[float, ...]
    reach: float
    blocks: int = 1
    total: float | None = None

    @property
    def width(self) -> int:
        """Number of coordinates of a point."""
        return len(self.center)

    @property
    def density(self) -> Blurred | None:
        """The blurred skeleton, which has an exact log density; None if there is no closed form."""
        return self.formula if isinstance(self.formula, Blurred) else None

    def blurred(self, std: float) -> Toy:
        """Return the distribution with noise ``std``; ValueError unless it consists of blurred points or curves."""
        if self.density is None:
            raise ValueError("noise can be set only for distributions of blurred points or curves")
        return replace(self, formula=self.density.blurred(std))

    def draw(self, count: int, *, seed: int, start: int = 0) -> tuple[npt.NDArray[np.float32], Labels]:
        """Draw points ``start`` … ``start + count - 1`` of ``seed``: (count, width) float32, and classes (count,)."""
        points, label = self.formula(uniform(count, seed=seed, start=start, blocks=self.blocks))
        return points.astype(np.float32), label


def uniform(count: int, *, seed: int, start: int = 0, blocks: int = 1) -> Floats:
    """Return rows ``start`` … of an endless table of uniform numbers in [0, 1): (count, 4 * blocks).

    ValueError for a negative count, start or seed.
    """
    if count < 0 or start < 0 or seed < 0:
        raise ValueError(f"count, start and seed must not be negative: {count}, {start}, {seed}")
    # one block of the generator is four 64-bit words
    return np.random.Generator(np.random.Philox(key=seed, counter=start * blocks)).random((count, 4 * blocks))


_ORIGIN = (0.0, 0.0)
_COMPASS = ("east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast")


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name} {n}" for n in range(1, count + 1))


TOYS: dict[str, Toy] = {
    "8-gaussians": Toy(Blurred(formulas.eight_places, 0.15, (8, 1)), _COMPASS, _ORIGIN, 2.8),
    "checkerboard": Toy(formulas.checkerboard, (), _ORIGIN, 2.2),
    "circles": Toy(Blurred(formulas.circles, 0.04, (1024, 1)), ("outer", "inner"), _ORIGIN, 1.3),
    "coins": Toy(formulas.flips, (), (0.5,) * 48, 0.6, blocks=12, total=36.0),
    "gaussian-rings": Toy(Blurred(formulas.places_on_rings, 0.1, (24, 1)), ("inner", "outer"), _ORIGIN, 2.6),
    "grid": Toy(Blurred(formulas.lattice, 0.08, (5, 5)), (), _ORIGIN, 2.6),
    "moons": Toy(Blurred(formulas.moons, 0.06, (1024, 1)), ("upper", "lower"), (0.5, 0.25), 1.9),
    "pinwheel": Toy(formulas.pinwheel, _numbered("arm", 5), _ORIGIN, 4.2),
    "rings": Toy(Blurred(formulas.rings, 0.08, (4096, 1)), _numbered("ring", 4), _ORIGIN, 4.6),
    "spirals": Toy(Blurred(formulas.spirals, 0.05, (4096, 1)), ("first", "second"), _ORIGIN, 2.7),
    "swissroll": Toy(Blurred(formulas.roll, 0.05, (2048, 1)), (), _ORIGIN, 2.6),
    "swissroll-3d": Toy(formulas.roll_in_space, (), (0.0, 0.0, 0.0), 2.6, blocks=2),
    "tree": Toy(formulas.tree, (), (0.0, 1.45), 1.75),
    "two-gaussians": Toy(Blurred(formulas.two_places, 0.5, (2, 1)), ("left", "right"), _ORIGIN, 4.0),
}
"""The distributions by name."""
