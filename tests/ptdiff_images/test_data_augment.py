"""Augmented images: what moves where, what the network is told, and that nothing leaks or depends on the batch."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ptdiff_images import Images
from ptdiff_images.data.augment import AUGMENT_LABELS, Augmentation

IDS = torch.arange(400)
AT = {name: column for column, name in enumerate(AUGMENT_LABELS)}


def blobs(count: int, size: int = 33) -> Tensor:
    """A Gaussian spot in the upper left of the middle, the same in each image."""
    down, across = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    spot = torch.exp(-((across - 11.0) ** 2 + (down - 13.0) ** 2) / 8)
    return spot.expand(count, 1, size, size).clone()


def center(x: Tensor) -> Tensor:
    """The center of mass (b, 2) of images (b, 1, h, w), across and down from the middle."""
    weight = x[:, 0].double() / x[:, 0].double().sum(dim=(1, 2), keepdim=True)
    place = torch.arange(x.shape[-1]).double() - (x.shape[-1] - 1) / 2
    return torch.stack([(weight.sum(dim=1) * place).sum(dim=1), (weight.sum(dim=2) * place).sum(dim=1)], dim=1)


def expected(label: Tensor, start: Tensor) -> Tensor:
    """Where a point (2,) from the middle goes, from the labels (b, 9) alone, by matrices."""
    out = []
    for row in label.double().numpy():
        told = dict(zip(AUGMENT_LABELS, row, strict=True))
        point = start.double().numpy() * [1 - 2 * told["flip"], 1]
        point = point * 2 ** (told["scale"] / 5)
        cos, sin = told["turn_cos"] + 1, told["turn_sin"]
        point = np.array([[cos, -sin], [sin, cos]]) @ point
        # the logarithm of the stretch is symmetric, without a trace
        log = (
            math.log(2)
            / 5
            * np.array([[told["stretch_cos"], told["stretch_sin"]], [told["stretch_sin"], -told["stretch_cos"]]])
        )
        values, vectors = np.linalg.eigh(log)
        point = vectors @ np.diag(np.exp(values)) @ vectors.T @ point
        out.append(point + 33 / 8 * np.array([told["shift_x"], told["shift_y"]]))
    return torch.tensor(np.array(out))


def test_the_labels_tell_where_everything_went() -> None:
    x = blobs(len(IDS))
    moved, label = Augmentation(labeled=0.5)(x, IDS, 3)
    light = label[:, AT["brightness"], None, None, None] / 5
    there = expected(label, center(x[:1])[0])
    near = there.abs().amax(dim=1) < 9  # the whole spot is inside
    assert near.sum() > 150
    found = center((moved - light)[near])
    # a few show the spot twice: beyond the edge the image goes on mirrored
    assert float((found - there[near]).norm(dim=1).quantile(0.75)) < 0.1
    # and they do go somewhere
    assert float((found - center(x[:1])).norm(dim=1).median()) > 2


def test_each_change_happens_with_its_probability_and_else_its_label_is_zero() -> None:
    label = Augmentation(labeled=0.12)(blobs(8000, 3), torch.arange(8000), 1)[1]
    share = (label != 0).double().mean(dim=0)
    for name in ("scale", "turn_sin", "stretch_cos", "shift_x", "brightness"):
        assert float(share[AT[name]]) == pytest.approx(0.12, abs=4 * math.sqrt(0.12 * 0.88 / 8000))
    assert float(share[AT["flip"]]) == pytest.approx(0.06, abs=4 * math.sqrt(0.06 * 0.94 / 8000))
    drawn = label[label[:, AT["scale"]] != 0, AT["scale"]].double()
    assert float(drawn.mean()) == pytest.approx(0, abs=4 / math.sqrt(len(drawn)))
    assert float(drawn.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * len(drawn)))
    together = ((label[:, AT["scale"]] != 0) & (label[:, AT["shift_x"]] != 0)).double().mean()
    assert float(together) == pytest.approx(0.12**2, abs=4 * 0.12 / math.sqrt(8000))


def test_images_with_labels_of_zero_are_untouched_to_the_bit() -> None:
    x = torch.rand(len(IDS), 3, 8, 8, generator=torch.Generator().manual_seed(0))
    same, label = Augmentation(labeled=0.12)(x, IDS, 2)
    still = (label == 0).all(dim=1)
    assert 100 < still.sum() < 300
    assert torch.equal(same[still], x[still])
    assert not (same[~still] == x[~still]).flatten(1).all(dim=1).any()


def test_mirrored_images_are_exact_and_every_other_one() -> None:
    x = torch.rand(len(IDS), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y, label = Augmentation(flip=True)(x, IDS, 2)
    mirrored = (y == x.flip(-1)).flatten(1).all(dim=1)
    assert torch.equal(y[~mirrored], x[~mirrored])
    assert 160 < mirrored.sum() < 240
    assert not label.any()


def test_turning_stays_within_its_degrees_and_is_even() -> None:
    x = blobs(len(IDS))
    y, label = Augmentation(rotate=5.0)(x, IDS, 2)
    a, b = center(x), center(y)
    angle = torch.rad2deg(torch.atan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(dim=1)))
    assert float(angle.abs().max()) < 5.4  # of the center of a spot on a grid
    assert float(angle.abs().max()) > 4.5
    assert abs(float(angle.mean())) < 4 * 5 / math.sqrt(3 * len(IDS))
    assert float((a.norm(dim=1) - b.norm(dim=1)).abs().max()) < 0.05
    assert not label.any()


def test_a_row_is_the_same_alone_in_a_batch_and_in_any_order_and_new_with_every_seed() -> None:
    x = torch.rand(37, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    how, ids = Augmentation(flip=True, rotate=20, labeled=0.5), torch.arange(37) * 1000
    y, label = how(x, ids, 7)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(1))
    other, told = how(x[order], ids[order], 7)
    assert torch.equal(other, y[order])
    assert torch.equal(told, label[order])
    for row in (0, 20, 36):
        alone, _ = how(x[row : row + 1], ids[row : row + 1], 7)
        assert torch.equal(alone[0], y[row])
    assert not torch.equal(how(x, ids, 8)[1], label)


def test_values_are_cut_off_before_the_light_is_turned_up() -> None:
    x = (torch.rand(200, 1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    y, label = Augmentation(labeled=0.6)(x, torch.arange(200), 0)
    plain = y - label[:, -1, None, None, None] / 5
    assert float(plain.min()) > -1e-6
    assert float(plain.max()) < 1 + 1e-6


def test_the_training_set_tells_the_network_and_what_is_held_out_stays() -> None:
    plain, changed = Images().dataset(), Images(augment=0.5, rotate=3).dataset()
    assert (changed.mean, changed.scale) == (plain.mean, plain.scale)
    for data in (plain, changed):
        assert data.train is not None and data.val is not None
    assert plain.train is not None and changed.train is not None and plain.val is not None and changed.val is not None
    x, cond = changed.train.batch(torch.arange(16), 1)
    assert cond["augment"].shape == (16, len(AUGMENT_LABELS))
    assert cond["augment"].dtype == torch.float32
    assert torch.equal(cond["label"], plain.train.batch(torch.arange(16), 1)[1]["label"])
    assert not torch.equal(x, plain.train.batch(torch.arange(16), 1)[0])
    (held, told), (still, _) = (data.val.batch(torch.arange(16), 1) for data in (changed, plain) if data.val)
    assert torch.equal(held, still)
    assert "augment" not in told
    assert "augment" not in Images(rotate=3, flip=True).dataset().train.batch(torch.arange(4), 0)[1]  # type: ignore[union-attr]


def test_the_network_takes_the_labels_and_none_are_zeros() -> None:
    kind = Images(augment=0.12, size="tiny")
    data = kind.dataset()
    assert data.train is not None
    network = kind.backbone(data)
    with torch.no_grad():
        for parameter in network.parameters():  # layers start at zero
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.05)
    x, cond = data.train.batch(torch.arange(4), 0)
    angle = torch.full((4,), 0.7)
    label = {"label": cond["label"]}
    none = network(x, angle, label)
    zeros = network(x, angle, {**label, "augment": torch.zeros(4, len(AUGMENT_LABELS))})
    other = network(x, angle, {**label, "augment": torch.ones(4, len(AUGMENT_LABELS))})
    assert torch.equal(none, zeros)
    assert not torch.allclose(none, other, atol=1e-4)
