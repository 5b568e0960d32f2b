"""Estimates are handed on from call to call where a sample is drawn, to networks that read them, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.self_conditioning import first_estimate, recalling, wanted
from ptdiff.guidance import CFG, GUIDANCE, plus_plus
from ptdiff.guidance.threshold import Static
from ptdiff.likelihood.flow import log_likelihood
from ptdiff.modality.data import Condition, Data, unconditional
from ptdiff.process import Flow, Level
from ptdiff.run.config import Sampling
from ptdiff.sampling.editing import edit, encode
from ptdiff.sampling.sampler import Plan, draw, prepared, walk


class Elementwise(nn.Module):
    """A network without sums, so that its bits do not depend on the batch; it notes what it is told."""

    def __init__(self, reads: bool = True) -> None:
        super().__init__()
        self.self_conditioning = reads
        self.seen: list[Condition] = []

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        self.seen.append(dict(cond))
        label = cond.get("label", torch.full(x.shape[:1], -1))
        y = x * 0.5 + torch.sin(angle)[:, None] * 0.25 + label[:, None] * 0.125
        return y + cond["estimate"] * 0.375 if "estimate" in cond else y


DATA = Data((3,), classes=("a", "b"))
IDS = torch.arange(5)
COND = {"label": torch.tensor([0, 1, 0, 1, 1])}
LEVEL = Level(torch.tensor(0.6), torch.tensor(0.8))


def plan(solver: str = "heun", scale: float = 1.0, steps: int = 4) -> Plan:
    chosen = Plan.chosen({"name": "flow"}, Sampling(solver={"name": solver}, steps=steps))
    return Plan(chosen.process, chosen.solver, steps, guidance=CFG(scale))


def network(reads: bool = True) -> tuple[Elementwise, NetworkDenoiser]:
    net = Elementwise(reads)
    return net, NetworkDenoiser(net, "x0")


def test_every_call_is_handed_the_estimate_of_the_call_before() -> None:
    net, denoiser = network()
    states = list(walk(prepared(denoiser, plan("ddim"), DATA), plan("ddim"), IDS, (3,), COND))
    assert "estimate" not in net.seen[0]
    assert all(set(cond) == {"label", "estimate"} for cond in net.seen[1:])
    for cond, state in zip(net.seen[1:], states[1:], strict=False):
        assert state.x0 is not None
        assert torch.equal(cond["estimate"], state.x0)


def test_a_network_that_reads_none_is_told_of_none() -> None:
    net, denoiser = network(reads=False)
    draw(denoiser, DATA, plan(), IDS, COND, (3,))
    assert len(net.seen) > 1
    assert all(set(cond) == {"label"} for cond in net.seen)
    assert recalling(denoiser) is denoiser


def test_it_is_found_through_whatever_is_wrapped_around_it() -> None:
    for reads in (True, False):
        counted = Counted(network(reads)[1])
        assert wanted(Static(-2.0, 2.0).limit(GUIDANCE["apg"](2.0).guide(counted), DATA)) is reads
    assert not wanted(lambda x, level, cond: x)


def test_a_trajectory_knows_nothing_of_the_one_before() -> None:
    _, denoiser = network()
    guided = prepared(denoiser, plan(scale=2.0), DATA)
    first, second = ([s.x for s in walk(guided, plan(scale=2.0), IDS, (3,), COND)] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("solver", ["heun", "ddpm", "unipc-3"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_samples_are_the_same_alone_and_in_a_batch(solver: str, scale: float) -> None:
    _, denoiser = network()
    together = draw(denoiser, DATA, plan(solver, scale), IDS, COND, (3,))
    for i in range(len(IDS)):
        alone = draw(denoiser, DATA, plan(solver, scale), IDS[i : i + 1], {"label": COND["label"][i : i + 1]}, (3,))
        assert torch.equal(alone[0], together[i])


def test_both_halves_of_guidance_are_shown_the_guided_estimate() -> None:
    net, denoiser = network()
    how = plan("ddim", 3.0)
    states = list(walk(prepared(denoiser, how, DATA), how, IDS, (3,), COND))
    given, free = net.seen[2::2], net.seen[3::2]
    assert len(given) == len(free) == 3
    for one, other, state in zip(given, free, states[1:], strict=False):
        assert set(one) == {"label", "estimate"}
        assert set(other) == {"estimate"}
        assert state.x0 is not None
        assert torch.equal(one["estimate"], state.x0)
        assert torch.equal(other["estimate"], state.x0)


def test_an_estimate_alone_is_no_condition_to_guide_by() -> None:
    x = torch.ones(5, 3)
    levels = Flow().level(torch.tensor([0.9, 0.5, 0.1]))
    for make in (lambda d: CFG(4.0).guide(d), lambda d: plus_plus(d, levels, 0.5)):
        counted = Counted(network()[1])
        make(counted)(x, LEVEL, {"estimate": x})
        assert counted.rows == 5
    assert unconditional(COND) == {}
    assert set(unconditional({**COND, "estimate": x})) == {"estimate"}


def test_where_a_function_of_x_is_needed_there_is_no_estimate() -> None:
    net, denoiser = network()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    encode(denoiser, plan(), x, COND)
    edit(denoiser, plan(), x, 0.5, IDS, COND)
    log_likelihood(denoiser, x, COND)
    draw(denoiser, DATA, plan("dopri5"), IDS, COND, (3,))
    assert len(net.seen) > 10
    assert all(set(cond) == {"label"} for cond in net.seen)


def test_the_first_estimate_takes_no_gradient_from_the_pass_that_follows() -> None:
    torch.manual_seed(0)

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Linear(3, 3)

        def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
            y: Tensor = self.inside(x)
            return y

    denoiser, x = NetworkDenoiser(Linear()), torch.randn(5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = first_estimate(denoiser, x, LEVEL, {})
        denoiser(x, LEVEL, {}).sum().backward()
    assert not estimate.requires_grad
    assert all(p.grad is not None and p.grad.any() for p in denoiser.parameters())
