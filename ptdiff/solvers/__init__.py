"""Solvers: methods that integrate from noise to data, each a table of linear stages that one loop executes.

table.py            Stage, Table, Solver: what a solver compiles to
loop.py             solve and trajectory: the sampler loop
catalog.py          SOLVERS and ADAPTIVE, by name
exponential.py      DDIM and DDPM: the shortest file to copy for a new solver
runge_kutta.py      Euler, Heun and others on the flow
tableau.py          their coefficients
linear.py           linear multistep methods
multistep.py        DPM-Solver++ and other exponential multistep methods
singlestep.py       DPM-Solver with calls inside a step
unipc.py            UniPC
deis.py             DEIS
weights.py          weights of interpolation
stochastic.py       exponential integrators of the reverse SDE
euler_maruyama.py   Euler-Maruyama
ancestral.py        ancestral samplers
sa_solver.py        stochastic Adams methods
seeds.py            SEEDS
langevin.py         Langevin dynamics, and correctors
consistency.py      multistep consistency sampling
churn.py            a wrapper: fresh noise before every step
restart.py          wrappers that walk levels once more
tempered.py         a wrapper: less noise, or more
trace.py            a solver in its paper's terms as a table
adaptive.py         Adaptive: a step size for each sample
dormand_prince.py   the adaptive Runge-Kutta method
dpm_adaptive.py     the adaptive exponential integrators
inversion.py        from data to noise
brownian.py         addressed Brownian paths
flow_field.py       the flow as a vector field, for outside solvers
"""

from ptdiff.solvers.adaptive import Adaptive
from ptdiff.solvers.catalog import ADAPTIVE, SOLVERS
from ptdiff.solvers.loop import solve, trajectory
from ptdiff.solvers.table import Draw, Solver, Stage, State, Table

__all__ = ["ADAPTIVE", "SOLVERS", "Adaptive", "Draw", "Solver", "Stage", "State", "Table", "solve", "trajectory"]
