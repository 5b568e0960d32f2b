"""Groups of entries of the last axis have a scale of their own."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from ptdiff.likelihood.bits import world_nats
from ptdiff.modality import Data, RaggedSplit, TensorSplit

UNITS = torch.tensor([5.0, 5.0, 5.0, 0.01, 300.0, 300.0])
"""Standard deviations of three coordinates, a charge and two further numbers."""


def columns(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 6, generator=torch.Generator().manual_seed(0)) * UNITS + 2 * UNITS


def test_every_group_has_unit_variance_and_one_scale() -> None:
    x = columns(400, 5)
    data = Data((5, 6), unordered=True, train=TensorSplit(x)).measured(keep=(-1,), groups=(3, 1, 2))
    z = data.normalize(x).double()
    for part in (z[..., :3], z[..., 3:4], z[..., 4:]):
        assert float(part.square().mean()) == pytest.approx(1.0, abs=1e-4)
    scale = torch.tensor(data.scale)
    assert scale.shape == (6,) and torch.equal(scale[:2], scale[1:3]) and scale[4] == scale[5]
    torch.testing.assert_close(scale, UNITS, rtol=0.05, atol=0)
    torch.testing.assert_close(data.world(data.normalize(x)), x, rtol=1e-5, atol=1e-5)


def test_without_groups_the_scale_stays_one_number_and_small_units_vanish() -> None:
    x = columns(400)
    data = Data((6,), train=TensorSplit(x)).measured(keep=(-1,))
    assert isinstance(data.scale, float)
    assert float(data.normalize(x)[:, 3].std()) < 1e-3


def test_padding_of_sets_has_no_part_in_the_scales() -> None:
    sets = [columns(n) for n in (2, 5, 3, 7, 4, 6)]
    ragged = Data((7, 6), unordered=True, train=RaggedSplit(sets)).measured(keep=(-1,), groups=(3, 1, 2))
    dense = Data((6,), train=TensorSplit(torch.cat(sets))).measured(keep=(-1,), groups=(3, 1, 2))
    torch.testing.assert_close(torch.tensor(ragged.scale), torch.tensor(dense.scale))
    torch.testing.assert_close(torch.tensor(ragged.mean), torch.tensor(dense.mean))


def test_scales_come_back_from_the_run_folder() -> None:
    data = Data((6,), train=TensorSplit(columns(400))).measured(keep=(-1,), groups=(3, 1, 2))
    again = Data.from_facts(json.loads(json.dumps(data.facts())))
    assert again.scale == data.scale and again.mean == data.mean


@pytest.mark.parametrize("groups", [(3, 1), (3, 1, 3), (6, 0), (7, -1)])
def test_groups_that_are_not_the_last_axis_are_refused(groups: Any) -> None:
    with pytest.raises(ValueError, match="must add up to the last axis"):
        Data((6,), train=TensorSplit(columns(20))).measured(groups=groups)


def test_a_constant_group_is_named_where_one_scale_would_hide_it() -> None:
    x = columns(20)
    x[:, 3] = 7.0
    data = Data((6,), train=TensorSplit(x))
    data.measured(keep=(-1,))
    with pytest.raises(ValueError, match=r"entries 3 \.\.\. 3 of the last axis: the data is constant"):
        data.measured(keep=(-1,), groups=(3, 1, 2))


@pytest.mark.parametrize("elements", [1, 4])
def test_a_density_in_world_units_counts_every_scale(elements: int) -> None:
    data = Data((6,), train=TensorSplit(columns(400))).measured(keep=(-1,), groups=(3, 1, 2))
    mean, scale = torch.tensor(data.mean).double(), torch.tensor(data.scale).double()
    x = columns(elements).double()
    squares, constant = ((x - mean) / scale).square(), math.log(2 * math.pi)
    unit = -0.5 * (squares + constant).sum()
    expected = -0.5 * (squares + constant + 2 * scale.log()).sum()
    torch.testing.assert_close(world_nats(unit[None], data, (elements, 6))[0], expected)
