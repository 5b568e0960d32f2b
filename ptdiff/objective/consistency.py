"""Consistency training: one function that takes every point of a path of the flow to where the path ends.

    f(x, level) = x_0 all along a path,   f(x, clean) = x         (Song et al. 2023, "Consistency Models", eq. 5)

f is a Denoiser whose estimate is a sample and no mean.  rho = sigma / alpha; 0 = rho_0 < rho_1 < … < rho_n are the ends
of n intervals.  One of them is drawn for a datum, as often as the density falls into it, and with one noise for both

    loss = d(f(x_k, rho_k), f(x_(k-1), rho_(k-1))) / (rho_k - rho_(k-1)),       x_k = alpha_k x_0 + sigma_k eps

d: the norm of ptdiff.objective.loss.   The second f is the same network, dropout included, and is not differentiated.
With n = 1 and squares f is E[x_0 | x]; as n grows it becomes the end of the flow.  (Song and Dhariwal 2024, "Improved
Techniques for Training Consistency Models", iCT, table 1.)

rho_0 is the clean level, where iCT has sigma_min: f(x, clean) = x holds there by itself for every prediction whose
``out`` is 0 (velocity, flow, eps), so that EDM's preconditioning, which is velocity, needs no shift.
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
from ptdiff.objective.loss import LOSSES, Denoise, Objective
from ptdiff.process import Level, Process
from ptdiff.process.continuous import check_positive
from ptdiff.run.config import Config
from ptdiff.sampling.walk import solver
from ptdiff.solvers import Adaptive, Solver
from ptdiff.solvers.consistency import MultistepConsistency


@dataclass(frozen=True)
class Consistency(Denoise):
    """The end of the flow in one step: the estimate against the network's own at less noise (Song et al. 2023; iCT).

    first, last: intervals at the start and at the end of the training; they double in steps of equal length.
    low, high, rho: the intervals lie between levels of the spacing ``karras`` with these options, the cleanest of which
    becomes the clean level.
    """

    first: int = 10
    last: int = 1280
    low: float = 0.002
    high: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        check_positive(low=self.low, high=self.high, rho=self.rho)
        if not 1 <= self.first <= self.last:
            raise ValueError(f"first must lie between 1 and last, {self.last}, not {self.first}")
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must lie below high {self.high}")

    def intervals(self, progress: float) -> int:
        """n when so much of the training is over, 0 to 1 (iCT, table 1: N(k) - 1)."""
        doublings = math.floor(progress * (math.log2(self.last // self.first) + 1))
        return min(self.first << doublings, self.last)

    def angles(self, n: int) -> Tensor:
        """The angles of the ends of n intervals, float64 (n + 1,), from the clean level up."""
        ends = self.low ** (1 / self.rho), self.high ** (1 / self.rho)
        angles = torch.atan(torch.linspace(*ends, n + 1, dtype=torch.float64) ** self.rho)
        angles[0] = 0
        return angles

    def ends(self, level: Level, progress: float) -> tuple[Tensor, Tensor]:
        """The angles, float64 (b,), of the noisier and the cleaner end of the interval that each level falls into."""
        angles = self.angles(self.intervals(progress)).to(exact(level.alpha.device))
        k = torch.bucketize(double(level.angle), angles).clamp(1, len(angles) - 1)
        return angles[k], angles[k - 1]

    def density(self, density: Density, process: Process) -> Density:
        return Truncated.of(density, process, math.atan(self.high))

    def objective(self, config: Config, log_density: LogDensity) -> Objective:
        return ConsistencyObjective(loss=choose("loss", LOSSES, config.loss), consistency=self)

    def check(self, config: Config, denoiser: NetworkDenoiser) -> None:
        check_solver(config, solver(config.sampling.solver))
        end = PREDICTIONS[denoiser.prediction](clean(torch.ones(1)))
        for wrong, advice in (
            (config.weighting["name"] != "prediction", "has a weight of its own: leave weighting at prediction"),
            (
                float(end.out) != 0,
                f"needs f(x, clean) = x: prediction velocity, flow or eps, not {denoiser.prediction}",
            ),
            (denoiser.self_conditioning, "needs a function of x and the level, which self-conditioning makes it not"),
            (config.training.patience is not None, "has no validation loss: training.patience cannot be set"),
        ):
            if wrong:
                raise ValueError(f"objective consistency {advice}")


@dataclass(frozen=True)
class ConsistencyObjective(Objective):
    """Distance of the estimates at both ends of an interval, over its length in rho."""

    consistency: Consistency = field(default_factory=Consistency)
    progress: float = 0.0

    def at(self, progress: float) -> ConsistencyObjective:
        return replace(self, progress=progress)

    def __call__(self, denoiser: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """The loss of every sample, (b,); ``level`` (b,) says which interval."""
        ends = self.consistency.ends(level, self.progress)
        noisy, less = (Level(torch.cos(angle).to(x0), torch.sin(angle).to(x0)) for angle in ends)
        # the random numbers that the network draws by itself are the same for both
        with kept_randomness(x0.device):
            target = first_estimate(denoiser, _mixed(x0, eps, less), less, cond)
        residual = denoiser(_mixed(x0, eps, noisy), noisy, cond) - target
        length = (torch.tan(ends[0]) - torch.tan(ends[1])).to(x0)
        return self.loss(residual, torch.ones_like(length)) / length


OBJECTIVES: Catalog[type[Denoise]] = Catalog("objective", {"denoise": Denoise, "consistency": Consistency})


def check_solver(config: Config, chosen: Solver | Adaptive) -> None:
    """ValueError for a solver that takes the estimates of a run for means where they are samples."""
    inner: object = chosen
    while hasattr(inner, "base"):
        inner = inner.base
    if config.objective["name"] == "consistency" and not isinstance(inner, MultistepConsistency):
        raise ValueError(
            "objective consistency goes with solver consistency, in one step or a few (sampling.solver, "
            "sampling.steps): other solvers take each estimate for a mean"
        )


def _mixed(x0: Tensor, eps: Tensor, level: Level) -> Tensor:
    wide = level.like(x0)
    return wide.alpha * x0 + wide.sigma * eps
