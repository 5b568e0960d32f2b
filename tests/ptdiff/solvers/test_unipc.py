"""UniPC: the paper's update with its linear system, predictor and corrector as two states, against one stage a step."""

import math

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.process import Level, VPLinear
from ptdiff.solvers import solve, trajectory
from ptdiff.solvers.unipc import UniPC, UniPC3

DTYPE = torch.float64
ORACLE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
LEVELS = VPLinear().level(torch.tensor([1.0, 0.83, 0.71, 0.5, 0.42, 0.2, 0.13, 0.01], dtype=DTYPE))
X = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)


def _system(ratios: list[float], hh: float, variant: str) -> tuple[float, list[list[float]], list[float]]:
    """B(h), R and b of theorem 3.1."""
    b_h = hh if variant == "bh1" else math.expm1(hh)
    rows, right = [], []
    phi, factorial = math.expm1(hh) / hh - 1, 1
    for i in range(1, len(ratios) + 1):
        rows.append([r ** (i - 1) for r in ratios])
        right.append(phi * factorial / b_h)
        factorial *= i + 1
        phi = phi / hh - 1 / factorial
    return b_h, rows, right


def _paper(order: int, variant: str, estimate: str) -> list[Tensor]:
    """The predicted points by algorithms 1 and 2, the corrector run with the call that the next step makes."""
    alpha, sigma = LEVELS.alpha, LEVELS.sigma
    lam = torch.log(alpha / sigma)
    sign = -1 if estimate == "x0" else 1

    def model(x: Tensor, i: int) -> Tensor:
        x0 = ORACLE(x, Level(alpha[i], sigma[i]), {})
        return x0 if estimate == "x0" else (x - alpha[i] * x0) / sigma[i]

    x, history, states = X, [model(X, 0)], [X]
    for i in range(len(alpha) - 1):
        p = min(order, len(history))
        h = float(lam[i + 1] - lam[i])
        past = [float(lam[i - k] - lam[i]) / h for k in range(1, p)]
        differences = [(history[k] - history[0]) / r for k, r in enumerate(past, 1)]
        b_h, rows, right = _system([*past, 1.0], sign * h, variant)
        if estimate == "x0":
            base = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * math.expm1(-h) * history[0]
            factor = -alpha[i + 1] * b_h
        else:
            base = alpha[i + 1] / alpha[i] * x - sigma[i + 1] * math.expm1(h) * history[0]
            factor = -sigma[i + 1] * b_h
        predictor = torch.zeros(0, dtype=DTYPE)
        if p == 2:
            predictor = torch.tensor([0.5], dtype=DTYPE)
        elif p > 2:
            small = torch.tensor([row[:-1] for row in rows[:-1]], dtype=DTYPE)
            predictor = torch.linalg.solve(small, torch.tensor(right[:-1], dtype=DTYPE))
        predicted = base + factor * sum((w * d for w, d in zip(predictor, differences, strict=True)), torch.zeros(()))
        states.append(predicted)
        new = model(predicted, i + 1)
        corrector = torch.tensor([0.5], dtype=DTYPE)
        if p > 1:
            corrector = torch.linalg.solve(torch.tensor(rows, dtype=DTYPE), torch.tensor(right, dtype=DTYPE))
        every = [*differences, new - history[0]]
        x = base + factor * sum((w * d for w, d in zip(corrector, every, strict=True)), torch.zeros(()))
        history = [new, *history][:order]
    return states


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("estimate", ["x0", "eps"])
def test_the_states_are_the_papers_predicted_points(order: int, variant: str, estimate: str) -> None:
    solver = UniPC(start="low", points=order, variant=variant, estimate=estimate)  # type: ignore[arg-type]
    states = list(trajectory(ORACLE, X, solver.table(LEVELS)))
    for state, x in zip(states, _paper(order, variant, estimate), strict=True):
        assert torch.allclose(state.x, x, rtol=0, atol=1e-11)


def test_a_step_is_one_call_and_one_short_stage() -> None:
    table = UniPC3(start="low").table(LEVELS)
    assert table.calls == len(LEVELS.alpha) - 1
    assert len(table.stages) == len(LEVELS.alpha)
    # x, the three estimates of this step and one more of the step that is corrected
    assert max(len(stage.mix) for stage in table.stages) == 4


def test_the_corrector_adds_an_order_and_the_start_keeps_it() -> None:
    def end(solver: UniPC, steps: int) -> Tensor:
        rho = torch.linspace(math.atan(5), math.atan(0.1), steps + 1, dtype=DTYPE).tan()
        levels = Level(torch.ones_like(rho), rho)
        return solve(ORACLE, 5 * X, solver.table(levels))

    exact = end(UniPC3(), 960)
    for solver in (UniPC(points=1), UniPC(), UniPC(variant="bh1"), UniPC(estimate="eps"), UniPC3()):
        errors = [float((end(solver, n) - exact).abs().max()) for n in (120, 240)]
        assert math.log2(errors[0] / errors[1]) > solver.points + 1 - 0.15
        assert solver.order == solver.points + 1


def test_declared_orders_know_the_start_and_the_end() -> None:
    assert UniPC3(start="low").order == 3
    assert UniPC(start="low").order == UniPC(start="rk").order == 3
    assert UniPC3(lower_order_final=True).order == 2


def test_other_numbers_of_points_are_refused() -> None:
    with pytest.raises(ValueError, match=r"points must lie in \[1, 3\]"):
        UniPC(points=4)
