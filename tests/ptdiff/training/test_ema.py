"""Averaged weights against a computation by hand."""

import pytest
import torch
from torch import nn

from ptdiff.training.ema import EMA, Power, Uniform, WarmUp


class Numbered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        self.register_buffer("running", torch.tensor(0.5, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(0))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.998])
def test_the_average_follows_the_warmed_up_formula(decay: float) -> None:
    module = Numbered()
    ema = EMA(module, decay)
    average = [1.0, -2.0]
    for n in range(25):
        with torch.no_grad():
            module.weight.copy_(torch.tensor([n + 2.0, (-1.5) ** n], dtype=torch.float64))
        ema.update()
        d = min(decay, (1 + n) / (10 + n))
        average = [d * a + (1 - d) * w for a, w in zip(average, [n + 2.0, (-1.5) ** n], strict=True)]
        assert ema.average["weight"].tolist() == pytest.approx(average, rel=1e-12)


def test_the_warm_up_begins_at_a_tenth_and_ends_at_the_decay() -> None:
    module = Numbered()
    ema = EMA(module, 0.5)
    with torch.no_grad():
        module.weight.zero_()
    ema.update()
    # after the first update a tenth of the first weights is left
    assert ema.average["weight"].tolist() == pytest.approx([0.1, -0.2])
    for _ in range(7):
        ema.update()
    before = ema.average["weight"].clone()
    ema.update()
    # (1 + 8) / (10 + 8) = 1/2
    assert torch.allclose(ema.average["weight"], before / 2)
    ema.update()
    assert torch.allclose(ema.average["weight"], before / 4)


def test_float_buffers_are_averaged_and_integers_copied() -> None:
    module = Numbered()
    ema = EMA(module, 0.9)
    module.running.fill_(1.5)
    module.count.fill_(7)
    ema.update()
    assert float(ema.average["running"]) == pytest.approx(0.1 * 0.5 + 0.9 * 1.5)
    assert int(ema.average["count"]) == 7


def test_loading_goes_on_as_if_nothing_had_happened() -> None:
    one, two = Numbered(), Numbered()
    a, b = EMA(one, 0.9), EMA(two, 0.9)

    def move(module: Numbered, n: int) -> None:
        with torch.no_grad():
            module.weight.fill_(n)

    for n in range(5):
        move(one, n)
        a.update()
    b.load({k: v.clone() for k, v in a.average.items()}, a.updates)
    for n in range(5, 9):
        for module, ema in ((one, a), (two, b)):
            move(module, n)
            ema.update()
    assert torch.equal(a.average["weight"], b.average["weight"])


def test_the_average_does_not_share_memory_with_the_weights() -> None:
    module = Numbered()
    ema = EMA(module, 0.9)
    with torch.no_grad():
        module.weight.fill_(9.0)
    assert ema.average["weight"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, float("nan")])
def test_a_decay_outside_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        EMA(Numbered(), decay)


def test_a_power_average_weighs_the_past_like_its_profile() -> None:
    schedule = Power(0.1)
    n = 2000
    weight = torch.zeros(n, dtype=torch.float64)
    for k in range(n):
        decay = schedule.keep(k)
        weight *= decay
        weight[k] = 1 - decay
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    assert float(weight.sum()) == pytest.approx(1)
    mean = float((weight * t).sum())
    assert float((weight * (t - mean) ** 2).sum().sqrt()) == pytest.approx(0.1, rel=1e-3)


def test_the_warm_up_reaches_its_largest_decay_and_starts_where_it_is_told() -> None:
    schedule = WarmUp(inverse_gamma=1, power=1, max=0.9, start=5)
    assert [schedule.keep(n) for n in (0, 5)] == [0.0, 0.0]
    assert schedule.keep(6) == pytest.approx(0.5)
    assert schedule.keep(8) == pytest.approx(0.75)
    assert schedule.keep(10_000) == 0.9


def test_a_power_average_forgets_the_first_weights_at_once() -> None:
    module = Numbered()
    ema = EMA(module, Power(0.05))
    with torch.no_grad():
        module.weight.fill_(4.0)
    ema.update()
    assert ema.average["weight"].tolist() == [4.0, 4.0]


def test_a_uniform_average_is_the_mean_of_all_weights_from_its_start_on() -> None:
    module = Numbered()
    ema = EMA(module, Uniform(start=4))
    seen = []
    for n in range(20):
        with torch.no_grad():
            module.weight.copy_(torch.tensor([n**1.5, (-1.2) ** n], dtype=torch.float64))
        ema.update()
        seen.append(module.weight.detach().clone())
        mean = torch.stack(seen[4:]).mean(dim=0) if n >= 4 else seen[-1]
        assert torch.allclose(ema.average["weight"], mean, rtol=1e-12)
    with pytest.raises(ValueError, match="start"):
        Uniform(start=-1)
