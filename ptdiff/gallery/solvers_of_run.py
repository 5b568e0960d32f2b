"""Solvers of a run compared: the steps that each needs, and the effect of the variance of the reverse process.

The distance of a solver is the root mean square over samples and elements, in model units, from the end of a fine grid
with the same start: of the probability flow for solvers that add no noise, and of the solver itself along the same
Brownian path for those that do.

The study of the variance multiplies the noise of DDPM's ancestral step, without guidance.  strays: distance of a sample
from the nearest of an equal number of data samples; spread: distance from the nearest of an equal number of other
samples.  Both are in units of the distance between data samples, so that data has 1 and 1.  With too little noise
samples collapse, with too much the noise remains in them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ptdiff.errors import Unsupported
from ptdiff.gallery.scene import LARGE, Scene
from ptdiff.grid import Spacing, grid
from ptdiff.guidance import CFG
from ptdiff.modality.data import Condition
from ptdiff.pictures.files import Picture
from ptdiff.pictures.page import page
from ptdiff.solvers import SOLVERS, Solver
from ptdiff.solvers.exponential import DDPM
from ptdiff.solvers.runge_kutta import RK4

STEPS = (3, 5, 10, 20, 50)
COMPARED = ("ddim", "dpm++2m", "unipc-3", "heun", "ddpm")
FINE = 100
"""Steps of the reference by the classical Runge-Kutta method; a stochastic solver takes twice as many."""


LADDER: dict[str, Solver] = {
    "noise x 0.5": DDPM(scale=0.5),
    "fading out": DDPM(decay="exponential"),
    "x 1, posterior": DDPM(),
    "x 1, upper (beta)": DDPM(variance="upper"),
    "x 1.5": DDPM(scale=1.5),
    "x 2": DDPM(scale=2.0),
}
"""Noise of the reverse chain, from too little to too much."""

CHAIN = 100
"""Steps of the chain in the study of the variance."""


@torch.inference_mode()
def solvers(scene: Scene) -> Picture:
    """Solvers by number of steps, each with its distance from the end of a fine grid."""
    scene.needs_means()
    ids = scene.ids(scene.many(8))
    cond = scene.labels(ids)

    def end(solver: Solver, steps: int, spacing: Spacing | str) -> Tensor:
        plan = replace(scene.plan, solver=solver, steps=steps, spacing=spacing, end="zero", noise="path")
        *_, last = scene.states(ids, cond, plan)
        return last.x

    # equal steps of log-SNR, because equal steps of time end far from clean under some processes
    flow = end(RK4(), FINE, "log-snr")
    rows, notes, names = [], [], []
    for name in COMPARED:
        solver = SOLVERS[name]()
        table = solver.table(grid(scene.plan.process, FINE))
        exact = end(solver, 2 * FINE, scene.plan.spacing) if table.stochastic else flow
        ends = [end(solver, steps, scene.plan.spacing) for steps in STEPS]
        rows.append([_picture(scene, x, cond) for x in ends])
        notes.append([f"rms {float((x - exact).square().mean().sqrt()):.2g}" for x in ends])
        calls = round(table.calls / FINE)
        names.append(name if calls == 1 else f"{name} ({calls} calls per step)")
    return page(rows, [f"{steps} steps" for steps in STEPS], names, notes)


def _picture(scene: Scene, x: Tensor, cond: Condition) -> Picture:
    """A picture of all points, or of the first sample."""
    shown = len(x) if scene.together else 1
    first = {key: value[:shown] for key, value in cond.items()}
    world = scene.modality.postprocess(scene.data.world(x[:shown]), scene.data)
    return scene.cells(world, first)[0]


def variance(scene: Scene) -> Picture:
    """Noise of the reverse chain: with too little, samples collapse; with too much, noise remains in them."""
    scene.needs_means()
    count = scene.many(max(18, min(64, 2**15 // math.prod(scene.data.shape))))
    real = scene.data.world(scene.training(count)[0])
    half = len(real) // 2
    if half == 0:
        raise Unsupported("this plot compares two halves of the data: it needs at least two samples")
    ids = scene.ids(2 * half)
    cond = scene.labels(ids)
    usual = _apart(scene, real[:half], real[half : 2 * half])
    row, notes = [], []
    for solver in LADDER.values():
        plan = replace(
            scene.plan, solver=solver, steps=CHAIN, spacing="uniform", guidance=CFG(1.0), noise="independent"
        )
        x = scene.samples(ids, cond, plan)
        strays, spread = _apart(scene, x[:half], real[:half]), _apart(scene, x[:half], x[half:])
        shown = x if scene.together else x[:9]
        row.append(scene.tile(shown, {key: value[: len(shown)] for key, value in cond.items()}, LARGE))
        notes.append(f"strays {strays / usual:.2f}, spread {spread / usual:.2f}")
    return page([row], list(LADDER), notes=[notes])


def _apart(scene: Scene, x: Tensor, y: Tensor) -> float:
    """Mean distance of ``x`` from the nearest of ``y``, in the metric of the modality."""
    return float(scene.modality.nearest(x, y)[0].double().mean())
