"""Batches in parts: the same gradient, the same bits after a resume, and smaller parts where memory runs out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_fit import stop_at
from torch import Tensor, nn
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.machine import host
from ptdiff.run.config import validate
from ptdiff.training.gradients import Gradients
from ptdiff.training.memory import fitting_rows, kept_bytes, out_of_memory
from ptdiff.training.module import DiffusionModule
from ptdiff.training.noise_scale import NoiseScale
from ptdiff.training.shards import Shards, parts


@pytest.mark.parametrize("rows", [1, 7, 32, 33])
@pytest.mark.parametrize("most", [None, 1, 3, 9, 32, 40])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_are_all_rows_once_and_no_more_at_a_time_than_asked(rows: int, most: int | None, count: int) -> None:
    chosen = parts(rows, most, count)
    assert sorted(torch.cat([torch.arange(rows)[some] for some in chosen]).tolist()) == list(range(rows))
    sizes = [len(range(rows)[some]) for some in chosen]
    assert max(sizes) - min(sizes) <= 1
    together = max(sum(sizes[i : i + count]) for i in range(0, len(sizes), count))
    assert together <= max(count, rows if most is None else most)


def a_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 3))


@pytest.mark.parametrize("most", [1, 4, 16])
def test_parts_one_after_the_other_find_the_gradient_and_noise_of_the_batch(most: int) -> None:
    network, x = a_network(), torch.randn(33, 3, generator=torch.Generator().manual_seed(1))
    losses = network(x).square().mean(dim=1)
    whole = torch.autograd.grad(losses.mean(), list(network.parameters()))
    shards, scale = Shards(1, network), NoiseScale(decay=0.0)
    found = shards.gradients(lambda rows: network(x[rows]).square().mean(dim=1), len(x), scale, most)
    torch.testing.assert_close(found, losses.detach())
    torch.testing.assert_close([p.grad for p in network.parameters()], list(whole))
    assert float(scale.sums[2]) == 1.0


def test_a_run_in_parts_is_stopped_and_resumed_to_the_same_bits(start: Start) -> None:
    options = {"classes": 2, "dropout": 0.2}
    whole, parted = (start(name, options, inner_steps=1, micro_batch=3, steps=20) for name in ("whole", "parted"))
    whole.fit()
    parted.fit(stop_at(11))
    assert parted.fit().steps == 20
    assert_bit_equal(whole.tensors(), parted.tensors())


def test_a_run_in_parts_ends_where_one_in_one_piece_does_but_for_rounding(start: Start) -> None:
    one, many = start("one", steps=10, micro_batch=None), start("many", steps=10, micro_batch=3)
    one.fit()
    many.fit()
    mine, theirs = one.tensors(), many.tensors()
    for name in (name for name in mine if name.startswith("model.")):
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-4)


class Small(nn.Module):
    """A network for which more than ``most`` rows at a time are too many."""

    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner, self.most = inner, most
        self.seen: list[int] = []

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1")
        y: Tensor = self.inner(x, angle, cond)
        return y


def limited(trial: Trial, most: int, monkeypatch: pytest.MonkeyPatch) -> list[Small]:
    made: list[Small] = []
    backbone = type(trial.modality).backbone

    def build(self: Any, data: Any) -> nn.Module:
        made.append(Small(backbone(self, data), most))
        return made[-1]

    monkeypatch.setattr(type(trial.modality), "backbone", build)
    return made


def test_out_of_memory_halves_the_parts_says_so_once_and_changes_no_number(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"dropout": 0.2}
    trial, given = (start(name, options, steps=12, inner_steps=1, micro_batch=None) for name in ("a", "b"))
    made, recorder = limited(trial, 2, monkeypatch), Recorder()
    trial.fit(recorder)
    assert [line for line in recorder.lines if "memory" in line] == [
        "out of memory at step 0: continuing with 2 samples at a time, same batch"
    ]
    assert [size for network in made for size in network.seen].count(8) == 1
    given.run.config.training.__dict__["micro_batch"] = 2
    given.fit()
    assert_bit_equal(trial.tensors(), given.tensors())
    # what was found out is kept
    assert trial.state()["micro_batch"] == 2


class NoMemory(torch.autograd.Function):
    """The identity, whose backward pass runs out of memory for more than ``most`` rows."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, most: int) -> Tensor:
        ctx.most = most
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if len(grad) > ctx.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return grad, None


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize(("most", "shards", "found"), [(4, 1, 4), (3, 1, 2), (1, 1, 1), (2, 2, 4)])
def test_a_run_without_memory_has_the_bits_of_its_micro_batch_and_the_weights_of_the_whole_batch(
    start: Start, monkeypatch: pytest.MonkeyPatch, where: str, most: int, shards: int, found: int
) -> None:
    training = {"steps": 12, "lr": 1e-3, "shards": shards}
    names = {"short": None, "given": found, "whole": None}
    trials = {name: start(name, {"classes": 2}, micro_batch=size, **training) for name, size in names.items()}
    backbone, limit = type(trials["short"].modality).backbone, [10**9]

    class Short(Small):
        def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
            if where == "forward":
                return super().forward(x, angle, cond)
            y: Tensor = NoMemory.apply(self.inner(x, angle, cond), self.most)
            return y

    monkeypatch.setattr(
        type(trials["short"].modality), "backbone", lambda self, data: Short(backbone(self, data), limit[0])
    )
    for name in ("whole", "given"):
        trials[name].fit()
    limit[0], seen = most, Recorder()
    trials["short"].fit(seen)
    assert [line for line in seen.lines if "out of memory" in line] == [
        f"out of memory at step 0: continuing with {found} samples at a time, same batch"
    ]
    assert trials["short"].state()["micro_batch"] == found
    assert_bit_equal(trials["short"].tensors(), trials["given"].tensors())
    mine, whole = trials["short"].tensors(), trials["whole"].tensors()
    for name in (name for name in mine if name.startswith(("model.", "ema."))):
        torch.testing.assert_close(mine[name], whole[name], rtol=0, atol=1e-6)


