"""Overhead: the time that a solver adds to one denoiser call, measured with a denoiser that costs nothing.

Everything runs in one process on one thread, in alternating rounds, so that a busy machine slows all solvers alike:
ratios are reliable even if microseconds are not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor

from ptdiff.certify.agreement import Pair
from ptdiff.certify.counterparts import PAIRS, installed
from ptdiff.grid import grid
from ptdiff.modality.data import Condition
from ptdiff.noise import Stream, normal
from ptdiff.process import VE, Level, VPCosine
from ptdiff.solvers import SOLVERS, Table, solve

SHAPES = ((1, 2048, 3), (32, 2048, 3))
STEPS = 50
PEERS = {
    "k-diffusion": ("sample_euler", "sample_heun", "sample_dpmpp_2m"),
    "diffusers": (
        "DDIMScheduler eta=0.0",
        "DPMSolverMultistepScheduler dpmsolver++ midpoint order=2",
        "UniPCMultistepScheduler bh2 x0 order=2",
    ),
    "azula": ("EulerSampler", "xEABSampler order=2"),
}


@dataclass(frozen=True)
class Overhead:
    """Microseconds per denoiser call: the median and the minimum over the rounds."""

    solver: str
    shape: tuple[int, ...]
    calls: int
    median: float
    least: float


class _Free:
    """A denoiser that returns one tensor and counts calls."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.calls = x, 0

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        self.calls += 1
        return self.x


def _ours(name: str, x: Tensor) -> tuple[Callable[[], object], int] | None:
    table: Table = SOLVERS[name]().table(grid(VPCosine(), STEPS, "log-snr"))
    if table.stochastic:
        return None  # the cost of noise depends on the random number generator
    free = _Free(x)
    return partial(solve, free, x * math.hypot(*table.levels[0]), table), table.calls


def _theirs(pair: Pair, x: Tensor) -> tuple[Callable[[], object], int]:
    spaced = grid(VE(), STEPS, "karras")
    rho = spaced.sigma[: None if pair.clean else -1].to(torch.float32)
    scale = {"exploding": torch.ones_like(rho), "preserving": torch.sqrt(1 + rho**2), "flow": 1 + rho}[pair.space]
    free = _Free(x)
    run = partial(pair.run, free, x, Level(1 / scale, rho / scale), lambda: x)
    run()
    return run, free.calls


def overheads(shape: tuple[int, ...], rounds: int = 15, peers: bool = True) -> list[Overhead]:
    """The overhead of every solver that adds no noise, and of the samplers of installed libraries."""
    x = normal(0, Stream.START, torch.arange(shape[0]), 0, shape[1:])
    runs: dict[str, tuple[Callable[[], object], int]] = {}
    for name in SOLVERS:
        made = _ours(name, x)
        if made is not None:
            runs[name] = made
    for pair in installed(PAIRS) if peers else ():
        if pair.theirs in PEERS[pair.peer]:
            runs[f"{pair.peer} {pair.theirs}"] = _theirs(pair, x)
    return _timed(runs, shape, rounds)


@torch.inference_mode()
def _timed(runs: Mapping[str, tuple[Callable[[], object], int]], shape: tuple[int, ...], rounds: int) -> list[Overhead]:
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, (run, calls) in runs.items():
            began = time.perf_counter()
            run()
            found[name].append((time.perf_counter() - began) / calls * 1e6)
    # the first round builds tables and fills caches
    return [Overhead(name, shape, runs[name][1], median(all_[1:]), min(all_[1:])) for name, all_ in found.items()]
