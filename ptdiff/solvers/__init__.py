"""Solvers: methods that integrate from noise to data, each a table of linear stages that one loop executes."""

from ptdiff.solvers.adaptive import Adaptive
from ptdiff.solvers.catalog import ADAPTIVE, SOLVERS
from ptdiff.solvers.table import Draw, Solver, Stage, State, Table, solve, trajectory

__all__ = ["ADAPTIVE", "SOLVERS", "Adaptive", "Draw", "Solver", "Stage", "State", "Table", "solve", "trajectory"]
