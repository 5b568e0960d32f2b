"""Particles: samples of the exact posterior in the limit of many particles (Wu et al. 2023, TDS).

The other methods approximate p(y | x) at every level and keep the error.  Here p particles per sample take ancestral
DDPM steps from the guided estimate, and their weights correct the error of the guidance:

    s -> t      x_t ~ q = N(keep x_s + m D_y, std^2),     p = N(keep x_s + m D, std^2) without the observation
    log w_t   = log w_s + log p/q (x_t) + log p(y | x_t) - log p(y | x_s)
    log p(y | x) = -1/2 (y - A D)* (s^2 A A* + noise^2)^-1 (y - A D) + constant of the level

At the clean level p(y | x) is the likelihood itself, so the weighted particles have the distribution of the unguided
sampler given y, for any guidance on the way.  D_y is the estimate of PiGDM.  The particles of one sample share a batch;
those of different samples are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.posterior import dot, posterior
from ptdiff.inverse.methods import solve, white
from ptdiff.inverse.operators import Observation
from ptdiff.machine.host import double, exact
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def particles(
    denoiser: Denoiser,
    seen: Observation,
    x: Tensor,
    levels: Level,
    noise: Callable[[int], Tensor],
    uniform: Callable[[int], Tensor],
    cond: Condition | None = None,
    steps: int = 8,
) -> tuple[Tensor, Tensor]:
    """Particles (n, p, …) at the clean last level of ``levels``, and their weights (n, p), each row summing to one.

    ``seen``: one observation for all (1, …), or one for each sample (n, …), with noise above zero.
    ``x`` (n, p, …): noise with the standard deviation of the first level.
    ``noise(i)`` and ``uniform(i)``: random numbers of step i, standard normal like x and uniform (n,).
    ``cond``: the condition of each sample (n,).
    ``steps``: conjugate-gradient steps.
    The cost is two evaluations per particle and level.

    Raises ValueError for an observation without noise and for levels that do not end clean.
    """
    if not seen.noise > 0:
        raise ValueError(f"particles need an observation with noise above 0, not {seen.noise}")
    pairs = list(zip(levels.alpha.tolist(), levels.sigma.tolist(), strict=True))
    if pairs[-1][1] != 0:
        raise ValueError(f"particles need levels that end clean, but the last level has sigma = {pairs[-1][1]:.6g}")
    n, p = x.shape[:2]
    cond = {name: value.repeat_interleave(p, dim=0) for name, value in (cond or {}).items()}
    y = seen.y.expand(n, *seen.y.shape[1:]).repeat_interleave(p, dim=0)
    x = x.flatten(0, 1)
    logs = torch.zeros(n, p, dtype=torch.float64, device=exact(x.device))
    fit = torch.zeros_like(logs)
    for i, (s, t) in enumerate(pairwise(pairs)):
        level = Level(x.new_tensor(s[0]), x.new_tensor(s[1]))
        belief = posterior(denoiser, x, level, cond)
        gap = y.to(x) - seen.operator(belief.mean)
        twist = _solved(seen, gap, white(level, x), steps)
        logs, fit = _weighed(logs, fit, gap, twist)
        shift = belief.covariance(seen.operator.adjoint(twist))
        chosen, logs = _resampled(logs, uniform(i))
        fit = fit.flatten()[chosen].reshape(n, p)
        chosen = chosen.to(x.device)
        x, mean, shift = x[chosen], belief.mean[chosen], shift[chosen]
        q = (t[1] * s[0]) / (t[0] * s[1])
        keep, std = t[1] * q / s[1], t[1] * math.sqrt(1 - q * q)
        x = x * keep + mean * (t[0] - keep * s[0])
        if std > 0:
            z, move = noise(i).flatten(0, 1).to(x), shift * ((t[0] - keep * s[0]) / std)
            x = x + (move + z) * std
            logs = logs - double((dot(z, move) + dot(move, move) / 2).reshape(n, p))
    gap = y.to(x) - seen.operator(x / pairs[-1][0])
    logs, _ = _weighed(logs, fit, gap, gap / seen.noise**2)
    return x.reshape(n, p, *x.shape[1:]), torch.softmax(logs, dim=1)


def pick(x: Tensor, weights: Tensor, u: Tensor) -> Tensor:
    """Select one particle for each sample, (n, …), by its weight; ``u`` (n,) is uniform in (0, 1)."""
    cumulative = weights.cumsum(dim=1)
    chosen = torch.searchsorted(cumulative, u.to(weights)[:, None] * cumulative[:, -1:])
    return x[torch.arange(len(x), device=x.device), chosen[:, 0].to(x.device)]


def _solved(seen: Observation, gap: Tensor, spread: Tensor, steps: int) -> Tensor:
    apply, adjoint = seen.operator, seen.operator.adjoint
    return solve(lambda v: apply(adjoint(v) * spread) + v * seen.noise**2, gap, steps)


def _weighed(logs: Tensor, fit: Tensor, gap: Tensor, solved: Tensor) -> tuple[Tensor, Tensor]:
    # replace the old log p(y | x) in the weight by the new one
    new = double(-0.5 * dot(gap, solved).reshape(logs.shape))
    return logs + new - fit, new


def _resampled(logs: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the surviving particles, flat (n p,), and the log weights afterwards.

    Resampling is systematic, for samples whose effective number of particles has fallen below half.
    """
    n, p = logs.shape
    weights = torch.softmax(logs, dim=1)
    marks = (u.to(weights)[:, None] + torch.arange(p, device=logs.device)) / p
    found = torch.searchsorted(weights.cumsum(dim=1), marks).clamp(max=p - 1)
    few = 1 / weights.square().sum(dim=1, keepdim=True) < p / 2
    found = torch.where(few, found, torch.arange(p, device=logs.device))
    rows = torch.arange(n, device=logs.device)[:, None] * p
    return (rows + found).flatten(), torch.where(few, torch.zeros_like(logs), logs)
