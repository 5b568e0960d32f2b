"""Consistency training: one function that maps every point of a trajectory of the flow to its end.

    f(x, level) = x_0 along a trajectory,   f(x, clean) = x         (Song et al. 2023, "Consistency Models", eq. 5)

f is a Denoiser whose estimate is a sample, not a mean.  rho = sigma / alpha; 0 = rho_0 < rho_1 < … < rho_n are the
ends of n intervals.  For each datum an interval is drawn, with the probability that the density gives it, and with the
same noise at both ends

    loss = d(f(x_k, rho_k), f(x_(k-1), rho_(k-1))) / (rho_k - rho_(k-1)),       x_k = alpha_k x_0 + sigma_k eps

d is the norm of :mod:`ptdiff.objective.loss`.  The second f is the same network with the same dropout and no gradient.
With n = 1 and the squared norm, f is E[x_0 | x]; as n grows, it approaches the end of the flow.  (Song and Dhariwal
2024, "Improved Techniques for Training Consistency Models", iCT, table 1.)

rho_0 is the clean level where iCT uses sigma_min.  There f(x, clean) = x holds for every prediction with out = 0
(velocity, flow, eps), so EDM's preconditioning, which is velocity, needs no shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ptdiff.choices import Catalog, choose
from ptdiff.denoiser.network import PREDICTIONS, NetworkDenoiser
from ptdiff.denoiser.oracle import clean
from ptdiff.denoiser.self_conditioning import first_estimate
from ptdiff.density import Density, Truncated
from ptdiff.machine.host import double, exact, kept_randomness
from ptdiff.modality.data import Condition
from ptdiff.objective.factors import LogDensity
from ptdiff.objective.flow_map import FlowMapTraining
from ptdiff.objective.loss import LOSSES, Denoise, Objective
from ptdiff.plugins.doors import Door
from ptdiff.process import Level, Process
from ptdiff.process.continuous import check_positive
from ptdiff.run.config import Config
from ptdiff.sampling.sampler import solver
from ptdiff.solvers import Adaptive, Solver
from ptdiff.solvers.consistency import MultistepConsistency


@dataclass(frozen=True)
class Consistency(Denoise):
    """Consistency training: match the network's own estimate at less noise (Song et al. 2023; iCT).

    ``first``, ``last``: number of intervals at the start and at the end of training, 1 <= first <= last; it doubles at
    equally spaced times.
    ``low``, ``high``, ``rho``: the ends of the intervals are the levels of the spacing ``karras`` with these options,
    the cleanest of which is replaced by the clean level.
    """

    first: int = 10
    last: int = 1280
    low: float = 0.002
    high: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        check_positive(low=self.low, high=self.high, rho=self.rho)
        if not 1 <= self.first <= self.last:
            raise ValueError(f"first must lie between 1 and last = {self.last}, not {self.first}")
        if self.low >= self.high:
            raise ValueError(f"low must lie below high, not {self.low} and {self.high}")

    def intervals(self, progress: float) -> int:
        """Number of intervals n at ``progress``, the fraction of the training that is over (iCT, table 1: N(k) - 1)."""
        doublings = math.floor(progress * (math.log2(self.last // self.first) + 1))
        return min(self.first << doublings, self.last)

    def angles(self, n: int) -> Tensor:
        """Angles of the ends of ``n`` intervals, float64 (n + 1,), increasing from the clean level."""
        ends = self.low ** (1 / self.rho), self.high ** (1 / self.rho)
        angles = torch.atan(torch.linspace(*ends, n + 1, dtype=torch.float64) ** self.rho)
        angles[0] = 0
        return angles

    def ends(self, level: Level, progress: float) -> tuple[Tensor, Tensor]:
        """Angles, float64 (b,) each, of the noisier and the cleaner end of the interval that contains each level."""
        angles = self.angles(self.intervals(progress)).to(exact(level.alpha.device))
        k = torch.bucketize(double(level.angle), angles).clamp(1, len(angles) - 1)
        return angles[k], angles[k - 1]

    def density(self, density: Density, process: Process) -> Density:
        """``density`` truncated to sigma / alpha of at most ``high``."""
        return Truncated.of(density, process, math.atan(self.high))

    def objective(self, config: Config, log_density: LogDensity) -> Objective:
        """The consistency loss with the norm of ``config``; ``log_density`` is ignored."""
        return ConsistencyObjective(loss=choose("loss", LOSSES, config.loss), consistency=self)

    def check(self, config: Config, denoiser: NetworkDenoiser) -> None:
        """Raise ValueError if a setting of ``config`` or the network rules out consistency training."""
        check_solver(config, solver(config.sampling.solver))
        end = PREDICTIONS[denoiser.prediction](clean(torch.ones(1)))
        for wrong, advice in (
            (config.weighting["name"] != "prediction", "has a weighting of its own: leave weighting at prediction"),
            (
                float(end.out) != 0,
                f"needs f(x, clean) = x: choose prediction velocity, flow or eps, not {denoiser.prediction}",
            ),
            (denoiser.self_conditioning, "needs a function of x and the level alone: turn self-conditioning off"),
            (config.training.patience is not None, "has no validation loss: training.patience cannot be set"),
        ):
            if wrong:
                raise ValueError(f"objective consistency {advice}")


@dataclass(frozen=True)
class ConsistencyObjective(Objective):
    """Distance between the estimates at both ends of an interval, divided by its length in rho.

    ``consistency``: the intervals.
    ``progress``: fraction of the training that is over, in [0, 1].
    """

    consistency: Consistency = field(default_factory=Consistency)
    progress: float = 0.0

    def at(self, progress: float) -> ConsistencyObjective:
        """The objective at ``progress``, the fraction of the training that is over, in [0, 1]."""
        return replace(self, progress=progress)

    def __call__(self, denoiser: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """Loss of every sample, (b,), for data and noise (b, …); ``level`` (b,) selects the interval."""
        ends = self.consistency.ends(level, self.progress)
        noisy, less = (Level(torch.cos(angle).to(x0), torch.sin(angle).to(x0)) for angle in ends)
        # dropout draws the same random numbers in both calls
        with kept_randomness(x0.device):
            target = first_estimate(denoiser, _mixed(x0, eps, less), less, cond)
        residual = denoiser(_mixed(x0, eps, noisy), noisy, cond) - target
        length = (torch.tan(ends[0]) - torch.tan(ends[1])).to(x0)
        return self.loss(residual, torch.ones_like(length), cond.get("mask")) / length


OBJECTIVES: Catalog[type[Denoise]] = Catalog(
    "objective",
    {"denoise": Denoise, "consistency": Consistency, "flow-map": FlowMapTraining},
    Door("objectives", "objective", Denoise),
)


def check_solver(config: Config, chosen: Solver | Adaptive) -> None:
    """Raise ValueError if a consistency run is sampled by a solver that treats its estimates as posterior means."""
    inner: object = chosen
    while hasattr(inner, "base"):
        inner = inner.base
    if config.objective["name"] == "consistency" and not isinstance(inner, MultistepConsistency):
        raise ValueError(
            "objective consistency needs solver consistency, with one or a few steps (sampling.solver, "
            "sampling.steps): other solvers treat each estimate as a mean"
        )


def _mixed(x0: Tensor, eps: Tensor, level: Level) -> Tensor:
    wide = level.like(x0)
    return wide.alpha * x0 + wide.sigma * eps
