"""Training a network that is shown its own estimate, in every other step."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.training.draws import Randomness
from ptdiff.training.module import DiffusionModule

RECALLS = {"self_conditioning": True}


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def stop_at(step: int) -> Recorder:
    return Recorder(lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None)


def module_of(trial: Trial) -> DiffusionModule:
    torch.manual_seed(0)
    denoiser = NetworkDenoiser(trial.modality.backbone(trial.data), trial.run.config.prediction)
    return DiffusionModule(denoiser, trial.data, trial.run.config)


def randomness(trial: Trial, steps: range) -> list[Randomness]:
    return list(module_of(trial).randomness(steps))


@pytest.mark.parametrize("options", [{}, {"classes": 3}, {"dropout": 0.3}], ids=["plain", "labels", "dropout"])
def test_a_run_that_was_stopped_ends_bit_equal_to_one_that_was_not(start: Start, options: dict[str, Any]) -> None:
    whole = start("whole", RECALLS | options, inner_steps=1)
    assert whole.fit().steps == 40
    parted = start("parted", RECALLS | options, inner_steps=1)
    for step in (17, 31):
        assert parted.fit(stop_at(step)).steps == step
    parted.fit()
    assert_bit_equal(whole.tensors(), parted.tensors())


@pytest.mark.usefixtures("two_threads")
def test_threads_that_share_a_batch_recall_too_and_resume_bit_equal(start: Start) -> None:
    whole = start("whole", RECALLS, inner_steps=1, shards=2, steps=20)
    whole.fit()
    parted = start("parted", RECALLS, inner_steps=1, shards=2, steps=20)
    assert parted.fit(stop_at(9)).steps == 9
    parted.fit()
    assert_bit_equal(whole.tensors(), parted.tensors())
    alone = start("alone", RECALLS, steps=20)
    alone.fit()
    mine, theirs = whole.tensors(), alone.tensors()
    for name in (name for name in mine if name.startswith("model.")):
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_half_of_the_steps_recall_and_which_is_addressed(start: Start) -> None:
    trial = start("run", RECALLS)
    recall = [random.recall for random in randomness(trial, range(400))]
    assert 160 < sum(recall) < 240
    assert recall[101:140] == [random.recall for random in randomness(trial, range(101, 140))]
    # no two neighbors hang together
    assert 60 < sum(a and b for a, b in pairwise(recall)) < 140


def test_what_is_recalled_is_what_the_network_says_of_the_same_x_by_itself(start: Start) -> None:
    trial = start("run", RECALLS)
    module = module_of(trial)
    randoms = randomness(trial, range(8))
    for step, random in enumerate(randoms):
        x, cond = module.batch(step, random.hidden)
        told, _ = random.condition(module.denoiser, x, cond)
        assert ("estimate" in told) == random.recall
        if random.recall:
            level = random.level.like(x)
            expected = module.denoiser(level.alpha * x + level.sigma * random.eps, random.level, cond)
            assert torch.equal(told["estimate"], expected)
            assert not told["estimate"].requires_grad
            parts, _ = random.part(torch.tensor([1, 4])).condition(module.denoiser, x[[1, 4]], cond)
            torch.testing.assert_close(parts["estimate"], expected[[1, 4]])
    assert any(random.recall for random in randoms)


def test_a_network_that_reads_no_estimate_makes_none(start: Start) -> None:
    trial = start("run")
    module = module_of(trial)
    for random in randomness(trial, range(8)):
        assert random.condition(module.denoiser, torch.ones(8, 2), {}) == ({}, 0.0)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_every_weight_learns_in_a_step_that_recalls(start: Start, precision: str) -> None:
    trial = start("run", RECALLS, precision=precision)
    module = module_of(trial)
    step, random = next((s, r) for s, r in enumerate(randomness(trial, range(20))) if r.recall)
    losses, _ = module.losses(step, random)
    torch.autograd.backward(losses.mean())
    for name, parameter in module.denoiser.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
