"""Runs that train for consistency: resuming, the curriculum, what goes with it and what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality.data import Condition
from ptdiff.objective.consistency import ConsistencyObjective, check_solver
from ptdiff.run.config import merged, validate
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan, draw, solver
from ptdiff.training.module import DiffusionModule

CHOICES: dict[str, Any] = {
    "objective": {"name": "consistency", "first": 4, "last": 16},
    "density": {"name": "log-normal", "mean": -0.4, "std": 2.0},
    "loss": {"name": "l2", "norm_p": 0.5, "norm_eps": 2.916e-7},
    "sampling": {"solver": "consistency", "steps": 1},
}


def consistent(trial: Trial, **choices: Any) -> Trial:
    config = validate(merged(merged(trial.run.config.model_dump(mode="json"), CHOICES), choices))
    (trial.run.path / "config.yaml").write_text(config.to_yaml())
    trial.run = Run(trial.run.path, config, trial.data)
    return trial


def module_of(trial: Trial) -> DiffusionModule:
    torch.manual_seed(0)
    denoiser = NetworkDenoiser(trial.modality.backbone(trial.data), trial.run.config.prediction)
    return DiffusionModule(denoiser, trial.data, trial.run.config)


def stop_at(step: int) -> Recorder:
    return Recorder(lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None)


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("options", "choices"),
    [({}, {}), ({"classes": 3, "dropout": 0.3}, {}), ({"classes": 3}, {"density": "loss-aware", "coupling": "ot"})],
    ids=["plain", "dropout", "loss-aware and coupled"],
)
def test_a_run_that_was_stopped_ends_bit_equal_to_one_that_was_not(
    start: Start, options: dict[str, Any], choices: dict[str, Any]
) -> None:
    whole = consistent(start("whole", options, inner_steps=1), **choices)
    assert whole.fit().steps == 40
    parted = consistent(start("parted", options, inner_steps=1), **choices)
    # inside the second third of the curriculum, and at the border to the last
    for step in (17, 27):
        assert parted.fit(stop_at(step)).steps == step
    parted.fit()
    assert_bit_equal(whole.tensors(), parted.tensors())
    blocks = consistent(start("blocks", options, inner_steps=7), **choices)
    blocks.fit()
    assert_bit_equal(whole.tensors(), blocks.tensors())


@pytest.mark.usefixtures("two_threads")
def test_threads_that_share_a_batch_train_the_same_function(start: Start) -> None:
    shared = consistent(start("shared", inner_steps=1, shards=2, steps=20))
    shared.fit()
    again = consistent(start("again", inner_steps=1, shards=2, steps=20))
    assert again.fit(stop_at(9)).steps == 9
    again.fit()
    assert_bit_equal(shared.tensors(), again.tensors())
    alone = consistent(start("alone", steps=20))
    alone.fit()
    mine, theirs = shared.tensors(), alone.tensors()
    for name in (name for name in mine if name.startswith("model.")):
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_the_intervals_are_a_function_of_the_step(start: Start) -> None:
    module = module_of(consistent(start(steps=36)))
    found = []
    for done in range(36):
        module.done = done
        objective = module.objective.at(module.progress)
        assert isinstance(objective, ConsistencyObjective)
        found.append(objective.consistency.intervals(objective.progress))
    assert found == [4] * 12 + [8] * 12 + [16] * 12


def test_the_objective_of_a_step_is_that_of_its_intervals(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(consistent(start(batch=256)))
    (random,) = module.randomness(range(1))
    seen: list[Tensor] = []
    forward = type(module.denoiser.net).forward

    def watched(self: nn.Module, x: Tensor, angle: Tensor, cond: Condition) -> Any:
        seen.append(angle.detach())
        return forward(self, x, angle, cond)

    monkeypatch.setattr(type(module.denoiser.net), "forward", watched)
    for done, n in ((0, 4), (39, 16)):
        seen.clear()
        module.done = done
        losses, _ = module.losses(0, random)
        assert torch.isfinite(losses).all()
        less, noisy = seen
        angles = module.objective.consistency.angles(n).float()  # type: ignore[attr-defined]
        assert torch.cdist(torch.cat([less, noisy])[:, None], angles[:, None]).amin(dim=1).max() < 1e-6
        places = [torch.cdist(each[:, None], angles[:, None]).argmin(dim=1) for each in (less, noisy)]
        assert torch.equal(places[0] + 1, places[1])


def test_one_step_has_the_spread_of_the_data_where_a_posterior_mean_has_none(start: Start) -> None:
    spreads = {}
    for name in ("denoise", "consistency"):
        trial = start(name, {"width": 32, "count": 2000}, steps=600, batch=128, inner_steps=50)
        trial = consistent(trial, objective={"name": name})
        if name == "consistency":
            trial = consistent(trial, objective={"first": 8, "last": 64})
        trial.fit()
        plan = Plan.chosen(trial.run.config.process, trial.run.config.sampling)
        samples = draw(trial.run.denoiser(), trial.data, plan, torch.arange(2000), {}, (2,))
        spreads[name] = (samples.std(dim=0) / torch.tensor([0.5, 2.0])).tolist()
        assert samples.mean(dim=0).tolist() == pytest.approx([3.0, -1.0], abs=0.25)
    assert spreads["consistency"] == pytest.approx([1, 1], abs=0.2)
    assert max(spreads["denoise"]) < 0.3


def test_there_is_no_validation_loss_of_a_sample(start: Start) -> None:
    reports = Recorder()
    consistent(start(options={"held": 20})).fit(reports)
    assert reports.reports and not any("validation_loss" in report for report in reports.reports)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"sampling": {"solver": "heun"}}, "needs solver consistency"),
        ({"weighting": "min-snr"}, "leave weighting at prediction"),
        ({"prediction": "x0"}, "velocity, flow or eps, not x0"),
        ({"training": {"patience": 3}}, "training.patience cannot be set"),
        ({"objective": {"name": "consistent"}}, "did you mean 'consistency'?"),
        ({"objective": {"name": "consistency", "fist": 3}}, "did you mean 'first'?"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(start: Start, choices: dict[str, Any], message: str) -> None:
    trial = consistent(start(options={"held": 20}), **choices)
    with pytest.raises(ValueError, match=message.replace("?", r"\?")) as found:
        module_of(trial)
    assert "\n" not in str(found.value)


def test_a_network_that_recalls_is_refused(start: Start) -> None:
    with pytest.raises(ValueError, match="self-conditioning"):
        module_of(consistent(start(options={"self_conditioning": True})))


def test_a_run_for_consistency_is_sampled_by_its_solver_alone_or_inside_another(start: Start) -> None:
    ordinary, trial = start("ordinary"), consistent(start("run"))
    for choice in ({"name": "consistency"}, {"name": "tempered", "base": "consistency"}):
        check_solver(trial.run.config, solver(choice))
    for choice in ({"name": "heun"}, {"name": "dopri5"}, {"name": "churn"}):
        with pytest.raises(ValueError, match="each estimate as a mean"):
            check_solver(trial.run.config, solver(choice))
        check_solver(ordinary.run.config, solver(choice))


class Coded(nn.Module):
    """A network that reads a code of two numbers."""

    code = 2

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(2, 4), nn.Linear(4, 2)
        self.told: list[Tensor] = []

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Any:
        self.told.append(cond["code"])
        return self.out(torch.cat([x, cond["code"]], dim=1))

    def posterior(self, x0: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        found = self.inner(x0)
        return found[:, :2], found[:, 2:]

    def prior(self, u: Tensor, cond: Condition) -> Tensor:
        return u

    def log_prior(self, code: Tensor, cond: Condition) -> Tensor:
        return -0.5 * code.square().sum(dim=1)


def test_both_estimates_are_told_one_code(start: Start) -> None:
    trial = consistent(start())
    net = Coded()
    module = DiffusionModule(NetworkDenoiser(net), trial.data, trial.run.config)
    (random,) = module.randomness(range(1))
    losses, _ = module.losses(0, random)
    torch.autograd.backward(losses.mean())
    assert torch.equal(net.told[0], net.told[1])
    assert net.inner.weight.grad is not None and net.inner.weight.grad.any()


def test_half_precision_trains(start: Start) -> None:
    trial = consistent(start(steps=6, precision="bf16"))
    trial.fit()
    assert all(torch.isfinite(value).all() for value in trial.tensors().values())


def test_the_numbers_of_a_step_do_not_depend_on_the_objective(start: Start) -> None:
    # the same noise and places in the density, whatever is made of them
    (mine,), (plain,) = (list(module_of(t).randomness(range(3, 4))) for t in (consistent(start("a")), start("b")))
    assert torch.equal(mine.eps, plain.eps) and torch.equal(mine.hidden, plain.hidden)
    assert torch.equal(mine.level.angle.argsort(), plain.level.angle.argsort())
