"""The training step: schedule, addressed randomness, hidden labels, units."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from trial import Start

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.run.config import validate
from ptdiff.training.module import DiffusionModule


def module_of(start: Start, options: dict[str, Any] | None = None, **training: Any) -> DiffusionModule:
    trial = start(options=options, **training)
    torch.manual_seed(0)
    return DiffusionModule(NetworkDenoiser(trial.modality.backbone(trial.data)), trial.data, trial.run.config)


def rates(module: DiffusionModule, steps: int) -> list[float]:
    found = []
    for module.done in range(steps):
        found.append(module.learning_rate())
    return found


def test_the_learning_rate_warms_up_linearly_and_falls_as_a_cosine(start: Start) -> None:
    module = module_of(start, steps=1000, warmup=100, lr=0.5)
    found = rates(module, 1001)
    cosine = [0.25 * (1 + math.cos(math.pi * s / 1000)) for s in range(1001)]
    assert found[0] == pytest.approx(0.5 / 100)
    assert found[49] == pytest.approx(cosine[49] / 2)
    assert found[99:] == pytest.approx(cosine[99:], abs=1e-12)
    assert found[500] == pytest.approx(0.25)
    assert found[1000] == pytest.approx(0.0, abs=1e-12)
    assert max(found) < 0.5


def test_without_warm_up_the_first_step_has_the_full_rate(start: Start) -> None:
    assert module_of(start, steps=10, warmup=0, lr=0.5).learning_rate() == 0.5


def test_with_minutes_the_rate_follows_the_clock(start: Start) -> None:
    module = module_of(start, steps=10**9, warmup=0, lr=1.0, minutes=2.0)
    module.elapsed = 60.0
    assert module.progress == pytest.approx(0.5)
    assert module.learning_rate() == pytest.approx(0.5)
    module.elapsed = 500.0
    assert module.learning_rate() == pytest.approx(0.0, abs=1e-12)


def test_a_halved_rate_halves_every_step(start: Start) -> None:
    module = module_of(start, steps=50, warmup=10)
    whole = rates(module, 50)
    module.rate = 0.5
    assert rates(module, 50) == pytest.approx([r / 2 for r in whole])


def test_randomness_is_the_same_for_one_step_and_for_many(start: Start) -> None:
    module = module_of(start, {"classes": 2})
    many = list(module.randomness(range(3, 40)))
    assert len(many) == 37
    for step in (3, 17, 39):
        (alone,) = module.randomness(range(step, step + 1))
        there = many[step - 3]
        for name in ("eps", "hidden", "alpha", "sigma"):
            assert torch.equal(getattr(alone, name), getattr(there, name)), name


def test_noise_is_standard_normal_and_levels_are_spread_over_a_batch(start: Start) -> None:
    module = module_of(start, batch=64)
    drawn = list(module.randomness(range(200)))
    eps = torch.stack([r.eps for r in drawn]).flatten().double()
    count = len(eps)
    assert count == 200 * 64 * 2
    assert abs(float(eps.mean())) < 4 / math.sqrt(count)
    assert abs(float(eps.var()) - 1) < 4 * math.sqrt(2 / count)
    # flow and a logit-normal density: the median time is 1/2, and stratification puts half of every batch below it
    assert all(int((r.sigma < 0.5).sum()) in (31, 32, 33) for r in drawn)


def test_labels_are_hidden_as_often_as_asked_and_samples_are_not_touched(start: Start) -> None:
    module = module_of(start, {"classes": 3}, batch=50, condition_dropout=0.2)
    hidden = 0
    for step, random in zip(range(100), module.randomness(range(100)), strict=True):
        x, cond = module.batch(step, random.hidden)
        clear, labels = module.batch(step, torch.zeros_like(random.hidden))
        assert torch.equal(x, clear)
        assert torch.equal(cond["label"] == -1, random.hidden)
        assert torch.equal(cond["label"][~random.hidden], labels["label"][~random.hidden])
        assert (labels["label"] >= 0).all()
        hidden += int(random.hidden.sum())
    assert abs(hidden - 1000) < 4 * math.sqrt(5000 * 0.2 * 0.8)


def test_batches_arrive_in_model_units(start: Start) -> None:
    module = module_of(start, {"count": 400}, batch=400)
    x, _ = module.batch(0, torch.zeros(400, dtype=torch.bool))
    assert x.mean(dim=0).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    assert float(x.square().mean().sqrt()) == pytest.approx(1.0, abs=1e-5)


def test_weight_decay_is_for_matrices_alone(start: Start) -> None:
    module = module_of(start, {"classes": 2}, weight_decay=0.3)
    groups = module.configure_optimizers().param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, parameter in module.denoiser.named_parameters():
        assert decays[id(parameter)] == (0.3 if parameter.ndim >= 2 else 0.0), name


def test_bf16_runs_and_keeps_float32_weights(start: Start) -> None:
    trial = start(steps=3, precision="bf16")
    trial.fit()
    assert {v.dtype for k, v in trial.tensors().items() if k.startswith("model.")} == {torch.float32}


def test_unknown_names_are_refused_with_the_nearest_right_one(start: Start) -> None:
    trial = start()
    config = validate(trial.run.config.model_dump() | {"process": "flwo"})
    with pytest.raises(ValueError, match="did you mean 'flow'"):
        DiffusionModule(NetworkDenoiser(trial.modality.backbone(trial.data)), trial.data, config)
