"""Data: units there and back, measured on the training samples, and kept as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ptdiff.modality.data import Data, TensorSplit


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_measured_data_has_mean_zero_and_unit_variance_in_model_units() -> None:
    x = normal(500, 40, 3) * 5 + torch.tensor([100.0, -3.0, 0.1])
    data = Data((40, 3), train=TensorSplit(x)).measured(keep=(-1,))
    z = data.normalize(x)
    assert z.mean(dim=(0, 1)).tolist() == pytest.approx([0, 0, 0], abs=1e-4)
    assert float(z.square().mean()) == pytest.approx(1, rel=1e-4)


def test_the_scale_is_one_number_so_that_no_axis_is_distorted() -> None:
    x = normal(500, 2) * torch.tensor([1.0, 7.0])
    data = Data((2,), train=TensorSplit(x)).measured(keep=(-1,))
    assert isinstance(data.scale, float)
    assert data.scale == pytest.approx(float((x - x.mean(dim=0)).square().mean().sqrt()), rel=1e-5)
    z = data.normalize(x)
    assert float(z[:, 1].std() / z[:, 0].std()) == pytest.approx(float(x[:, 1].std() / x[:, 0].std()), rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "keep", "kept"),
    [
        ((3, 8, 8), (-3,), (3, 1, 1)),
        ((3, 8, 8), (0,), (3, 1, 1)),
        ((10, 3), (-1,), (3,)),
        ((10, 3), (1,), (3,)),
        ((5,), (), (1,)),
    ],
)
def test_the_mean_is_kept_apart_along_the_axes_named(
    shape: tuple[int, ...], keep: tuple[int, ...], kept: tuple[int, ...]
) -> None:
    x = normal(50, *shape) + 3
    data = Data(shape, train=TensorSplit(x)).measured(keep=keep)
    mean = torch.tensor(data.mean)
    assert tuple(mean.shape) == kept
    axes = [a for a in range(len(shape)) if a not in keep and a - len(shape) not in keep]
    expected = x.mean(dim=[0, *(a + 1 for a in axes)])
    assert torch.allclose(mean.flatten(), expected.flatten(), atol=1e-4)


def test_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="axes"):
        Data((4, 2), train=TensorSplit(normal(5, 4, 2))).measured(keep=(-3,))


@given(
    mean=st.floats(-1e3, 1e3) | st.tuples(*[st.floats(-1e3, 1e3)] * 3),
    scale=st.floats(1e-3, 1e3),
    unordered=st.booleans(),
    classes=st.lists(st.text(max_size=8), max_size=4),
    spread=st.floats(1, 1e3),
)
@settings(deadline=None)
def test_facts_survive_json(mean: Any, scale: float, unordered: bool, classes: list[str], spread: float) -> None:
    data = Data((7, 3), tuple(classes), mean, scale, unordered, summary={"text": "seven"}, spread=spread)
    again = Data.from_facts(json.loads(json.dumps(data.facts())))
    assert again == data
    x = normal(2, 7, 3)
    assert torch.equal(again.normalize(x), data.normalize(x))


@given(st.floats(-100, 100), st.floats(0.01, 100))
@settings(deadline=None)
def test_world_undoes_normalize(mean: float, scale: float) -> None:
    data = Data((3,), mean=mean, scale=scale)
    x = normal(20, 3).double()
    assert torch.allclose(data.world(data.normalize(x)), x, atol=1e-9)
    assert data.normalize(torch.full((1, 3), mean, dtype=torch.float64)).abs().max() < 1e-12


def test_units_keep_the_type_of_the_tensor() -> None:
    data = Data((3,), mean=(1.0, 2.0, 3.0), scale=2.0)
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert data.normalize(torch.zeros(2, 3, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("x", [torch.ones(5, 2), torch.full((5, 2), float("nan")), torch.full((5, 2), float("inf"))])
def test_data_without_spread_or_not_finite_is_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match="constant or not finite"):
        Data((2,), train=TensorSplit(x)).measured()


@pytest.mark.parametrize("train", [None, TensorSplit(torch.zeros(0, 2))])
def test_nothing_cannot_be_measured(train: TensorSplit | None) -> None:
    with pytest.raises(ValueError, match="without training samples"):
        Data((2,), train=train).measured()


class Endless:
    """More samples than float32 can count; remembers which were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = torch.empty(0)

    def __len__(self) -> int:
        return self.count

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Any]:
        self.asked = ids
        return normal(len(ids), 2), {}


