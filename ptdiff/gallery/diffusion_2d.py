"""Pictures of diffusion without a network: points in the plane, and paths on the line.

x_t = alpha x_0 + sigma eps.  The probability flow and the reverse SDE turn noise into data with the same densities at
every time (Song et al. 2021, figure 2); on a mixture both are exact up to the error of their steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.noise import Stream, normal, uniform
from ptdiff.pictures.plot import COLORS, density_map, picture, plane
from ptdiff.process import Chain, Level, Process, TrigFlow
from ptdiff.sampling.sampler import Plan, walk
from ptdiff.solvers import SOLVERS, Solver

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AT = (0, 9, 19, 49, 99, 149, 499, 999)
"""Indices of the linear chain at which the swiss roll is drawn."""

LINE = Mixture(
    torch.tensor([[-1.05], [0.25], [1.15]], dtype=torch.float64),
    torch.tensor([0.15, 0.1, 0.25], dtype=torch.float64),
    torch.tensor([0.4, 0.2, 0.4], dtype=torch.float64),
)
"""Data on the line, with about unit variance."""


def swiss_roll(count: int) -> Tensor:
    """Points (count, 2) on one and a half turns of a spiral, with a little noise; about unit variance, float64."""
    ids = torch.arange(count)
    turn = 1.5 * math.pi * (1 + 2 * uniform(0, Stream.DATA, ids, 0))
    roll = torch.stack([turn * torch.cos(turn), turn * torch.sin(turn)], dim=1) / 7
    return roll + 0.03 * normal(0, Stream.DATA, ids, 1, (2,)).double()


def noised(x: Tensor, level: Level) -> Tensor:
    """Add noise to ``x`` for a level of shape (), with the same random numbers for every level."""
    eps = normal(0, Stream.TRAIN_NOISE, torch.arange(len(x)), 0, tuple(x.shape[1:])).to(x)
    return level.alpha * x + level.sigma * eps


@picture(4.4)
def diffusion(figure: Figure) -> None:
    """From data to noise: a swiss roll under the linear chain of DDPM."""
    x, levels = swiss_roll(4000), Chain().levels(torch.tensor(AT))
    axes = figure.subplots(2, 4).flat
    for where, index, alpha, sigma in zip(axes, AT, levels.alpha, levels.sigma, strict=True):
        where.scatter(
            *noised(x, Level(alpha, sigma)).T, s=1.8, c=x.norm(dim=1), cmap="viridis", alpha=0.6, linewidths=0
        )
        plane(where, (0.0, 0.0), 3.0)
        where.set_title(f"step {index + 1}", fontsize=9, loc="center")
        where.set_xlabel(f"α = {alpha:.2f},  σ = {sigma:.2f}", fontsize=8.5)


def density(process: Process, t: Tensor, x: Tensor) -> Tensor:
    """Density of x_t for data ``LINE`` at times ``t`` (m,) and places ``x`` (n,): (n, m)."""
    level = process.level(t)
    columns = [
        LINE.log_prob(x[:, None], Level(alpha, sigma)) for alpha, sigma in zip(level.alpha, level.sigma, strict=True)
    ]
    return torch.stack(columns, dim=1).exp()


def _paths(axes: Axes, solver: Solver, name: str) -> None:
    process, steps = TrigFlow(), 250
    t = torch.linspace(0, 1, 241, dtype=torch.float64)
    x = torch.linspace(-3, 3, 301, dtype=torch.float64)
    heat = density(process, t, x)
    # the density is flat at the noise end and high at the data end: scale each time to the same maximum
    shade = (heat / heat.amax(dim=0)).flip(1)
    axes.imshow(shade, extent=(1, 0, -3, 3), origin="lower", aspect="auto", cmap=density_map(), vmin=0, vmax=1.5)
    states = list(walk(LINE, Plan(process, solver, steps), torch.arange(24), (1,), {}))
    times = process.time(torch.tensor([math.atan2(sigma, alpha) for alpha, sigma in (s.level for s in states)]))
    axes.plot(times, torch.stack([s.x[:, 0] for s in states]), color=COLORS[1], linewidth=0.9, alpha=0.9)
    axes.set(title=name, xlim=(1, 0), ylim=(-3, 3), ylabel="x")
    axes.grid(visible=False)


@picture(5.4)
def paths(figure: Figure) -> None:
    """From noise to data on the line: the probability flow and the reverse SDE have the same densities."""
    flow, noisy = figure.subplots(2, 1, sharex=True)
    _paths(flow, SOLVERS["heun"](), "probability flow: smooth paths that never cross")
    _paths(noisy, SOLVERS["ddpm"](), "reverse stochastic equation: noise is added on the way")
    noisy.set_xlabel("time t (1 = noise, 0 = data)")
