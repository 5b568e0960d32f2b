"""Objectives, noises and densities that learn inside a run: bit-exact resuming, shards, ranks, and what is kept."""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from test_ranks import SCRIPT, finished, two_ranks
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.objective.weighting import WEIGHTINGS
from ptdiff.process import Level
from ptdiff.run.config import merged, validate
from ptdiff.run.folder import Run
from ptdiff.training.module import DiffusionModule

LEARNING: dict[str, dict[str, Any]] = {
    "loss-aware": {"density": {"name": "loss-aware", "bins": 8, "decay": 0.9}},
    "uncertainty": {"weighting": {"name": "uncertainty", "base": "min-snr"}},
    "both": {"density": "loss-aware", "weighting": "uncertainty", "loss": {"name": "pseudo-huber", "norm_p": 0.5}},
}


def with_choices(trial: Trial, choices: dict[str, Any]) -> Trial:
    config = validate(merged(trial.run.config.model_dump(mode="json"), choices))
    (trial.run.path / "config.yaml").write_text(config.to_yaml())
    trial.run = Run(trial.run.path, config, trial.data)
    return trial


def module_of(trial: Trial) -> DiffusionModule:
    denoiser = NetworkDenoiser(trial.modality.backbone(trial.data), trial.run.config.prediction)
    return DiffusionModule(denoiser, trial.data, trial.run.config)


def stop_at(step: int) -> Recorder:
    return Recorder(lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None)


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def parted_and_whole(start: Start, name: str, **training: Any) -> tuple[Trial, Trial]:
    whole = with_choices(start("whole", inner_steps=1, **training), LEARNING[name])
    assert whole.fit().steps == 40
    parted = with_choices(start("parted", inner_steps=1, **training), LEARNING[name])
    assert parted.fit(stop_at(17)).steps in (17, 18)
    assert parted.fit().steps == 40
    return whole, parted


@pytest.mark.parametrize("name", LEARNING)
def test_what_a_run_learns_beside_its_weights_goes_on_bit_for_bit(start: Start, name: str) -> None:
    whole, parted = parted_and_whole(start, name)
    assert_bit_equal(whole.tensors(), parted.tensors())
    names = {key.split(".")[0] for key in whole.tensors()}
    assert ("loss_history" in names) == (name != "uncertainty")
    assert ("log_variance" in names) == (name != "loss-aware")


