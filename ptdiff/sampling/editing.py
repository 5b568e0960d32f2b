"""Editing of samples: variations, interpolation, completion.

    edit          noise to x = alpha x_0 + sigma eps at an intermediate level, then denoise (SDEdit; Meng et al. 2022)
    encode        the noise from which the probability flow makes a sample (ptdiff/solvers/inversion.py)
    between       noises on the great circle from one noise to another
    matched       the elements of a set, reordered to be nearest to those of another
    complete      sets that contain a given part, by any method of ptdiff/inverse

Everything is in model units and uses denoisers as they are; see :func:`ptdiff.sampling.sampler.prepared`.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ptdiff.denoiser.latent_code import drawn, read
from ptdiff.denoiser.network import Denoiser
from ptdiff.inverse import Mask, Method, Observation
from ptdiff.machine.host import double
from ptdiff.modality.data import Condition
from ptdiff.noise import Stream, normal
from ptdiff.process import Level
from ptdiff.sampling.sampler import Plan, noise, start
from ptdiff.solvers import Adaptive, trajectory
from ptdiff.solvers.inversion import invert, slerp

APART = 1.002
"""Minimum SNR ratio between an inserted first level and the next; Brownian paths cannot resolve closer levels."""


@torch.inference_mode()
def denoised(denoiser: Denoiser, plan: Plan, x: Tensor, levels: Level, ids: Tensor, cond: Condition) -> Tensor:
    """Take ``x`` (b, …) from the first to the last of ``levels`` by the plan's solver; an estimate of x_0 (b, …)."""
    if len(levels.alpha) > 1:
        if isinstance(plan.solver, Adaptive):
            states = plan.solver.trajectory(denoiser, x, levels, cond)
        else:
            table = plan.solver.table(levels)
            states = trajectory(denoiser, x, table, cond, noise(plan, table, ids, tuple(x.shape[1:])))
        x = deque(states, maxlen=1)[0].x
    last = float(levels.alpha[-1])
    return x if last == 1 else x / last


def onward(plan: Plan, strength: float) -> Level:
    """The plan's grid from the level whose angle is ``strength`` times that of the first level.

    The angle theta = atan2(sigma, alpha) means the same under every process.  If the process does not reach the level,
    the grid starts at its nearest one.
    """
    full = plan.levels()
    level = plan.process.level(plan.process.time(full.angle[:1] * strength))
    kept = (full.alpha * level.sigma) ** 2 > APART * (full.sigma * level.alpha) ** 2
    return Level(torch.cat([level.alpha, full.alpha[kept]]), torch.cat([level.sigma, full.sigma[kept]]))


def edit(denoiser: Denoiser, plan: Plan, x0: Tensor, strength: float, ids: Tensor, cond: Condition) -> Tensor:
    """Noise data x0 (b, …) by ``strength`` in [0, 1] and denoise it: 0 changes nothing, 1 makes new samples ``ids``.

    Raises ValueError for a strength outside [0, 1].
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be between 0 and 1, not {strength}")
    if strength == 0:
        return x0
    shape, cond = tuple(x0.shape[1:]), read(denoiser, x0, cond)
    if strength == 1:
        # the first level of some processes keeps a trace of the data, which a new sample must not have
        return denoised(denoiser, plan, start(plan, ids, shape).to(x0), plan.levels(), ids, cond)
    levels = onward(plan, strength)
    eps = normal(plan.seed, Stream.START, ids, 0, shape).to(x0)
    x = x0 * float(levels.alpha[0]) + eps * float(levels.sigma[0])
    return denoised(denoiser, plan, x, levels, ids, cond)


@torch.inference_mode()
def encode(denoiser: Denoiser, plan: Plan, x0: Tensor, cond: Condition) -> Tensor:
    """The noise of data x0 (b, …) at the plan's first level; ValueError for a solver that adds noise."""
    return invert(denoiser, x0, plan.solver, plan.levels(), read(denoiser, x0, cond))


def between(first: Tensor, second: Tensor, frames: int) -> Tensor:
    """Noises (frames, …) on the great circle from ``first`` to ``second`` (…), both included.

    Raises ValueError for fewer than two frames.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, not {frames}")
    share = torch.linspace(0, 1, frames, dtype=torch.float64).to(first)
    path = slerp(first.expand(frames, *first.shape), second.expand(frames, *second.shape), share)
    # exact, in spite of rounding in slerp
    path[0], path[-1] = first, second
    return path


def matched(first: Tensor, second: Tensor) -> Tensor:
    """Reorder ``second`` (n, …) so that the sum of squared distances to the elements of ``first`` (n, …) is minimal.

    A set is the same in any order; without this, the paths of elements would cross.  Exact, by assignment (Jonker and
    Volgenant 1987); takes about n^3 operations, one second for 2,000 elements.
    """
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(double(first.flatten(1)), double(second.flatten(1))).square()
    return second[torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1]).to(second.device)]


def held(part: Tensor, count: int) -> Observation:
    """An observation: a set of ``count`` elements begins with ``part`` (m, …); ValueError unless 1 <= m <= count."""
    m = len(part)
    if not 0 < m <= count:
        raise ValueError(f"of {count} elements, between 1 and {count} can be given, not {m}")
    known = torch.zeros(count, *(1,) * (part.ndim - 1), dtype=torch.bool, device=part.device)
    known[:m] = True
    y = part.new_zeros(1, count, *part.shape[1:])
    y[0, :m] = part
    return Observation(Mask(known), y)


def complete(
    denoiser: Denoiser, plan: Plan, method: Method, part: Tensor, count: int, ids: Tensor, cond: Condition
) -> Tensor:
    """Sample sets ``ids`` (b, count, …) whose first elements are exactly ``part`` (m, …), the others given these."""
    given = method.given(held(part, count), denoiser)
    x, cond = start(plan, ids, (count, *part.shape[1:])).to(part), drawn(denoiser, cond, plan.seed, ids)
    found = denoised(given, plan, x, plan.levels(), ids, cond).clone()
    # some methods only approximate an observation without noise
    found[:, : len(part)] = part
    return found
