"""The gradient-noise scale is exact on average, and a run with shards reports and resumes it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
import torch
from test_choices import stop_at
from torch import Tensor, nn
from trial import Start, assert_bit_equal

from ptdiff.training.noise_scale import NoiseScale, squared_norm
from ptdiff.training.shards import Shards


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


class Linear(nn.Module):
    """The loss w.z of a sample z: its gradient is z itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))

    def forward(self, z: Tensor) -> Tensor:
        return z[:, :2] @ self.first + z[:, 2] * self.last


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("batch", [4, 5])
def test_the_mean_over_all_batches_is_the_noise_and_the_signal(batch: int) -> None:
    # three equally likely gradients: all 3^b batches of b are drawn, and the parts of 5 are 3 and 2
    z = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0], [2.0, 1.0, 1.0]])
    network, sums = Linear(), torch.zeros(3, dtype=torch.float64)
    shards = Shards(2, network)
    try:
        batches = list(itertools.product(range(3), repeat=batch))
        for chosen in batches:
            x, scale = z[list(chosen)], NoiseScale(decay=0.0)
            shards.gradients(lambda rows, x=x: network(x[rows]), batch, scale)  # type: ignore[misc]
            sums += scale.sums
    finally:
        shards.close()
    noise, signal, _ = (sums / len(batches)).tolist()
    assert noise == pytest.approx(float(z.var(dim=0, correction=0).sum()), rel=1e-5)
    assert signal == pytest.approx(float(z.mean(dim=0).square().sum()), rel=1e-5)


def test_estimates_are_averaged_before_they_are_divided() -> None:
    scale = NoiseScale(decay=0.5)
    assert scale.value is None
    one = torch.ones((), dtype=torch.float64)
    # parts of 2 and 2 with |g|^2 of 6 each and 4 together: S = 2 / (1/2 - 1/4) = 8, G^2 = 4 - 8/4 = 2
    scale.see([6 * one, 6 * one], [2, 2], 4 * one)
    assert scale.value == pytest.approx(4.0)
    # S = 4, G^2 = 9
    scale.see([11 * one, 11 * one], [2, 2], 10 * one)
    assert scale.value == pytest.approx((8 / 4 + 4 / 2) / (2 / 4 + 9 / 2))
    before = scale.sums
    scale.see([torch.nan * one, one], [2, 2], one)
    assert torch.equal(scale.sums, before)


def test_the_squared_norm_is_that_of_all_tensors_together() -> None:
    assert float(squared_norm([torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])])) == pytest.approx(25.0)


@pytest.mark.usefixtures("two_threads")
def test_a_run_with_shards_reports_it_and_goes_on_with_it(start: Start) -> None:
    whole, parted = (start(name, inner_steps=1, shards=2) for name in ("whole", "parted"))
    whole.fit()
    assert parted.fit(stop_at(17)).steps in (17, 18)
    assert parted.fit().steps == 40
    assert_bit_equal(whole.tensors(), parted.tensors())
    assert whole.state()["gradient_noise"] == parted.state()["gradient_noise"]
    last = json.loads((whole.run.path / "metrics.jsonl").read_text().splitlines()[-1])
    noise, signal, weight = whole.state()["gradient_noise"]
    assert weight == pytest.approx(1 - 0.99**5)
    assert last["gradient_noise_scale"] == (pytest.approx(noise / signal) if signal > 0 else None)


def test_a_run_without_shards_has_none(start: Start) -> None:
    trial = start(steps=3)
    trial.fit()
    assert "gradient_noise_scale" not in (trial.run.path / "metrics.jsonl").read_text()
    assert trial.state()["gradient_noise"] == [0.0, 0.0, 0.0]
