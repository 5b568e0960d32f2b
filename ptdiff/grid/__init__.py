"""Time grids: the noise levels that a solver visits."""

from ptdiff.grid.catalog import SPACINGS
from ptdiff.grid.levels import End, grid
from ptdiff.grid.spacing import RATIO_MAX, RATIO_MIN, Spacing

__all__ = ["RATIO_MAX", "RATIO_MIN", "SPACINGS", "End", "Spacing", "grid"]
