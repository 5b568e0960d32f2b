"""Solvers by name."""

from __future__ import annotations

from ptdiff.choices import Catalog
from ptdiff.plugins.doors import Door
from ptdiff.solvers.adaptive import Adaptive
from ptdiff.solvers.ancestral import DPM2Ancestral, DPMpp2SAncestral, EulerAncestral
from ptdiff.solvers.churn import Churn
from ptdiff.solvers.consistency import MultistepConsistency
from ptdiff.solvers.deis import DEIS
from ptdiff.solvers.dormand_prince import Dopri5
from ptdiff.solvers.dpm_adaptive import DPMAdaptive
from ptdiff.solvers.euler_maruyama import EulerMaruyama
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.langevin import Corrector, Langevin
from ptdiff.solvers.linear import IPNDM, LMS, PNDM, AdamsBashforth, IPNDMv
from ptdiff.solvers.multistep import DPMpp2M, DPMpp3M, DPMSolver2M, DPMSolver3M, ExpAB
from ptdiff.solvers.restart import Resample, Restart
from ptdiff.solvers.runge_kutta import RK4, Euler, Heun, Kutta3, Midpoint, Ralston, Ralston3, RungeKutta
from ptdiff.solvers.sa_solver import SASolver
from ptdiff.solvers.seeds import SEEDS1, SEEDS2, SEEDS3
from ptdiff.solvers.singlestep import DPM2, DPMpp2S, DPMpp3S, DPMSolver2S, DPMSolver3S
from ptdiff.solvers.stochastic import DPMpp2MSDE, DPMpp3MSDE, DPMppSDE
from ptdiff.solvers.table import Solver
from ptdiff.solvers.tempered import Tempered
from ptdiff.solvers.unipc import UniPC, UniPC3

DOOR = Door("solvers", "solver", methods=("order", "table"))

SOLVERS: Catalog[type[Solver]] = Catalog(
    "solver",
    {
        "heun": Heun,
        "ddim": DDIM,
        "ddpm": DDPM,
        "dpm++2m": DPMpp2M,
        "dpm++3m": DPMpp3M,
        "dpm++2s": DPMpp2S,
        "dpm++3s": DPMpp3S,
        "dpm-solver-2m": DPMSolver2M,
        "dpm-solver-3m": DPMSolver3M,
        "dpm-solver-2s": DPMSolver2S,
        "dpm-solver-3s": DPMSolver3S,
        "dpm-2": DPM2,
        "exp-ab": ExpAB,
        "unipc-2": UniPC,
        "unipc-3": UniPC3,
        "deis": DEIS,
        "ab": AdamsBashforth,
        "lms": LMS,
        "pndm": PNDM,
        "ipndm": IPNDM,
        "ipndm-v": IPNDMv,
        "euler": Euler,
        "midpoint": Midpoint,
        "rk4": RK4,
        "ralston": Ralston,
        "kutta3": Kutta3,
        "ralston3": Ralston3,
        "runge-kutta": RungeKutta,
        "euler-maruyama": EulerMaruyama,
        "euler-ancestral": EulerAncestral,
        "dpm-2-ancestral": DPM2Ancestral,
        "dpm++2s-ancestral": DPMpp2SAncestral,
        "dpm++sde": DPMppSDE,
        "dpm++2m-sde": DPMpp2MSDE,
        "dpm++3m-sde": DPMpp3MSDE,
        "sa-solver": SASolver,
        "seeds-1": SEEDS1,
        "seeds-2": SEEDS2,
        "seeds-3": SEEDS3,
        "langevin": Langevin,
        "consistency": MultistepConsistency,
        "churn": Churn,
        "restart": Restart,
        "resample": Resample,
        "corrector": Corrector,
        "tempered": Tempered,
    },
    DOOR,
)

ADAPTIVE: Catalog[type[Adaptive]] = Catalog(
    "adaptive solver", {"dopri5": Dopri5, "dpm-adaptive": DPMAdaptive}, DOOR, opens=False
)
