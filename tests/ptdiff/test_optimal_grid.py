"""Optimal grids: the shortest path is the shortest, and the grid that is found beats the common ones on new noise."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.process import PROCESSES, Level, Process
from ptdiff.sampling.optimal_grid import COMMON, optimize, shortest
from ptdiff.solvers import SOLVERS, Solver, solve
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.runge_kutta import RK4, Heun

DTYPE = torch.float64


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DTYPE)


MEANS = _normal(1, 8, 4)
MIXTURE = Mixture(MEANS / MEANS.std(), torch.full((8,), 0.15, dtype=DTYPE), torch.full((8,), 1 / 8, dtype=DTYPE))


def _error(solver: Solver, levels: Level, noise: Tensor, exact: Tensor) -> float:
    end = solve(MIXTURE, noise * float(levels.scale[0]), solver.table(levels))
    return float((end - exact).norm(dim=1).mean())


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_shortest_path_is_the_best_of_all_paths(steps: int) -> None:
    costs = _normal(2, 8, 8).abs()
    paths = [(0, *inner, 7) for inner in itertools.combinations(range(1, 7), steps - 1)]
    best = min(paths, key=lambda path: sum(float(costs[i, j]) for i, j in itertools.pairwise(path)))
    assert shortest(costs, steps) == list(best)


def test_more_steps_than_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="need more than 4 levels"):
        shortest(torch.ones(4, 4), 4)


def _rivals(process: Process, solver: Solver, steps: int, found: Level) -> tuple[float, float]:
    """The error on new noise of the grid that was found, and of the best of the common ones."""
    noise, fine = _normal(4, 256, 4), grid(process, 150, "karras")
    exact = solve(MIXTURE, noise * float(fine.scale[0]), RK4("flow").table(fine))
    common = [_error(solver, grid(process, steps, spacing), noise, exact) for spacing in COMMON]
    return _error(solver, found, noise, exact), min(common)


SLOW = [
    pytest.param(process, name, steps, calls, marks=pytest.mark.slow)
    for process in ("flow", "vp", "ve")
    for name, steps, calls in (("heun", 5, 9), ("dpm++2m", 6, 6), ("dpm++2m", 10, 10), ("ipndm", 8, 8))
]


@pytest.mark.parametrize(("process", "name", "steps", "calls"), [*SLOW, ("ve", "dpm++2m", 6, 6), ("vp", "heun", 3, 5)])
def test_it_beats_the_common_grids_on_new_noise(process: str, name: str, steps: int, calls: int) -> None:
    made, solver = PROCESSES[process](), SOLVERS[name]()
    levels = optimize(MIXTURE, _normal(3, 192, 4), made, solver, steps, candidates=30 if steps < 7 else 40)
    assert solver.table(levels).calls == calls
    found, common = _rivals(made, solver, steps, levels)
    assert found < 0.85 * common


def test_local_errors_alone_find_a_better_grid_too() -> None:
    made = PROCESSES["vp"]()
    levels = optimize(MIXTURE, _normal(3, 64, 4), made, DDIM(), 8, candidates=24, rounds=0)
    found, common = _rivals(made, DDIM(), 8, levels)
    assert found < 0.85 * common


@pytest.mark.parametrize("process", PROCESSES)
def test_the_grid_lies_on_the_process_and_ends_clean(process: str) -> None:
    made = PROCESSES[process]()
    oracle = Gaussian(torch.zeros(2), torch.full((2,), 0.5))
    levels = optimize(oracle, torch.randn(16, 2), made, Heun(), 4, candidates=8, rounds=2)
    assert levels.alpha.shape == (5,)
    assert (float(levels.alpha[-1]), float(levels.sigma[-1])) == (1, 0)
    assert float(levels.angle[0]) == pytest.approx(made.ends[1], abs=1e-9)
    noisy = made.level(made.time(levels.angle[:-1]))
    assert torch.allclose(noisy.alpha, levels.alpha[:-1], atol=1e-9)
    assert torch.allclose(noisy.sigma, levels.sigma[:-1], atol=1e-9)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor, angle: Tensor, cond: object) -> Tensor:
        return torch.tanh(self.layer(torch.cat([x, angle[:, None]], dim=1)))


def test_a_network_is_served_too_and_keeps_no_graph() -> None:
    denoiser = NetworkDenoiser(_Net())
    levels = optimize(denoiser, torch.randn(16, 2), PROCESSES["flow"](), SOLVERS["dpm++2m"](), 4, candidates=8)
    assert not levels.alpha.requires_grad
    assert math.isfinite(float(levels.sigma.sum()))


def test_what_cannot_be_optimized_is_refused() -> None:
    with pytest.raises(ValueError, match="adds no noise"):
        optimize(MIXTURE, _normal(0, 4, 4), PROCESSES["flow"](), DDPM(), 4, candidates=8)
    with pytest.raises(ValueError, match="at least 2"):
        optimize(MIXTURE, _normal(0, 4, 4), PROCESSES["flow"](), Heun(), 1)
