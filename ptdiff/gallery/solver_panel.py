"""Pictures of solvers by number of steps: samples from an exact denoiser, and their distance from the data.

The data is a mixture known in closed form, so the distance is measured to the distribution itself and not to another
sample.  It is the sliced Wasserstein distance

    d^2 = mean over directions u of int_0^1 (F^-1(p) - F_u^-1(p))^2 dp

where F belongs to the projections of the samples on u, and F_u to that of the mixture, again a mixture of normal
distributions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.pictures.plot import COLORS, FAINT, INK, picture, plane
from ptdiff.process import Flow
from ptdiff.sampling.sampler import Plan, walk
from ptdiff.solvers import SOLVERS, Solver

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPARED: dict[str, Solver] = {
    name: SOLVERS[name]() for name in ("ddim", "heun", "dpm++2m", "unipc-2", "ddpm", "dpm++2m-sde")
}
"""The compared solvers: four that follow the flow, two that add noise."""

STEPS = (3, 5, 10, 20, 50)
COUNT = 4000


def arms(per_arm: int = 12) -> Mixture:
    """Two spiral arms of narrow Gaussians: data of about unit variance, float64."""
    along = torch.linspace(0.25, 1, per_arm, dtype=torch.float64)
    turn = 1.1 * 2 * math.pi * along
    arm = 2.05 * along[:, None] * torch.stack([torch.cos(turn), torch.sin(turn)], dim=1)
    count = 2 * per_arm
    return Mixture(
        torch.cat([arm, -arm]),
        torch.full((count,), 0.1, dtype=torch.float64),
        torch.full((count,), 1 / count, dtype=torch.float64),
    )


def quantiles(data: Mixture, count: int = COUNT, directions: int = 16) -> Tensor:
    """Quantiles (i + 1/2) / count of the mixture's projections on evenly spaced directions, (count, directions)."""
    share = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) / count
    means, stds = data.means.double() @ _axes(directions), data.stds.double()[:, None]
    low = (means - 8 * stds).amin(dim=0).expand(count, -1)
    high = (means + 8 * stds).amax(dim=0).expand(count, -1)
    for _ in range(40):
        middle = (low + high) / 2
        below = torch.zeros_like(middle)
        for weight, mean, std in zip(data.weights, means, stds, strict=True):
            below += weight * torch.special.ndtr((middle - mean) / std)
        low, high = torch.where(below < share, middle, low), torch.where(below < share, high, middle)
    return (low + high) / 2


def _axes(directions: int) -> Tensor:
    angle = (torch.arange(directions, dtype=torch.float64) + 0.5) * (math.pi / directions)
    return torch.stack([torch.cos(angle), torch.sin(angle)])


def distance(x: Tensor, exact: Tensor) -> float:
    """Sliced Wasserstein distance of samples ``x`` (n, 2) from the mixture with n of these :func:`quantiles`."""
    gap = (x.double() @ _axes(exact.shape[1])).sort(dim=0).values - exact
    return float(gap.square().mean().sqrt())


def floor(data: Mixture, exact: Tensor, rounds: int = 8) -> tuple[float, float]:
    """Smallest and largest distance among ``rounds`` sets of exact samples."""
    found = [distance(data.sample(seed, torch.arange(len(exact))), exact) for seed in range(rounds)]
    return min(found), max(found)


def drawn(data: Mixture, solver: Solver, steps: int, count: int = COUNT) -> tuple[Tensor, int]:
    """Samples (count, 2) under flow with equal steps of log-SNR, and the denoiser calls per sample."""
    plan = Plan(Flow(), solver, steps, "log-snr", noise="independent")
    *_, last = walk(data, plan, torch.arange(count), (2,), {})
    return last.x, plan.table().calls


@picture(9.4)
def solver_panel(figure: Figure) -> None:
    """Solvers by number of steps on an exact denoiser, each with its distance from the data and its calls."""
    data = arms()
    exact = quantiles(data)
    low, high = floor(data, exact)
    figure.suptitle(
        f"distance to the data (exact samples: {low:.2f} to {high:.2f}), and calls", fontsize=9.5, color=INK
    )
    grid = figure.subplots(len(COMPARED), len(STEPS))
    for row, (name, solver) in zip(grid, COMPARED.items(), strict=True):
        for axes, steps in zip(row, STEPS, strict=True):
            x, calls = drawn(data, solver, steps)
            axes.scatter(*data.means.T, s=2, color=FAINT, linewidths=0)
            axes.scatter(*x.T, s=1.6, color=COLORS[0], alpha=0.25, linewidths=0)
            plane(axes, (0.0, 0.0), 2.7)
            axes.set_xlabel(f"{distance(x, exact):.3f}   {calls} calls", fontsize=8.5, labelpad=2)
        row[0].set_ylabel(name)
    for axes, steps in zip(grid[0], STEPS, strict=True):
        axes.set_title(f"{steps} steps", fontsize=9, loc="center")