def test_memory_that_ends_in_the_middle_of_a_run_halves_the_rest(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    options, training = {"dropout": 0.2}, {"steps": 12, "inner_steps": 1, "micro_batch": None}
    trial, given = (start(name, options, **training) for name in ("a", "b"))
    made = limited(trial, 8, monkeypatch)

    def shrink(done: int) -> None:
        if done == 5:
            made[-1].most = 4

    trial.fit(Recorder(shrink))
    given.fit(stop_at(5))
    monkeypatch.setattr(Gradients, "most", property(lambda self: 4, lambda self, value: None), raising=False)
    given.fit()
    assert_bit_equal(trial.tensors(), given.tensors())


def test_one_row_that_does_not_fit_is_an_error(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = start(steps=12)
    limited(trial, 0, monkeypatch)
    with pytest.raises(RuntimeError, match="allocate memory"):
        trial.fit()


def test_other_errors_are_no_lack_of_memory() -> None:
    assert out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("shapes do not match"))
    assert not out_of_memory(ValueError("out of memory"))


def module_of(start: Start, **training: Any) -> DiffusionModule:
    trial = start(options={"width": 256}, **training)
    torch.manual_seed(0)
    return DiffusionModule(NetworkDenoiser(trial.modality.backbone(trial.data)), trial.data, trial.run.config)


def test_what_fits_follows_the_memory_at_hand(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(start, batch=64)
    measured = (module, module.first_losses)
    each = (kept_bytes(*measured, 4) - kept_bytes(*measured, 2)) / 2
    # at least the inputs of both activations of a row, and no more than some tens of such
    assert 2 * 256 * 4 <= each <= 40 * 256 * 4
    # what is measured on few holds for many
    assert kept_bytes(*measured, 64) == pytest.approx(kept_bytes(*measured, 4) + 60 * each, rel=0.02)
    monkeypatch.setattr(host, "memory", lambda: 2**40)
    assert fitting_rows(*measured, 64) == 64
    monkeypatch.setattr(host, "memory", lambda: int(2 * (kept_bytes(*measured, 4) + 17 * each)))
    # 21 would fit: four parts of 16 are of one size
    assert fitting_rows(*measured, 64) == 16
    monkeypatch.setattr(host, "memory", lambda: 1)
    assert fitting_rows(*measured, 64) == 1
    monkeypatch.setattr(host, "memory", lambda: None)
    assert fitting_rows(*measured, 64) == 64


def test_measuring_moves_no_random_number_and_leaves_no_gradient(start: Start) -> None:
    module = module_of(start)
    before = torch.get_rng_state()
    fitting_rows(module, module.first_losses, 8)
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is None for p in module.parameters())


def test_a_micro_batch_of_zero_is_refused(start: Start) -> None:
    with pytest.raises(ValueError, match="micro_batch"):
        validate({"modality": "points2d", "training": {"micro_batch": 0}})