def test_a_run_under_muon_goes_on_bit_for_bit(start: Start) -> None:
    plain = start("plain", inner_steps=1)
    plain.fit()
    whole = start("whole", inner_steps=1, optimizer={"name": "muon"})
    assert whole.fit().steps == 40
    parted = start("parted", inner_steps=1, optimizer={"name": "muon"})
    assert parted.fit(stop_at(17)).steps in (17, 18)
    assert parted.fit().steps == 40
    assert_bit_equal(whole.tensors(), parted.tensors())
    assert any(key.endswith(".momentum") for key in whole.tensors())
    assert not any(key.endswith(".momentum") for key in plain.tensors())


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
def test_threads_that_share_a_batch_learn_the_same_bits_every_time(start: Start) -> None:
    whole, parted = parted_and_whole(start, "both", shards=2)
    assert_bit_equal(whole.tensors(), parted.tensors())
    alone = with_choices(start("alone", inner_steps=1), LEARNING["both"])
    alone.fit()
    for key, value in alone.tensors().items():
        torch.testing.assert_close(whole.tensors()[key], value, rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("inner", [7, 64])
def test_levels_follow_the_losses_of_the_step_before_whatever_is_done_in_one_go(start: Start, inner: int) -> None:
    one = with_choices(start("one", inner_steps=1), LEARNING["both"])
    many = with_choices(start("many", inner_steps=inner), LEARNING["both"])
    one.fit()
    many.fit()
    assert_bit_equal(one.tensors(), many.tensors())


def test_a_density_that_learns_draws_other_levels_than_its_base(start: Start) -> None:
    learned = with_choices(start("learned"), {"density": {"name": "loss-aware", "base": "logit-normal"}})
    plain = start("plain")
    learned.fit()
    plain.fit()
    sums = learned.tensors()["loss_history.sums"]
    assert float(sums[1].sum()) == pytest.approx(8 * (1 - 0.999**40) / 0.001, rel=1e-9)
    assert not torch.equal(learned.tensors()["model.net.out.weight"], plain.tensors()["model.net.out.weight"])


def test_losses_that_are_drawn_more_often_count_less(start: Start) -> None:
    module = module_of(with_choices(start(batch=64), {"density": {"name": "loss-aware", "bins": 4, "floor": 0.01}}))
    assert module.history is not None
    module.history.sums = torch.tensor([[1e9, 4e9, 1e9, 1e9], [1e9] * 4], dtype=torch.float64)
    (random,) = module.randomness(range(1))
    assert random.place is not None and random.importance is not None
    crowded = (random.place * 4).long() == 1
    assert int(crowded.sum()) == pytest.approx(64 * 2 / 5, abs=1.5)
    assert random.importance[crowded].tolist() == pytest.approx([5 / 8] * int(crowded.sum()), rel=0.02)
    losses, level = module.losses(0, random)
    x, cond = module.batch(0, random.hidden)
    plain = module.denoiser.loss(x, random.eps, level, cond)
    torch.testing.assert_close(losses, plain * random.importance)
    # what is learned from and reported is the loss itself
    before = module.history.sums
    module._trainer = SimpleNamespace(world_size=1)  # type: ignore[assignment]
    module._note(losses.detach(), random)
    torch.testing.assert_close(
        module.history.sums, 0.999 * before + module.history.measured(random.place, plain.detach())
    )
    assert float(module.bands.sums.sum()) == pytest.approx(float(plain.detach().sum()), rel=1e-5)
    expected = module.draws.density.levels(random.place, module.process)
    assert torch.equal(level.sigma, expected.sigma.float())


def test_the_learned_log_variance_is_trained_without_decay_and_is_no_part_of_the_denoiser(start: Start) -> None:
    trial = with_choices(start(weight_decay=0.3), LEARNING["uncertainty"])
    module = module_of(trial)
    assert module.log_variance is not None
    decays = {
        id(p): group["weight_decay"]
        for g in [module.configure_optimizers()]
        for group in g.param_groups
        for p in group["params"]
    }
    assert decays[id(module.log_variance.coefficients)] == 0
    trial.fit()
    tensors = trial.tensors()
    assert float(tensors["log_variance.coefficients"].abs().max()) > 0.01
    assert not [key for key in tensors if key.startswith(("model", "ema")) and "variance" in key]
    assert "log_variance" not in dict(trial.run.denoiser().named_parameters())


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_every_weighting_trains(start: Start, name: str) -> None:
    trial = with_choices(start(steps=4), {"weighting": name})
    assert trial.fit().steps == 4
    assert all(torch.isfinite(value).all() for value in trial.tensors().values())


@pytest.mark.parametrize(
    ("name", "density"), [*((name, "logit-normal") for name in WEIGHTINGS), ("uncertainty", "loss-aware")]
)
def test_no_value_is_waited_for_in_a_step(
    start: Start, name: str, density: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tensors without values: whoever asks for one fails
    module = module_of(with_choices(start(), {"weighting": name, "density": density, "loss": "huber"}))
    x, cond = module.batch(0, torch.zeros(8, dtype=torch.bool))
    (random,) = module.randomness(range(1))
    # two numbers of the process that never leave the host
    monkeypatch.setattr(type(module.process), "ends", module.process.ends)
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        given = {key: fake.from_tensor(value) for key, value in (("x", x), ("eps", random.eps), ("u", random.alpha))}
        at = Level(given["u"], 1 - given["u"])
        losses = module.objective(module.denoiser, given["x"], given["eps"], at, cond)
        if module.history is not None:
            module.history.sums = fake.from_tensor(module.history.sums)
            place, importance = module.history.aim(given["u"].double())
            module.history.learn(module.history.measured(place, losses * importance))
        with pytest.raises(DataDependentOutputException):
            float(losses.detach().mean())


@pytest.mark.parametrize(
    ("loss", "precision"),
    [("l1", "32"), ("huber", "bf16"), ("pseudo-huber", "32"), ({"name": "l2", "norm_p": 1.0}, "bf16")],
)
def test_every_loss_trains(start: Start, loss: Any, precision: str) -> None:
    trial = with_choices(start(steps=4, precision=precision), {"loss": loss, "noise": "offset"})
    assert trial.fit().steps == 4
    assert all(torch.isfinite(value).all() for value in trial.tensors().values())


def test_a_weighting_that_overflows_at_levels_that_are_drawn_is_refused_before_training(start: Start) -> None:
    choices = {"weighting": "likelihood", "prediction": "x0", "density": "uniform"}
    trial = with_choices(start(), choices)
    with pytest.raises(ValueError, match="weighting likelihood is not finite for x0-prediction"):
        module_of(trial)
    module_of(with_choices(trial, choices | {"prediction": "velocity"}))


@pytest.mark.parametrize("key", ["weighting", "loss", "noise"])
def test_wrong_names_are_refused(start: Start, key: str) -> None:
    with pytest.raises(ValueError, match=f"unknown {key} 'plain'"):
        module_of(with_choices(start(), {key: "plain"}))


def test_a_run_from_before_these_choices_opens_with_the_plain_ones(start: Start) -> None:
    trial = start(steps=3)
    file = trial.run.path / "config.yaml"
    values = yaml.safe_load(file.read_text())
    for key in ("weighting", "loss", "noise"):
        del values[key]
    file.write_text(yaml.safe_dump(values))
    # runs were not sealed then
    (trial.run.path / "seal.json").unlink()
    assert Run.open(trial.run.path).config == trial.run.config
    assert trial.run.config.weighting == {"name": "prediction"}


def test_the_likelihood_weighting_is_finite_at_the_most_extreme_levels(start: Start) -> None:
    for process in ("vp", "flow", "ve"):
        for density in ("uniform", "logit-normal", "log-normal", "log-uniform"):
            trial = with_choices(start(f"{process}-{density}"), {"process": process, "density": density})
            module = module_of(with_choices(trial, {"weighting": "likelihood"}))
            weight = module.objective.weight(module.draws.extremes(), "velocity")
            assert torch.isfinite(weight).all() and bool((weight > 0).all()), (process, density)


RANKS = SCRIPT.replace(
    "torch.set_num_threads(1)",
    """torch.set_num_threads(1)
import hashlib
from ptdiff.training.loss_history import LossHistory
seen = []
original = LossHistory.learn
def learn(self, measured):
    original(self, measured)
    seen.append(self.sums)
LossHistory.learn = learn""",
).replace(
    "sys.exit(0",
    """print("sums", hashlib.sha256(torch.stack(seen).numpy().tobytes()).hexdigest(), flush=True)
sys.exit(0""",
)


@pytest.mark.slow
def test_ranks_learn_the_same_density_as_one_another_and_as_one_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    import test_ranks

    monkeypatch.setattr(test_ranks, "SCRIPT", RANKS)
    one, two = (with_choices(start(name, batch=7), LEARNING["both"]) for name in ("one", "two"))
    one.fit()
    code, out = finished(two_ranks(two))
    assert code == 0, out
    sums = re.findall(r"sums ([0-9a-f]{64})", out)
    assert len(sums) == 2 and sums[0] == sums[1] != hashlib.sha256(b"").hexdigest(), out
    for key, value in one.tensors().items():
        torch.testing.assert_close(two.tensors()[key], value, rtol=5e-3, atol=5e-4)
