"""Divergence: nothing that is not finite or far above its own history is saved, and what is left is named."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_faults import poison, stop_after
from torch import nn
from trial import Recorder, Start, Trial

import ptdiff.training.module as module_file
from ptdiff.errors import Diverged
from ptdiff.run.checkpoint import latest
from ptdiff.training.divergence import LOSS_FACTOR, NORM_FACTOR, WINDOW, History
from ptdiff.training.module import DiffusionModule


def all_finite(trial: Trial) -> bool:
    return all(bool(torch.isfinite(value.float()).all()) for value in trial.tensors().values())


def test_a_learning_rate_of_a_thousand_ends_as_diverged_and_says_there_is_no_checkpoint(start: Start) -> None:
    trial = start(steps=60, lr=1e3, inner_steps=1, save_minutes=1e-9, warmup=0)
    with pytest.raises(Diverged) as caught:
        trial.fit(Recorder())
    found = latest(trial.run.checkpoints)
    kept = "there is no checkpoint" if found is None else f"the checkpoint of step {found.step} is kept"
    assert kept in str(caught.value)
    if found is not None:
        assert max(float(v.abs().max()) for k, v in found.tensors("model").items() if v.numel()) < 1e4


def inject(monkeypatch: pytest.MonkeyPatch, at: int, change: Any) -> None:
    """Call ``change(module)`` once before step ``at``."""
    original, done = DiffusionModule.take_step, []

    def step(self: DiffusionModule, number: int, *rest: Any) -> None:
        if number == at and not done:
            done.append(number)
            change(self)
        original(self, number, *rest)

    monkeypatch.setattr(DiffusionModule, "take_step", step)


def test_weights_of_1e30_are_never_saved_and_good_checkpoints_stay(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(module: DiffusionModule) -> None:
        with torch.no_grad():
            for weight in module.denoiser.parameters():
                weight.fill_(1e30)

    trial = start(steps=40, inner_steps=1, save_minutes=1e-9)
    inject(monkeypatch, 25, change)
    saved: list[float] = []
    original = module_file.DiffusionModule.learning_rate

    def watch(self: DiffusionModule) -> float:
        found = latest(trial.run.checkpoints)
        if found is not None:
            saved.append(max(float(v.abs().max()) for v in found.tensors("model").values()))
        return original(self)

    monkeypatch.setattr(DiffusionModule, "learning_rate", watch)
    recorder = Recorder()
    assert trial.fit(recorder).steps == 40
    assert max(saved) < 1e3
    assert any("back to the checkpoint of step 25" in line for line in recorder.lines), recorder.lines


def nan_weight(module: DiffusionModule) -> None:
    with torch.no_grad():
        next(module.denoiser.parameters()).view(-1)[0] = math.nan


def nan_loss(module: DiffusionModule) -> None:
    original = module.losses_of

    def losses(*arguments: Any) -> Any:
        module.losses_of = original  # type: ignore[method-assign]
        return original(*arguments) * math.nan

    module.losses_of = losses  # type: ignore[method-assign]


def nan_gradient(module: DiffusionModule) -> None:
    weight = next(module.denoiser.parameters())

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        handle.remove()
        return gradient * math.nan

    handle = weight.register_hook(spoil)


@pytest.mark.parametrize("where", ["batch", "loss", "gradient", "weight"])
def test_a_nan_is_caught_within_a_step_and_costs_at_most_5_percent(
    start: Start, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    settings: dict[str, Any] = {"steps": 120, "batch": 64, "inner_steps": 1}
    clean = start("clean", **settings)
    clean.fit()
    trial = start("spoiled", **settings, save_minutes=1e-9)
    if where == "batch":
        poison(trial, range(30, 31))
    else:
        inject(monkeypatch, 30, {"loss": nan_loss, "gradient": nan_gradient, "weight": nan_weight}[where])
    finite: list[bool] = []

    def look(done: int) -> None:
        if 29 <= done <= 42:
            finite.append(all_finite(trial))

    recorder = Recorder(look)
    assert trial.fit(recorder).steps == 120
    assert all(finite) and all_finite(trial)
    # one step is skipped, or training goes back to the checkpoint before the step
    assert trial.state()["skipped"] == (0 if where == "weight" else 1)
    if where == "weight":
        assert any("back to the checkpoint of step 30" in line for line in recorder.lines), recorder.lines
    assert loss_of(trial) <= 1.05 * loss_of(clean)


def loss_of(trial: Trial) -> float:
    from ptdiff.denoiser.network import NetworkDenoiser

    model: NetworkDenoiser = trial.run.denoiser()
    module = DiffusionModule(model, trial.data, trial.run.config)
    module.past = History()
    with torch.no_grad():
        steps = range(1000, 1020)
        found = [
            module.losses(step, random)[0].mean() for step, random in zip(steps, module.randomness(steps), strict=True)
        ]
    return float(torch.stack(found).nanmean())


def test_no_checkpoint_is_written_during_a_streak_of_skipped_steps(start: Start) -> None:
    trial = start(steps=30, inner_steps=1, save_minutes=1e-9, keep=100)
    poison(trial, range(10, 15))
    recorder = Recorder()
    trial.fit(recorder)
    steps = sorted(int(path.name) for path in trial.run.checkpoints.iterdir())
    assert steps == [*range(1, 11), *range(16, 31)]
    assert recorder.lines == ["no checkpoint at step 11: the last 1 steps had no finite gradient"]


def test_no_snapshot_is_written_during_a_streak_of_skipped_steps(start: Start) -> None:
    trial = start(steps=40, inner_steps=1, averages=["power"], snapshots=4)
    poison(trial, range(18, 21))
    recorder = Recorder()
    trial.fit(recorder)
    assert sorted(int(path.name) for path in trial.run.averages.iterdir()) == [10, 30, 40]
    assert recorder.lines == ["no snapshot at step 20: the last 2 steps had no finite gradient"]


def test_a_run_that_ends_in_a_skipped_step_is_saved(start: Start) -> None:
    trial = start(steps=20, inner_steps=1)
    poison(trial, range(19, 20))
    assert trial.fit().steps == 20
    assert trial.state()["step"] == 20


def test_a_run_that_never_had_a_good_step_names_no_checkpoint(start: Start) -> None:
    trial = start(steps=30, inner_steps=1)
    poison(trial, range(30))
    recorder = Recorder()
    with pytest.raises(Diverged, match="there is no checkpoint"):
        trial.fit(recorder)
    assert all("back to the beginning" in line for line in recorder.lines)


def test_a_run_that_diverges_names_the_checkpoint_that_is_there(start: Start) -> None:
    trial = start(steps=60, inner_steps=1)
    trial.fit(Recorder(stop_after(20)))
    poison(trial, range(25, 60))
    with pytest.raises(Diverged, match="the checkpoint of step 20 is kept in"):
        trial.fit(Recorder())


def test_a_loss_far_above_its_history_is_a_divergence_and_single_outliers_are_not() -> None:
    past, weights = History(), [nn.Parameter(torch.ones(4))]
    past.see([1.0] * WINDOW)
    assert past.problem(weights) is None
    past.see([1e9, 1.0, 1.0] * WINDOW)
    assert past.problem(weights) is None
    past.see([LOSS_FACTOR * 1.01] * WINDOW)
    assert "the loss is 10.1, but was 1 at first" in str(past.problem(weights))


def test_a_divergence_in_the_first_steps_does_not_raise_its_own_limit() -> None:
    past = History()
    past.see([1.0, *[1e6] * WINDOW])
    assert past.problem([]) is not None


def test_weights_far_above_their_first_norm_or_not_finite_are_a_divergence() -> None:
    weight = nn.Parameter(torch.full((100,), 0.5))
    past = History()
    assert past.problem([weight]) is None
    weight.data.mul_(NORM_FACTOR * 1.01)
    assert "the norm of the weights is 505, but was 5 at first" in str(past.problem([weight]))
    weight.data.fill_(1e30)
    assert past.problem([weight]) is not None
    weight.data[3] = math.nan
    assert past.problem([weight]) == "some weights are not finite"


def test_the_history_comes_back_from_a_checkpoint_and_may_be_absent() -> None:
    past, again = History(), History()
    past.see([1.0, math.nan, 2.0])
    past.problem([nn.Parameter(torch.ones(4))])
    again.load(past.facts())
    assert again.facts() == past.facts()
    again.load(None)
    assert again.facts() == History().facts()
