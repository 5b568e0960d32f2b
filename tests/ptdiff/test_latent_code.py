"""Codes of samples: drawn from the prior and kept, read from data, and the divergence between the two."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.latent_code import RATE, coded, drawn, in_training, read
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.guidance import CFG
from ptdiff.likelihood.chain import variational_bound
from ptdiff.likelihood.flow import log_likelihood
from ptdiff.modality.data import Condition, Data
from ptdiff.process import PROCESSES
from ptdiff.sampling.editing import edit
from ptdiff.sampling.sampler import Plan, draw, prepared


class Told(nn.Module):
    """Predicts the code alone; the posterior is N(first two elements, exp(-1)), the prior N(1, 4)."""

    code = 2

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.weight = nn.Parameter(torch.ones(()))

    def posterior(self, x0: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        return x0[:, :2] * self.weight, torch.full((len(x0), 2), -1.0)

    def prior(self, u: Tensor, cond: Condition) -> Tensor:
        return 1 + 2 * u

    def log_prior(self, code: Tensor, cond: Condition) -> Tensor:
        return (-0.5 * ((code - 1) / 2).square() - math.log(2) - 0.5 * math.log(2 * math.pi)).sum(dim=1)

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        self.seen.append(cond["code"].clone())
        return torch.cat([cond["code"], torch.zeros_like(x[:, 2:])], dim=1)


def a_denoiser() -> NetworkDenoiser:
    return NetworkDenoiser(Told(), "x0")


PLAN = Plan(PROCESSES["flow"](), steps=4, seed=7)
DATA = Data(shape=(3,))


def test_a_sample_keeps_one_code_of_the_prior_through_its_whole_trajectory() -> None:
    model = a_denoiser()
    draw(model, DATA, PLAN, torch.arange(5), {}, (3,))
    assert len(model.net.seen) > 4
    assert all(torch.equal(each, model.net.seen[0]) for each in model.net.seen)


def test_a_code_depends_on_seed_and_id_alone() -> None:
    model = a_denoiser()
    whole = drawn(model, {}, 7, torch.arange(6))["code"]
    assert torch.equal(drawn(model, {}, 7, torch.tensor([4]))["code"][0], whole[4])
    assert not torch.equal(drawn(model, {}, 8, torch.arange(6))["code"], whole)


def test_codes_follow_the_prior() -> None:
    code = drawn(a_denoiser(), {}, 0, torch.arange(20_000))["code"]
    assert code.mean(dim=0) == pytest.approx([1, 1], abs=0.05)
    assert code.std(dim=0) == pytest.approx([2, 2], abs=0.05)


def test_a_code_that_is_given_is_left_alone() -> None:
    given = {"code": torch.zeros(3, 2)}
    assert drawn(a_denoiser(), given, 0, torch.arange(3)) is given
    assert read(a_denoiser(), torch.ones(3, 3), given) is given


def test_guidance_tells_both_halves_the_same_code() -> None:
    model = a_denoiser()
    plan = Plan(PROCESSES["flow"](), steps=2, seed=7, guidance=CFG(scale=2.0))
    assert coded(prepared(model, plan, DATA)) is model.net
    draw(model, DATA, plan, torch.arange(3), {"label": torch.zeros(3, dtype=torch.int64)}, (3,))
    assert all(torch.equal(half, model.net.seen[0][:3]) for each in model.net.seen for half in each.split(3))


def test_edited_data_keeps_the_code_that_is_read_from_it() -> None:
    model = a_denoiser()
    x0 = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    edit(model, PLAN, x0, 0.5, torch.arange(4), {})
    assert all(torch.equal(each, x0[:, :2]) for each in model.net.seen)


def test_the_divergence_is_that_of_two_gaussians() -> None:
    x0 = torch.tensor([[0.5, -1.0, 0.0]]).expand(200_000, 3)
    u = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    cond, penalty = in_training(a_denoiser(), x0, {}, u)
    assert isinstance(penalty, Tensor)
    assert cond["code"].detach().std(dim=0) == pytest.approx([math.exp(-0.5)] * 2, rel=0.01)
    variance = math.exp(-1)
    # KL(N(m, v) || N(1, 4)) = log 2 - log sqrt(v) + (v + (m - 1)^2) / 8 - 1/2, in each of the two numbers
    exact = sum(math.log(2) + 0.5 + (variance + (m - 1) ** 2) / 8 - 0.5 for m in (0.5, -1.0))
    assert float(penalty.detach().mean()) == pytest.approx(RATE * exact, rel=0.01)


def test_the_divergence_teaches_the_posterior() -> None:
    model = a_denoiser()
    _, penalty = in_training(model, torch.ones(4, 3) * 3, {}, torch.zeros(4, 2))
    assert isinstance(penalty, Tensor)
    penalty.mean().backward()
    assert float(model.net.weight.grad) > 0


def test_networks_without_codes_are_told_nothing() -> None:
    model = NetworkDenoiser(nn.Identity(), "x0")
    cond: Condition = {}
    assert drawn(model, cond, 0, torch.arange(2)) is cond
    assert read(model, torch.ones(2, 3), cond) is cond
    assert in_training(model, torch.ones(2, 3), cond, None) == (cond, 0.0)


def test_likelihoods_of_a_model_with_codes_are_refused() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(ValueError, match="only a bound"):
        log_likelihood(a_denoiser(), x)
    with pytest.raises(ValueError, match="only a bound"):
        variational_bound(a_denoiser(), x, PLAN.levels())


def test_a_network_with_something_else_called_code_is_left_in_peace() -> None:
    net = nn.Identity()
    net.code = nn.Linear(2, 2)
    assert NetworkDenoiser(net, "x0").code == 0
    other = nn.Identity()
    other.code = 7
    assert NetworkDenoiser(other, "x0").code == 0
