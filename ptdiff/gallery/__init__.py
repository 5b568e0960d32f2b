"""The gallery: pictures of the theory and of trained runs, each a function that returns pixels.

scene.py              a model, and the way its pictures are drawn
plots.py              the list, the plots that a name stands for, and their files
schedules.py          chains, processes and shifts
densities.py          densities of the noise levels in training
preconditioning.py    what surrounds the network
embedding.py          how a network reads the noise level
diffusion_2d.py       points in the plane, and paths on the line
resolution.py         the effect of resolution on noise
solver_panel.py       solvers against steps, on an exact denoiser
variance_study.py     the noise of a reverse chain
curves.py             curves of a run
conditions.py         samples by class, guidance and number of points
solvers_of_run.py     solvers of a run
strips.py             samples at several times

``THEORY`` needs no run.  ``OF_RUN`` draws a :class:`ptdiff.gallery.scene.Scene`; a list of pictures is an
animation.  A modality adds pictures of its own (:meth:`ptdiff.modality.contract.Modality.gallery`).  ``ptdiff gallery``
prints the first line of each function's docstring.
"""

from __future__ import annotations

from collections.abc import Callable

from ptdiff.gallery import (
    conditions,
    curves,
    densities,
    diffusion_2d,
    embedding,
    preconditioning,
    resolution,
    schedules,
    solver_panel,
    solvers_of_run,
    strips,
    variance_study,
)
from ptdiff.gallery.scene import Scene
from ptdiff.pictures.files import Picture

THEORY: dict[str, Callable[[], Picture]] = {
    "schedules": schedules.schedules,
    "processes": schedules.processes,
    "shifts": schedules.shifts,
    "noise-densities": densities.noise_densities,
    "density-tails": densities.density_tails,
    "preconditioning": preconditioning.preconditioning,
    "embedding": embedding.embedding,
    "resolution": resolution.resolution,
    "variance-study": variance_study.variance_study,
    "solver-panel": solver_panel.solver_panel,
    "diffusion": diffusion_2d.diffusion,
    "paths": diffusion_2d.paths,
}

OF_RUN: dict[str, Callable[[Scene], Picture | list[Picture]]] = {
    "data": strips.data,
    "samples": strips.samples,
    "forward": strips.forward,
    "reverse": strips.reverse,
    "film": strips.film,
    "denoiser": strips.denoiser,
    "classes": conditions.classes,
    "guidance": conditions.guidance,
    "points": conditions.points,
    "training": curves.training,
    "losses": curves.losses,
    "solvers": solvers_of_run.solvers,
    "variance": solvers_of_run.variance,
}
