"""Losses on held-out samples, regret, and early stopping with the best weights kept."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_choices import module_of, stop_at, with_choices
from test_ranks import finished, two_ranks
from torch import Tensor
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.process import Level
from ptdiff.run.folder import Run
from ptdiff.training.regret import is_small_and_fixed, posterior_mean
from ptdiff.training.validation import ANGLES, HeldOut

CPU = torch.device("cpu")


def held_out(trial: Trial, count: int = 100) -> Trial:
    """The trial with held-out samples of the same distribution."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(count, 2, generator=generator) * torch.tensor([0.5, 2.0]) + torch.tensor([3.0, -1.0])
    label = torch.arange(count) % len(trial.data.classes) if trial.data.classes else None
    trial.data = replace(trial.data, val=TensorSplit(x, label))
    return trial


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def cloud(count: int, *shape: int, labels: int = 0) -> Data:
    generator = torch.Generator().manual_seed(3)
    x = 3 * torch.randn(count, *shape, generator=generator) + 1
    label = torch.arange(count) % labels if labels else None
    return Data(tuple(shape), train=TensorSplit(x, label)).measured()


@pytest.mark.parametrize("shape", [(2,), (5, 3)])
@pytest.mark.parametrize("labels", [0, 3])
def test_the_best_denoiser_of_a_training_set_is_the_oracle(shape: tuple[int, ...], labels: int) -> None:
    data = cloud(70, *shape, labels=labels)
    assert isinstance(data.train, TensorSplit)
    given = data.train.label
    exact = Mixture.of_data(data.normalize(data.train.x).double(), given)
    angle = torch.linspace(0.01, math.pi / 2, 40)
    x = torch.randn(40, *shape, generator=torch.Generator().manual_seed(4)).double()
    cond = {"label": torch.arange(40) % 4 - 1} if labels else {}
    level = Level(torch.cos(angle.double()), torch.sin(angle.double()))
    truth = exact(x, level, cond)
    torch.testing.assert_close(posterior_mean(data, x, angle, cond), truth, rtol=1e-5, atol=1e-5)


def test_the_sum_over_a_training_set_in_pieces_is_the_whole_sum() -> None:
    # 3 pieces of 2^22 elements at most
    data = cloud(900, 10_000)
    x = torch.randn(3, 10_000, generator=torch.Generator().manual_seed(4))
    angle = torch.tensor([0.8, 1.2, 1.55])
    assert isinstance(data.train, TensorSplit)
    y = data.normalize(data.train.x).double()
    cos, sin = torch.cos(angle.double())[:, None], torch.sin(angle.double())[:, None]
    gap = torch.stack([(row - c * y).square().sum(dim=1) for row, c in zip(x.double(), cos, strict=True)])
    truth = torch.softmax(-gap / (2 * sin.square()), dim=1) @ y
    torch.testing.assert_close(posterior_mean(data, x, angle, {}), truth, rtol=1e-6, atol=1e-6)


def test_only_small_sets_of_fixed_samples_have_a_best_denoiser() -> None:
    class Anew(TensorSplit):
        def batch(self, ids: Tensor, seed: int) -> Any:
            x, cond = super().batch(ids, seed)
            return x + seed, cond

    class Described(TensorSplit):
        def batch(self, ids: Tensor, seed: int) -> Any:
            return self.x[ids], {"text": self.x[ids]}

    x = torch.zeros(30, 2)
    assert is_small_and_fixed(TensorSplit(x), (2,))
    assert is_small_and_fixed(TensorSplit(x, torch.zeros(30).long()), (2,))
    assert not is_small_and_fixed(Anew(x), (2,))
    assert not is_small_and_fixed(Described(x), (2,))
    assert not is_small_and_fixed(TensorSplit(torch.zeros(50_001, 1)), (1,))
    assert not is_small_and_fixed(TensorSplit(torch.zeros(2, 10_001)), (10_001,))


