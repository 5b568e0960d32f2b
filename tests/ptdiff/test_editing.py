"""From samples to samples, against exact denoisers."""

import pytest
import torch

from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import SPACINGS
from ptdiff.inverse import METHODS
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, VE, Flow, VPCosine
from ptdiff.sampling.editing import between, complete, denoised, edit, encode, held, matched, onward
from ptdiff.sampling.sampler import Plan, walk
from ptdiff.solvers import SOLVERS

IDS = torch.arange(4000)
WIDE = Gaussian(torch.tensor([0.5, -0.5]), torch.tensor([1.2, 0.6]))


def data(ids: torch.Tensor = IDS) -> torch.Tensor:
    return WIDE.sample(3, ids)


@pytest.mark.parametrize("process", [Flow(), VE(), VPCosine()], ids=lambda process: type(process).__name__)
def test_strength_zero_returns_the_data_and_one_the_sample_that_would_be_drawn(process: object) -> None:
    plan = Plan(process, steps=8, seed=5)  # type: ignore[arg-type]
    x0 = data(IDS[:6])
    assert edit(WIDE, plan, x0, 0.0, IDS[:6], {}) is x0
    new = edit(WIDE, plan, x0, 1.0, IDS[:6], {})
    *_, end = walk(WIDE, plan, IDS[:6], (2,), {})
    assert torch.equal(new, end.x)


@pytest.mark.parametrize("solver", ["heun", "ddpm", "dpm++sde", "dpm++2m"])
def test_editing_keeps_the_distribution_and_forgets_more_the_stronger_it_is(solver: str) -> None:
    x0 = data()
    plan = Plan(VPCosine(), SOLVERS[solver](), steps=40, seed=1)
    kept = []
    for strength in (0.2, 0.5, 0.8):
        found = edit(WIDE, plan, x0, strength, IDS, {})
        assert found.mean(0).tolist() == pytest.approx([0.5, -0.5], abs=0.08)
        assert found.std(0).tolist() == pytest.approx([1.2, 0.6], rel=0.06)
        kept.append(float(torch.corrcoef(torch.stack([x0[:, 0], found[:, 0]]))[0, 1]))
    assert 1 > kept[0] > kept[1] + 0.1 > kept[2] + 0.2


def test_the_correlation_that_is_left_is_that_of_the_flow() -> None:
    # the flow scales x = alpha x_0 + sigma eps to the width s of the data: corr = alpha s / hypot(alpha s, sigma)
    plan = Plan(Flow(), SOLVERS["rk4"](), steps=60, seed=1)
    x0 = data()
    found = edit(WIDE, plan, x0, 0.5, IDS, {})
    s = torch.tensor([1.2, 0.6])
    for i in range(2):
        corr = float(torch.corrcoef(torch.stack([x0[:, i], found[:, i]]))[0, 1])
        # the angle pi / 4
        assert corr == pytest.approx(float(s[i] / torch.hypot(s[i], torch.tensor(1.0))), abs=0.02)


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_the_grid_of_a_strength_begins_at_its_angle_and_falls(name: str) -> None:
    process = PROCESSES[name]()
    for spacing in ("uniform", "log-snr"):
        assert spacing in SPACINGS
        plan = Plan(process, steps=12, spacing=spacing)
        first = float(plan.levels().angle[0])
        for strength in (0.1, 0.37, 0.9, float(plan.levels().angle[4]) / first):
            levels = onward(plan, strength)
            # a chain has levels of its own
            assert float(levels.angle[0]) == pytest.approx(strength * first, abs=0.02 if name == "chain" else 1e-6)
            assert (levels.angle[1:] < levels.angle[:-1]).all()
            assert float(levels.sigma[-1]) == 0


def test_classes_can_be_changed_on_the_way() -> None:
    two = Mixture(torch.tensor([[-2.0], [2.0]]), torch.full((2,), 0.5), torch.full((2,), 0.5), torch.tensor([0, 1]))
    x0 = torch.full((50, 1), -2.0)
    plan = Plan(VPCosine(), steps=20)
    there = edit(two, plan, x0, 0.9, IDS[:50], {"label": torch.ones(50, dtype=torch.int64)})
    back = edit(two, plan, x0, 0.9, IDS[:50], {"label": torch.zeros(50, dtype=torch.int64)})
    assert (there > 0).all() and (back < 0).all()


def test_strengths_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        edit(WIDE, Plan(Flow()), data(IDS[:2]), 1.5, IDS[:2], {})


def test_encoded_and_denoised_the_data_comes_back() -> None:
    x0 = data(IDS[:20])
    for steps, tolerance in ((20, 2e-3), (80, 1e-4)):
        plan = Plan(VPCosine(), steps=steps, spacing="log-snr")
        back = denoised(WIDE, plan, encode(WIDE, plan, x0, {}), plan.levels(), IDS[:20], {})
        assert (back - x0).abs().max() < tolerance
    with pytest.raises(ValueError, match="adds noise"):
        encode(WIDE, Plan(VPCosine(), SOLVERS["ddpm"]()), x0, {})


def test_a_path_has_its_ends_to_the_bit_and_noise_between() -> None:
    one, two = normal(0, Stream.START, torch.tensor([3, 8]), 0, (500, 3))
    path = between(one, two, 7)
    assert torch.equal(path[0], one) and torch.equal(path[-1], two)
    assert path.flatten(1).std(1).tolist() == pytest.approx([1.0] * 7, abs=0.05)
    steps = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    assert steps.max() < 1.05 * steps.min()
    with pytest.raises(ValueError, match="frames must be at least 2"):
        between(one, two, 1)


def test_matched_sets_are_the_same_in_the_best_order() -> None:
    x = normal(0, Stream.DATA, torch.tensor([0]), 0, (60, 3))[0]
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(matched(x, x[order]), x)
    other = normal(1, Stream.DATA, torch.tensor([0]), 0, (60, 3))[0]
    found = matched(x, other)
    assert torch.equal(found.sort(0).values, other.sort(0).values)
    assert (x - found).square().sum() < 0.5 * (x - other).square().sum()


@pytest.mark.parametrize(("method", "share"), [("replacement", 0.15), ("pigdm", 0.4), ("mmps", 0.7)])
def test_what_is_given_comes_back_and_the_rest_follows(method: str, share: float) -> None:
    # ten clouds of eight points: from three of them one knows which it is; by chance one in ten is right
    clouds = normal(0, Stream.DATA, torch.arange(10), 0, (8, 3))
    oracle = Mixture(clouds, torch.full((10,), 0.1), torch.full((10,), 0.1))
    plan, ids = Plan(VPCosine(), SOLVERS["ddpm"](), steps=40), torch.arange(30)
    found = complete(oracle, plan, METHODS[method](), clouds[6, :3], 8, ids, {})
    assert torch.equal(found[:, :3], clouds[6, :3].expand(30, 3, 3))
    rest = (found[:, 3:] - clouds[6, 3:]).square().mean((1, 2)).sqrt()
    assert (rest < 0.3).float().mean() >= share


def test_more_than_all_cannot_be_held() -> None:
    with pytest.raises(ValueError, match="between 1 and 4"):
        held(torch.zeros(5, 3), 4)
    seen = held(torch.ones(2, 3), 4)
    assert torch.equal(seen.operator(torch.full((1, 4, 3), 2.0)), 2 * seen.y)
