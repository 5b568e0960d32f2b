"""Couplings in training: the same bits after a stop, cheaper and straighter paths, the same noise as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_choices import module_of, parted_and_whole, stop_at, with_choices
from torch import Tensor
from trial import Start, assert_bit_equal

from ptdiff.training.module import DiffusionModule

CHOICES: list[Any] = ["ot", {"name": "ot", "labels": "ignore"}, {"name": "sinkhorn", "blur": 0.1, "iterations": 10}]


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def pairs(module: DiffusionModule, steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Any]]:
    """x_0, the noise as drawn, the noise as paired, and the conditions, of each step."""
    for step, random in zip(range(steps), module.randomness(range(steps)), strict=True):
        x, cond, paired = module.paired(step, random)
        yield x, random.eps, paired.eps, cond


@pytest.mark.parametrize("coupling", CHOICES, ids=str)
def test_a_stopped_run_goes_on_with_the_same_pairs(start: Start, coupling: Any) -> None:
    whole, parted = (
        with_choices(start(name, {"classes": 2}, inner_steps=1), {"coupling": coupling}) for name in ("a", "b")
    )
    whole.fit()
    assert parted.fit(stop_at(17)).steps in (17, 18)
    assert parted.fit().steps == 40
    assert_bit_equal(whole.tensors(), parted.tensors())
    plain = start("plain", {"classes": 2})
    plain.fit()
    assert not torch.equal(plain.tensors()["model.net.out.weight"], whole.tensors()["model.net.out.weight"])


@pytest.mark.usefixtures("two_threads")
def test_threads_share_a_batch_after_it_is_paired(start: Start) -> None:
    alone, shared = (
        with_choices(start(f"{shards}", inner_steps=1, shards=shards), {"coupling": "ot"}) for shards in (1, 2)
    )
    alone.fit()
    shared.fit()
    for key, value in alone.tensors().items():
        torch.testing.assert_close(shared.tensors()[key], value, rtol=5e-3, atol=5e-4)


def test_transport_is_cheaper_and_the_noise_is_the_same(start: Start) -> None:
    module = module_of(with_choices(start(batch=64), {"coupling": "ot"}))
    before, after = 0.0, 0.0
    for x, drawn, paired, _ in pairs(module, 20):
        before += float((x - drawn).square().sum())
        after += float((x - paired).square().sum())
        assert torch.equal(drawn[drawn[:, 0].argsort()], paired[paired[:, 0].argsort()])
    # for two Gaussians the cost falls to the squared distance of Wasserstein, (0.34 - 1)^2 + (1.37 - 1)^2 here, from
    # the sum of both variances, 4; a batch of 64 comes close to it
    assert before / (20 * 64) == pytest.approx(4, rel=0.05)
    assert after / (20 * 64) < 0.25 * before / (20 * 64)


def test_paths_of_one_dimension_do_not_cross(start: Start) -> None:
    trial = with_choices(start(batch=32), {"coupling": "ot"})
    assert trial.data.train is not None
    x = trial.data.train.x[:, :1]  # type: ignore[attr-defined]
    data = replace(trial.data, shape=(1,), train=type(trial.data.train)(x, None, 0.0, False)).measured()
    trial.data = data
    crossings = {"drawn": 0.0, "paired": 0.0}
    for x0, drawn, paired, _ in pairs(module_of(trial), 5):
        for name, eps in (("drawn", drawn), ("paired", paired)):
            # two straight paths from data to noise cross where their order at the ends differs
            crossings[name] += float(((x0 - x0.T) * (eps - eps.T) < 0).float().mean()) / 5
    assert crossings["drawn"] > 0.4
    assert crossings["paired"] == 0


def test_pairs_within_a_class_leave_each_class_and_the_hidden_their_own_noise(start: Start) -> None:
    module = module_of(with_choices(start(options={"classes": 3}, batch=64, condition_dropout=0.3), {"coupling": "ot"}))
    moved = 0
    for _, drawn, paired, cond in pairs(module, 5):
        for label in (-1, 0, 1, 2):
            rows = cond["label"] == label
            mine, theirs = paired[rows], drawn[rows]
            assert torch.equal(mine[mine[:, 0].argsort()], theirs[theirs[:, 0].argsort()])
            moved += int((mine != theirs).any(dim=1).sum())
    assert moved > 100


def test_a_coupled_flow_has_less_to_guess(start: Start) -> None:
    # the loss of the best denoiser is what its input leaves open: straighter paths leave less
    losses = {}
    for coupling in ("independent", "ot"):
        trial = start(coupling, {"count": 2000, "width": 32}, steps=120, batch=64, inner_steps=5, lr=1e-2)
        with_choices(trial, {"coupling": coupling}).fit()
        lines = (trial.run.path / "metrics.jsonl").read_text().splitlines()
        assert lines
        losses[coupling] = module_loss(trial, coupling)
    assert losses["ot"] < 0.6 * losses["independent"]


def module_loss(trial: Any, coupling: str) -> float:
    module = module_of(with_choices(trial, {"coupling": coupling}))
    module.denoiser.load_state_dict(trial.run.denoiser().state_dict())
    with torch.no_grad():
        found = [module.losses(1000 + k, r)[0].mean() for k, r in enumerate(module.randomness(range(1000, 1010)))]
    return float(torch.stack(found).mean())


def test_a_pairing_within_sets_needs_sets(start: Start) -> None:
    with pytest.raises(ValueError, match="the elements of this data are ordered"):
        module_of(with_choices(start(), {"coupling": "within-sets"}))
    with pytest.raises(ValueError, match="did you mean 'sinkhorn'"):
        module_of(with_choices(start("other"), {"coupling": "sinkhron"}))


def test_points_of_sets_are_paired_with_their_own_noise(start: Start) -> None:
    trial = start(batch=4)
    assert trial.data.train is not None
    x = trial.data.train.x.reshape(-1, 10, 2)  # type: ignore[attr-defined]
    samples = type(trial.data.train)(x, None, 0.0, False)
    trial.data = replace(trial.data, shape=(10, 2), unordered=True, train=samples).measured(keep=(-1,))
    module = module_of(with_choices(trial, {"coupling": "within-sets"}))
    for x0, drawn, paired, _ in pairs(module, 3):
        assert float((x0 - paired).square().sum()) < 0.7 * float((x0 - drawn).square().sum())
        for one, other in zip(drawn, paired, strict=True):
            assert torch.equal(one[one[:, 0].argsort()], other[other[:, 0].argsort()])


def test_what_is_learned_beside_the_weights_goes_on_with_a_coupling_too(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    import test_choices

    both = test_choices.LEARNING["both"] | {"coupling": "ot"}
    monkeypatch.setitem(test_choices.LEARNING, "coupled", both)
    whole, parted = parted_and_whole(start, "coupled")
    assert_bit_equal(whole.tensors(), parted.tensors())
