"""Objectives: norms of the weighted residual, the learned log-variance, and certificates that notice a wrong one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ptdiff.certify import objectives
from ptdiff.certify.objectives import objective_certificates
from ptdiff.choices import choose
from ptdiff.denoiser.network import PREDICTIONS, NetworkDenoiser
from ptdiff.objective import weighting
from ptdiff.objective.factors import Factors
from ptdiff.objective.loss import L1, L2, LOSSES, Huber, LogVariance, Loss, Objective, PseudoHuber
from ptdiff.objective.weighting import WEIGHTINGS, Uncertainty, Uniform
from ptdiff.process import Flow, Level

GENERATOR = torch.Generator().manual_seed(0)
RESIDUAL = 3 * torch.randn(6, 4, 5, generator=GENERATOR, dtype=torch.float64)
WEIGHT = torch.tensor([0.0, 0.01, 1.0, 4.0, 30.0, 1e4], dtype=torch.float64)


class Affine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Tensor:
        return self.gain * x + angle.reshape(-1, *[1] * (x.ndim - 1))


def drawn(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Level]:
    x0, eps = torch.randn(2, 16, 7, 3, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return x0, eps, Flow().level(torch.linspace(0.01, 0.99, 16, dtype=dtype))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_default_is_the_plain_loss_bit_for_bit(prediction: str) -> None:
    x0, eps, level = drawn()
    denoiser = NetworkDenoiser(Affine(), prediction)
    assert torch.equal(Objective()(denoiser, x0, eps, level, {}), denoiser.loss(x0, eps, level, {}))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", ["uniform", "snr", "min-snr", "cosmap"])
@pytest.mark.parametrize("loss", LOSSES)
def test_an_objective_is_the_norm_of_the_weighted_x0_error_whatever_is_predicted(
    prediction: str, name: str, loss: str
) -> None:
    x0, eps, level = drawn(torch.float64)
    denoiser = NetworkDenoiser(Affine().double(), prediction)
    wide = level.like(x0)
    error = denoiser(wide.alpha * x0 + wide.sigma * eps, level, {}) - x0
    objective = Objective(WEIGHTINGS[name](), LOSSES[loss]())
    expected = objective.loss(error, objective.x0_weight(level, prediction))
    torch.testing.assert_close(objective(denoiser, x0, eps, level, {}), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("loss", "norm"),
    [
        (L2(), lambda z: z**2),
        (L1(), abs),
        (Huber(delta=0.5), lambda z: z**2 if abs(z) < 0.5 else 2 * 0.5 * abs(z) - 0.5**2),
        (PseudoHuber(delta=0.5), lambda z: 2 * 0.5 * (math.sqrt(z**2 + 0.5**2) - 0.5)),
    ],
)
def test_each_norm_is_its_formula_of_the_weighted_residual(loss: Loss, norm: Any) -> None:
    expected = [
        sum(norm(math.sqrt(weight) * value) for value in row) / len(row)
        for weight, row in zip(WEIGHT.tolist(), RESIDUAL.flatten(1).tolist(), strict=True)
    ]
    assert loss(RESIDUAL, WEIGHT).tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("loss", [Huber, PseudoHuber])
def test_a_wide_huber_norm_is_the_square_even_where_that_is_tiny(loss: type[Huber] | type[PseudoHuber]) -> None:
    small = 1e-6 * RESIDUAL.float()
    one = torch.ones(6)
    torch.testing.assert_close(loss(delta=1.0)(small, one), L2()(small, one), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_every_norm_and_its_slope_are_finite_at_no_error(name: str) -> None:
    residual = torch.zeros(2, 5, requires_grad=True)
    loss = LOSSES[name](norm_p=0.75)(residual, torch.tensor([1.0, 3.0]))
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert residual.grad is not None and torch.isfinite(residual.grad).all()


def test_norm_p_divides_by_a_power_of_the_loss_that_has_no_slope() -> None:
    residual = RESIDUAL.clone().requires_grad_()
    plain = L2()(residual, WEIGHT)
    adapted = L2(norm_p=1.0, norm_eps=0.5)(residual, WEIGHT)
    torch.testing.assert_close(adapted, plain / (plain + 0.5))
    (mine,) = torch.autograd.grad(adapted[3], residual, retain_graph=True)
    (whole,) = torch.autograd.grad(plain[3], residual)
    torch.testing.assert_close(mine, whole / (plain[3].detach() + 0.5))


def test_norm_p_one_half_has_the_gradient_of_a_pseudo_huber_norm_of_the_whole_residual() -> None:
    residual = RESIDUAL.clone().requires_grad_()
    one = torch.ones(6, dtype=torch.float64)
    (mine,) = torch.autograd.grad(L2(norm_p=0.5, norm_eps=0.04)(residual, one).sum(), residual)
    whole = 2 * torch.sqrt(residual.square().flatten(1).mean(dim=1) + 0.04)
    (theirs,) = torch.autograd.grad(whole.sum(), residual)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "huber", "delta": 0},
        {"name": "pseudo-huber", "delta": math.inf},
        {"name": "l2", "norm_p": -1},
        {"name": "l1", "norm_eps": 0},
        {"name": "l3"},
        {"name": "l2", "delta": 1},
    ],
)
def test_impossible_losses_are_refused(choice: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="loss"):
        choose("loss", LOSSES, choice)


def test_the_log_variance_starts_at_zero_and_is_the_bases_loss() -> None:
    x0, eps, level = drawn()
    denoiser = NetworkDenoiser(Affine())
    objective = Objective(Uncertainty(Uniform()))
    assert objective.log_variance is not None
    base = Objective(Uniform())(denoiser, x0, eps, level, {})
    assert torch.equal(objective(denoiser, x0, eps, level, {}), base)
    assert Objective().log_variance is None


def test_the_log_variance_learns_the_logarithm_of_the_mean_loss() -> None:
    level = Flow().level(torch.linspace(0.001, 0.999, 400))
    mean = 0.2 + 3 * torch.sin(level.angle).square()
    u = LogVariance()
    optimizer = torch.optim.LBFGS(u.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (torch.exp(-u(level)) * mean + u(level)).mean()
        loss.backward()
        return loss.detach()

    optimizer.step(closure)
    assert float((u(level).detach() - torch.log(mean)).abs().max()) < 0.01


def test_the_learned_log_variance_weighs_the_loss_and_is_added() -> None:
    x0, eps, level = drawn()
    denoiser, objective = NetworkDenoiser(Affine()), Objective(Uncertainty(Uniform()))
    assert objective.log_variance is not None
    with torch.no_grad():
        objective.log_variance.coefficients[:2] = torch.tensor([0.5, -0.3])
    base = Objective(Uniform())(denoiser, x0, eps, level, {})
    u = 0.5 - 0.3 * torch.cos(2 * level.angle)
    torch.testing.assert_close(objective(denoiser, x0, eps, level, {}), torch.exp(-u) * base + u)


def test_every_weighting_and_prediction_holds_its_certificates() -> None:
    found = list(objective_certificates())
    assert len(found) == 2 * len(WEIGHTINGS) * len(PREDICTIONS)
    assert [c for c in found if not c.holds] == []


def failing() -> set[str]:
    return {c.kind for c in objective_certificates() if not c.holds}


def test_a_network_that_sees_the_clean_data_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def clean(self: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Any) -> Tensor:
        numbers = PREDICTIONS[self.prediction](level.like(x0))
        return self.raw(x0, level, cond) - (numbers.data * x0 + numbers.noise * eps)

    monkeypatch.setattr(NetworkDenoiser, "residual", clean)
    assert "objective minimum" in failing()


def test_noise_that_is_shuffled_after_x_was_made_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = NetworkDenoiser.residual

    def shuffled(self: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Any) -> Tensor:
        numbers = PREDICTIONS[self.prediction](level.like(x0))
        return original(self, x0, eps, level, cond) + numbers.noise * (eps - eps.roll(1, 0))

    monkeypatch.setattr(NetworkDenoiser, "residual", shuffled)
    assert failing() == {"objective minimum"}


def test_a_target_scaled_by_sigma_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = NetworkDenoiser.residual

    def scaled(self: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Any) -> Tensor:
        wide = level.like(x0)
        noise = PREDICTIONS[self.prediction](wide).noise
        return original(self, x0, eps, level, cond) + noise * (1 - wide.sigma) * eps

    monkeypatch.setattr(NetworkDenoiser, "residual", scaled)
    assert "objective minimum" in failing()


@pytest.mark.parametrize("name", ["min-snr", "snr", "cosmap", "p2"])
def test_a_weight_in_another_space_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    cls = WEIGHTINGS[name]
    original = cls.factors
    # the factor that turns an x_0 weight into one on the velocity error, put on top of it
    monkeypatch.setattr(
        cls, "factors", lambda self, level, setting: original(self, level, setting) * Factors(0, -2, 1.0)
    )
    bad = [c for c in objective_certificates() if not c.holds]
    assert {c.kind for c in bad} == {"objective weight"}
    names = {c.subject.split(",")[0] for c in bad}
    assert name in names
    assert "edm" not in names


def test_l1_would_not_pass_for_l2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "Objective", lambda w, **options: Objective(w, L1(), **options))
    assert "objective weight" in failing()


def test_a_wrong_conversion_factor_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from ptdiff.objective import loss as objective

    original = weighting.out_squared
    monkeypatch.setattr(objective, "out_squared", lambda level, p: original(level, p) * Factors(0, 0, 1.001))
    bad = [c for c in objective_certificates() if not c.holds]
    assert {c.kind for c in bad} == {"objective weight"}
    assert len(bad) == (len(WEIGHTINGS) - 1) * len(PREDICTIONS)