def test_the_loss_of_the_best_denoiser_leaves_no_regret(start: Start) -> None:
    trial = held_out(start(options={"classes": 2}, steps=10**6, batch=8))
    measure = HeldOut(trial.run, trial.data, CPU)
    assert len(measure.x) == 4 * 100 and measure.least is not None
    assert trial.data.train is not None
    x, given = trial.data.train.batch(torch.arange(200), 0)
    exact = Mixture.of_data(trial.data.normalize(x).double(), given["label"])
    level = Level(measure.level.alpha.double(), measure.level.sigma.double())
    error = (exact(measure.x.double(), level, measure.cond) - measure.x0).square().mean(dim=1)
    truth = (error / torch.sin(measure.angle).square()).reshape(4, -1).mean(dim=1)
    torch.testing.assert_close(measure.least, truth, rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_error_of_the_velocity_for_every_prediction(start: Start) -> None:
    trial = held_out(start(steps=10**6))
    measure = HeldOut(trial.run, trial.data, CPU)
    weights = trial.run.network().state_dict()
    found = measure.loss(weights)
    model = trial.run.network()
    model.load_state_dict(weights)
    rows = measure.angle == ANGLES[2]
    wide = measure.level.like(measure.x)
    eps = (measure.x - wide.alpha * measure.x0) / wide.sigma
    level = Level(measure.level.alpha[rows], measure.level.sigma[rows])
    # velocity is what is predicted here, so that its training loss is this one
    losses = model.loss(measure.x0[rows], eps[rows], level, {})
    assert float(found[2]) == pytest.approx(float(losses.detach().mean()), rel=1e-4)


def test_validations_are_spread_over_a_run_and_written_down(start: Start) -> None:
    trial = held_out(start(options={"classes": 2}, validations=4, inner_steps=7))
    trial.fit()
    found = [line for line in lines(trial.run) if "validation_loss" in line]
    assert [line["step"] for line in found] == [10, 20, 30, 40]
    for line in found:
        assert len(line["validation_by_angle"]) == len(line["validation_raw_by_angle"]) == 4
        assert line["validation_loss"] == pytest.approx(sum(line["validation_by_angle"]) / 4)
    last = HeldOut(trial.run, trial.data, CPU)
    raw, averaged = (last.loss(trial.run.denoiser(weights=name).state_dict()) for name in ("raw", "ema"))
    assert found[-1]["validation_raw_by_angle"] == pytest.approx(raw.tolist())
    assert found[-1]["validation_by_angle"] == pytest.approx(averaged.tolist())
    assert last.least is not None
    assert found[-1]["regret_by_angle"] == pytest.approx((averaged - last.least).tolist())


def test_validation_changes_no_bit_of_the_training(start: Start) -> None:
    options = {"classes": 2, "dropout": 0.2}
    plain, watched = start("plain", options), held_out(start("watched", options))
    plain.fit()
    watched.fit()
    assert_bit_equal(plain.tensors(), watched.tensors())


def test_the_regret_falls_with_training_where_there_is_much_noise(start: Start) -> None:
    trial = held_out(start(options={"count": 1000}, steps=300, batch=64, validations=5))
    trial.fit()
    regrets = [line["regret_by_angle"] for line in lines(trial.run) if "regret_by_angle" in line]
    assert regrets[0][3] > 5 * abs(regrets[-1][3])
    assert abs(regrets[-1][3]) < 0.02


def test_at_little_noise_the_denoiser_of_the_training_set_is_no_lower_bound(start: Start) -> None:
    trial = held_out(start(options={"count": 30}, steps=10**6))
    measure = HeldOut(trial.run, trial.data, CPU)
    scale = float(trial.data.scale)  # type: ignore[arg-type]
    truth = Gaussian(trial.data.normalize(torch.tensor([3.0, -1.0])), torch.tensor([0.5, 2.0]) / scale)
    possible = measure._by_angle(truth(measure.x, measure.level, {}))
    assert measure.least is not None
    # who knows the distribution does better than who knows thirty of its samples, above all where there is little noise
    assert float(measure.least[0]) > 1.5 * float(possible[0])
    assert float(measure.least[3]) < 1.2 * float(possible[3])


def test_the_number_of_samples_is_bounded_by_what_they_cost(start: Start) -> None:
    def count(**training: Any) -> int:
        trial = held_out(start(f"{training}"[:40], **training), 1000)
        return len(HeldOut(trial.run, trial.data, CPU).x) // 4

    assert count(steps=40) == 4
    assert count(steps=3000, batch=32) == 36
    assert count(steps=10**6) == 256


def test_early_stopping_keeps_the_best_weights_and_stays_stopped(start: Start) -> None:
    # no validation is better by so much
    trial = held_out(start(validations=20, patience=3, min_delta=100.0, inner_steps=3))
    recorder = Recorder()
    assert trial.fit(recorder).steps == 8
    assert any("the best is at step 2" in line for line in recorder.lines)
    state = trial.state()
    assert (state["best"]["step"], state["best"]["stale"]) == (2, 3)
    assert not torch.equal(trial.tensors()["best.net.out.weight"], trial.tensors()["ema.net.out.weight"])
    assert trial.fit().steps == 8
    for name, part in ((None, "best"), ("best", "best"), ("ema", "ema")):
        found = trial.run.denoiser(weights=name).state_dict()["net.out.weight"]
        assert torch.equal(found, trial.tensors()[f"{part}.net.out.weight"])


def test_the_best_weights_are_a_copy_of_the_average_at_their_step(start: Start) -> None:
    common: dict[str, Any] = {"schedule": "constant", "validations": 20, "patience": 3, "min_delta": 100.0}
    stopped = held_out(start("stopped", **common))
    stopped.fit()
    short = start("short", steps=2, schedule="constant")
    short.fit()
    for name, value in short.run.denoiser().state_dict().items():
        assert torch.equal(stopped.run.denoiser(weights="best").state_dict()[name], value)


def test_a_stopped_run_with_patience_ends_bit_equal(start: Start) -> None:
    common: dict[str, Any] = {"validations": 10, "patience": 9, "inner_steps": 1}
    whole, parted = (held_out(start(name, **common)) for name in ("whole", "parted"))
    assert whole.fit().steps == 40
    assert parted.fit(stop_at(17)).steps in (17, 18)
    assert parted.fit().steps == 40
    assert_bit_equal(whole.tensors(), parted.tensors())
    assert whole.state()["best"] == parted.state()["best"]


def test_patience_needs_something_to_validate_on(start: Start) -> None:
    with pytest.raises(ValueError, match="needs held-out samples"):
        module_of(start(patience=2))
    with pytest.raises(ValueError, match="needs held-out samples"):
        module_of(held_out(start("other", patience=2, validations=0)))


@pytest.mark.slow
def test_ranks_end_together_by_the_figures_of_the_first(start: Start) -> None:
    trial = start(options={"held": 50}, validations=20, patience=3, min_delta=100.0, averages=["power"], snapshots=20)
    code, out = finished(two_ranks(with_choices(trial, {"coupling": "ot"})))
    assert code == 0, out
    state = trial.state()
    assert (state["step"], state["best"]["step"], state["best"]["stale"]) == (8, 2, 3)
    assert [line["step"] for line in lines(trial.run) if "validation_loss" in line] == [2, 4, 6, 8]
    assert {path.name for path in trial.run.averages.iterdir()} == {"2", "4", "6", "8"}
