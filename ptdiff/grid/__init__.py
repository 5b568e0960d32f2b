"""Time grids: the noise levels that a solver visits.

levels.py      grid: the levels that a solver visits
catalog.py     SPACINGS, by name
spacing.py     Spacing, and spacings by a formula
published.py   published grids, and levels given by hand
"""

from ptdiff.grid.catalog import SPACINGS
from ptdiff.grid.levels import End, grid
from ptdiff.grid.spacing import RATIO_MAX, RATIO_MIN, Spacing

__all__ = ["RATIO_MAX", "RATIO_MIN", "SPACINGS", "End", "Spacing", "grid"]