@pytest.mark.parametrize("count", [1, 2, 100, 4097, 2**25 + 3, 10**12 + 7])
def test_samples_are_measured_from_the_first_to_the_last(count: int) -> None:
    samples = Endless(count)
    Data((2,), train=samples).measured()
    assert len(samples.asked) == min(count, 4096)
    assert int(samples.asked[0]) == 0
    assert int(samples.asked[-1]) == count - 1
    assert (samples.asked[1:] > samples.asked[:-1]).all()


def test_tensor_samples_give_rows_with_their_labels() -> None:
    samples = TensorSplit(normal(6, 2), torch.arange(6))
    x, cond = samples.batch(torch.tensor([4, 1, 1]), seed=9)
    assert torch.equal(x, samples.x[[4, 1, 1]])
    assert cond["label"].tolist() == [4, 1, 1]
    assert TensorSplit(normal(6, 2)).batch(torch.tensor([0]), 0)[1] == {}
    with pytest.raises(ValueError, match="6 samples but 5 labels"):
        TensorSplit(normal(6, 2), torch.arange(5))


def test_a_single_number_per_sample_is_data_too() -> None:
    data = Data((), train=TensorSplit(normal(400) * 3 + 1)).measured()
    assert data.scale == pytest.approx(3, rel=0.1)
    assert Data.from_facts(json.loads(json.dumps(data.facts()))).mean == data.mean


def test_facts_without_a_spread_open_with_that_of_a_single_number() -> None:
    facts = Data((2,), spread=3.0).facts()
    del facts["spread"]
    assert Data.from_facts(facts).spread == 1


def spread(x: Tensor, unordered: bool = False) -> float:
    return Data(tuple(x.shape[1:]), train=TensorSplit(x), unordered=unordered).measured().spread


def test_the_spread_is_that_of_the_first_principal_component() -> None:
    stds = torch.ones(64)
    stds[5] = 20.0
    rotated = torch.linalg.qr(normal(64, 64, seed=1))[0]
    x = 100 + 7 * (normal(4000, 64) * stds) @ rotated
    exact = 20 / float(stds.square().mean().sqrt())
    assert exact > 7
    assert spread(x) == pytest.approx(exact, rel=0.1)
    assert spread(x) == spread(x)
    # one direction alone: the square root of the dimension
    assert spread(normal(4000, 1) * torch.ones(64)) == pytest.approx(8, rel=0.1)


def test_noise_in_many_dimensions_is_not_taken_for_a_direction() -> None:
    noise = normal(600, 2000)
    largest = float(torch.linalg.matrix_norm(noise / noise.shape[0] ** 0.5, ord=2))
    assert largest > 2.5
    assert spread(noise) == pytest.approx(1, abs=0.1)
    bright = noise + 0.3 * normal(600, 1, seed=1)
    assert spread(bright) == pytest.approx(((1 + 2000 * 0.09) / 1.09) ** 0.5, rel=0.15)


def test_classes_in_turn_are_seen_on_both_halves() -> None:
    sides = torch.tensor([[3.0], [-3.0]]).repeat(200, 1)
    assert spread(sides + normal(400, 30)) == pytest.approx(((1 + 30 * 9) / 10) ** 0.5, rel=0.1)


def test_sets_are_as_wide_as_what_all_their_elements_do_together() -> None:
    points, shift = normal(600, 100, 3), normal(600, 1, 3, seed=1)
    assert spread(points, unordered=True) == pytest.approx(1, abs=0.1)
    assert spread(points + 0.5 * shift, unordered=True) == pytest.approx((26 / 1.25) ** 0.5, rel=0.15)
    # an order is meaningless: what each place has of its own is the width of an element, not a direction of the whole
    places = 3 * normal(600, 1, 1, seed=2) * torch.sign(normal(1, 100, 1, seed=3)) + points
    order = torch.Generator().manual_seed(0)
    shuffled = torch.stack([row[torch.randperm(100, generator=order)] for row in places])
    assert spread(shuffled, unordered=True) == pytest.approx(spread(places, unordered=True), rel=1e-4)
    assert spread(places) > 2 * spread(places, unordered=True)
    # flat elements: the axes of a single one
    flat = points * torch.tensor([5.0, 1.0, 0.1])
    assert spread(flat, unordered=True) == pytest.approx(5 / (26.01 / 3) ** 0.5, rel=0.1)


def test_too_few_samples_or_no_spread_along_them_leave_one() -> None:
    assert spread(normal(3, 50)) == 1
    assert spread(torch.tensor([0.0, 1.0]).repeat(8, 1)) == 1
    assert spread(torch.tensor([0.0, 1.0]).repeat(8, 1), unordered=True) == 1
