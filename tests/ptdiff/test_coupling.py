"""Couplings: cheaper pairs, the same noise, and no bias by class."""

import itertools

import pytest
import torch

from ptdiff.objective.coupling import COUPLINGS, Independent, OptimalTransport, Sinkhorn, WithinSets

GENERATOR = torch.Generator().manual_seed(0)


def batch(b: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x0 = torch.randn(b, *shape, generator=GENERATOR) + 2.0
    return x0, torch.randn(b, *shape, generator=GENERATOR), torch.rand(b, generator=GENERATOR)


def cost(x0: torch.Tensor, eps: torch.Tensor) -> float:
    return float((x0 - eps).square().sum())


def test_optimal_transport_is_the_best_of_all_permutations() -> None:
    x0, eps, u = batch(6, 2)
    best = min(cost(x0, eps[list(order)]) for order in itertools.permutations(range(6)))
    assert cost(x0, OptimalTransport().pair(x0, eps, {}, u)) == pytest.approx(best)


@pytest.mark.parametrize("shape", [(2,), (4, 3), (1, 5, 5)])
def test_optimal_transport_only_rearranges_the_noise(shape: tuple[int, ...]) -> None:
    x0, eps, u = batch(32, *shape)
    made = OptimalTransport().pair(x0, eps, {}, u)
    assert cost(x0, made) < cost(x0, eps)
    assert torch.equal(made.flatten(1).sum(1).sort().values, eps.flatten(1).sum(1).sort().values)


def test_a_pairing_over_all_classes_gives_each_its_own_noise_and_one_within_classes_does_not() -> None:
    shift = {"ignore": [], "within": []}
    for _ in range(40):
        label = torch.arange(64) % 2
        x0 = 3.0 * (2.0 * label[:, None] - 1) + 0.1 * torch.randn(64, 1, generator=GENERATOR)
        eps, u = torch.randn(64, 1, generator=GENERATOR), torch.rand(64, generator=GENERATOR)
        for labels in ("ignore", "within"):
            made = OptimalTransport(labels).pair(x0, eps, {"label": label}, u)  # type: ignore[arg-type]
            shift[labels].append(float(made[label == 1].mean()))
    # half a normal distribution has the mean sqrt(2 / pi) = 0.80
    assert sum(shift["ignore"]) / 40 == pytest.approx(0.80, abs=0.05)
    assert abs(sum(shift["within"]) / 40) < 0.1


def test_sinkhorn_draws_from_a_plan_with_the_right_marginals() -> None:
    x0, eps, _ = batch(40, 2)
    logits = Sinkhorn(blur=0.2, iterations=500)._logits(torch.cdist(x0.double(), eps.double()).square())
    plan = torch.softmax(logits, dim=1) / 40
    assert torch.allclose(plan.sum(0), torch.full((40,), 1 / 40, dtype=torch.float64), atol=1e-6)
    # with less and less blur the plan becomes the assignment
    sharp = Sinkhorn(blur=2e-3, iterations=3000)
    half = torch.full((40,), 0.5)
    exact = OptimalTransport().pair(x0, eps, {}, half)
    assert cost(x0, sharp.pair(x0, eps, {}, half)) == pytest.approx(cost(x0, exact), rel=0.05)


def test_a_relaxed_plan_leaves_far_noise_unused() -> None:
    x0 = torch.zeros(8, 1)
    eps = torch.tensor([[0.0], [0.1], [-0.1], [0.2], [-0.2], [0.05], [-0.05], [30.0]])
    relaxed = torch.softmax(Sinkhorn(blur=0.05, relax=0.05)._logits(torch.cdist(x0, eps).double().square()), dim=1)
    balanced = torch.softmax(Sinkhorn(blur=0.05)._logits(torch.cdist(x0, eps).double().square()), dim=1)
    assert float(balanced[:, 7].sum()) == pytest.approx(1, abs=0.01)
    assert float(relaxed[:, 7].sum()) < 0.01


def test_within_sets_every_cloud_keeps_its_own_points() -> None:
    x0, eps, u = batch(3, 20, 3)
    made = WithinSets().pair(x0, eps, {}, u)
    for one, other in zip(made, eps, strict=True):
        assert torch.equal(one[one[:, 0].argsort()], other[other[:, 0].argsort()])
    assert cost(x0, made) < 0.8 * cost(x0, eps)


def test_within_sets_refuses_what_is_no_set() -> None:
    x0, eps, u = batch(3, 20)
    with pytest.raises(ValueError, match="sets of points"):
        WithinSets().pair(x0, eps, {}, u)


@pytest.mark.parametrize("name", COUPLINGS)
def test_a_pairing_is_a_function_of_its_arguments(name: str) -> None:
    x0, eps, u = batch(16, 10, 3)
    coupling = COUPLINGS[name]()
    label = {"label": torch.arange(16) % 3}
    assert torch.equal(coupling.pair(x0, eps, label, u), coupling.pair(x0, eps, label, u))
    assert coupling.pair(x0, eps, label, u).shape == eps.shape


def test_without_a_coupling_nothing_moves() -> None:
    x0, eps, u = batch(5, 2)
    assert Independent().pair(x0, eps, {}, u) is eps


@pytest.mark.parametrize("options", [{"blur": 0.0}, {"relax": -1.0}, {"iterations": 0}])
def test_options_outside_their_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0, and iterations at least 1"):
        Sinkhorn(**options)  # type: ignore[arg-type]
