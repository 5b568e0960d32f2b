"""Strips: the same samples at several times, from data to noise and back.

forward     x_t = alpha x_0 + sigma eps of training data, with the same eps at all times
reverse     the states of a solver next to the chosen times, from noise to data
film        all states of the solver, one after the other
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ptdiff.errors import Unsupported
from ptdiff.gallery.scene import Scene
from ptdiff.machine.host import exact
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import sets_of
from ptdiff.noise import Stream, normal
from ptdiff.pictures.files import Picture
from ptdiff.pictures.page import page
from ptdiff.process import Level
from ptdiff.sampling.sampler import shown
from ptdiff.solvers import Adaptive

FRAMES, HELD, SIDE = 120, 15, 480
"""Maximum number of frames of a film, frames for which its end is held, and side in pixels."""


def forward(scene: Scene) -> Picture:
    """Training data at growing noise levels."""
    x0, cond = scene.training(scene.many())
    times = sorted(scene.at)
    columns = [scene.cells(seen(scene, noisy(scene, x0, level), level), cond) for level in levels(scene, times)]
    return page(list(zip(*columns, strict=True)), [scene.moment(t) for t in times])


def reverse(scene: Scene) -> Picture:
    """From noise to samples: the states of the solver at chosen times."""
    at = passed(scene)
    # the state closest to each time; the last of several equally close ones, because clean data comes at the end
    chosen = {t: min(reversed(range(len(at))), key=lambda k: abs(at[k] - t)) for t in sorted(scene.at, reverse=True)}
    steps = list(dict.fromkeys(chosen.values()))
    ids = scene.ids(scene.many())
    cond = scene.labels(ids)
    cells = {
        state.step: scene.cells(shown(state, scene.data), cond)
        for state in scene.states(ids, cond)
        if state.step in steps
    }
    return page(list(zip(*(cells[step] for step in steps), strict=True)), [scene.moment(at[step]) for step in steps])


def film(scene: Scene) -> list[Picture]:
    """From noise to samples as an animation (.gif, .mp4): every state of the solver."""
    last = len(passed(scene)) - 1
    kept = {round(last * k / min(last, FRAMES)) for k in range(min(last, FRAMES) + 1)}
    ids = scene.ids(scene.many(16))
    cond = scene.labels(ids)
    frames = [
        scene.tile(shown(state, scene.data), cond, SIDE) for state in scene.states(ids, cond) if state.step in kept
    ]
    return frames + frames[-1:] * HELD


def passed(scene: Scene) -> list[float]:
    """Times of the states of the plan's solver, first to last.

    Raises Unsupported for an adaptive solver, which has no common states.
    """
    if isinstance(scene.plan.solver, Adaptive):
        raise Unsupported("an adaptive solver has no common states to draw: every sample has its own steps")
    angles = [math.atan2(sigma, alpha) for alpha, sigma in scene.plan.table().levels]
    times: list[float] = scene.plan.process.time(torch.tensor(angles, dtype=torch.float64)).tolist()
    return times


def levels(scene: Scene, times: list[float]) -> list[Level]:
    """Noise levels at ``times``, of shape (); in a picture time 0 is clean under every process."""
    found = scene.plan.process.level(torch.tensor(times, dtype=torch.float64, device=exact(scene.device)))
    return [
        Level(alpha, sigma) if t > 0 else Level(torch.ones_like(alpha), torch.zeros_like(sigma))
        for t, alpha, sigma in zip(times, found.alpha.float(), found.sigma.float(), strict=True)
    ]


def noisy(scene: Scene, x0: Tensor, level: Level) -> Tensor:
    """x_t of data ``x0`` (n, *shape) in model units; a sample has the same noise at every level."""
    eps = normal(scene.seed, Stream.START, scene.ids(len(x0)), 0, tuple(x0.shape[1:]))
    return level.alpha * x0 + level.sigma * eps


def seen(scene: Scene, x: Tensor, level: Level) -> Tensor:
    """A noisy state for display: scaled to unit variance, then converted to world units."""
    return scene.data.world(x / level.scale)


@torch.inference_mode()
def denoiser(scene: Scene) -> Picture:
    """The input of the network and its one-step estimate, by noise level."""
    x0, cond = scene.training(scene.many(2))
    times = sorted(scene.at)
    inputs, outputs = [], []
    for level in levels(scene, times):
        x = noisy(scene, x0, level)
        clean = x if level.sigma == 0 else scene.denoiser(x, level, cond)
        inputs.append(scene.cells(seen(scene, x, level), cond))
        outputs.append(scene.cells(scene.data.world(clean), cond))
    pairs = zip(zip(*inputs, strict=True), zip(*outputs, strict=True), strict=True)
    rows = [row for pair in pairs for row in pair]
    return page(rows, [scene.moment(t) for t in times], ["noisy", "estimate"] * (len(rows) // 2))


def data(scene: Scene) -> Picture:
    """Training data."""
    x, cond = scene.training(scene.many(scene.visualizer.many))
    return _sheet(scene, scene.data.world(x), cond)


def samples(scene: Scene) -> Picture:
    """Samples of the run."""
    ids = scene.ids(scene.many(scene.visualizer.many))
    cond = scene.labels(ids)
    return _sheet(scene, scene.samples(ids, cond), cond)


def _sheet(scene: Scene, x: Tensor, cond: Condition) -> Picture:
    return scene.visualizer.sheet(sets_of(x.float().cpu().numpy()), scene.titles(cond))
