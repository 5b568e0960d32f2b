"""Solvers: ways to walk from noise to data, each a table of linear stages that one loop executes."""

from ptdiff.solvers.catalog import SOLVERS
from ptdiff.solvers.table import Draw, Solver, Stage, State, Table, solve, trajectory

__all__ = ["SOLVERS", "Draw", "Solver", "Stage", "State", "Table", "solve", "trajectory"]
