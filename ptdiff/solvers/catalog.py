"""The solvers by name."""

from __future__ import annotations

from ptdiff.solvers.exponential import DDIM, DDPM, DPMpp2M
from ptdiff.solvers.runge_kutta import RK4, Euler, Heun, Midpoint
from ptdiff.solvers.table import Solver

SOLVERS: dict[str, type[Solver]] = {
    "heun": Heun,
    "ddim": DDIM,
    "ddpm": DDPM,
    "dpm++2m": DPMpp2M,
    "euler": Euler,
    "midpoint": Midpoint,
    "rk4": RK4,
}
