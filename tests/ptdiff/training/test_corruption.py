"""The noise of training: an offset is shared along its axes and leaves the other numbers as they are."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ptdiff.choices import choose
from ptdiff.objective.corruption import NOISES, Gaussian, Offset

IDS = torch.arange(3000)
AT = torch.full((3000,), 7)


def test_an_offset_is_added_to_the_noise_that_is_drawn_without_it() -> None:
    plain = Gaussian().draw(5, IDS, AT, (6, 3))
    shifted = Offset(0.25).draw(5, IDS, AT, (6, 3))
    shift = (shifted - plain) / 0.25
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), atol=2e-5, rtol=0)
    assert abs(float(shift[:, 0].mean())) < 4 / math.sqrt(9000)
    assert abs(float(shift[:, 0].var()) - 1) < 4 * math.sqrt(2 / 9000)
    # independent of the noise, and of one coordinate to the next
    together = torch.cat([shift[:, 0], plain.flatten(1)], dim=1)
    off = torch.corrcoef(together.T) - torch.eye(21)
    assert float(off.abs().max()) < 5 / math.sqrt(3000)


def test_axes_say_what_shares_an_offset() -> None:
    image = Offset(1.0, (1, 2)).draw(0, IDS[:4], AT[:4], (3, 5, 4)) - Gaussian().draw(0, IDS[:4], AT[:4], (3, 5, 4))
    torch.testing.assert_close(image, image[:, :, :1, :1].expand_as(image))
    assert len(image[:, :, 0, 0].flatten().unique()) == 12


def test_offset_noise_is_addressed() -> None:
    whole = Offset().draw(1, IDS[:8], AT[:8], (4, 3))
    assert torch.equal(whole[5:6], Offset().draw(1, IDS[5:6], AT[5:6], (4, 3)))
    assert not torch.equal(whole, Offset().draw(2, IDS[:8], AT[:8], (4, 3)))


@pytest.mark.parametrize(
    "choice",
    [{"strength": -1}, {"strength": math.nan}, {"axes": ()}, {"axes": (0, 0)}, {"axes": (-1,)}, {"strenght": 1}],
)
def test_impossible_offsets_are_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="noise"):
        choose("noise", NOISES, {"name": "offset", **choice})


def test_axes_that_the_data_do_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="needs data with these axes"):
        Offset(axes=(2,)).draw(0, IDS, AT, (6, 3))
