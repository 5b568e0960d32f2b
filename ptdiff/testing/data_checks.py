"""Checks of everything around the network: options, samples, scale, pictures, files, metrics."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from ptdiff.choices import build
from ptdiff.modality.conditions import absent, is_given
from ptdiff.modality.data import Data
from ptdiff.modality.ragged import masked, padded, sets_of
from ptdiff.modality.types import Comparison, EvaluationProtocol
from ptdiff.modality.visualizer import Visualizer
from ptdiff.testing.subject import BATCH, Subject


def options_are_a_frozen_dataclass_of_plain_values(subject: Subject) -> None:
    """Check that options survive config.yaml: fields with JSON values, restored by the validation of the registry."""
    # parameters of the class itself: an undecorated class inherits those of the contract and has no options
    declared = vars(type(subject.modality)).get("__dataclass_params__")
    assert declared is not None and declared.frozen, "declare the modality with @dataclass(frozen=True)"
    options = json.loads(json.dumps(dataclasses.asdict(subject.modality)))
    again = build(type(subject.modality).__name__, type(subject.modality), options)
    assert again == subject.modality, f"options do not survive JSON: {options}"


def batches_have_the_declared_shape(subject: Subject) -> None:
    """Check that batches are float32 (b, *shape), finite, with integer labels that have names."""
    import torch

    x, cond = subject.batch()
    assert tuple(x.shape) == (BATCH, *subject.data.shape), (
        f"a batch has shape {tuple(x.shape)}, but the data declares samples of shape {subject.data.shape}"
    )
    assert x.dtype == torch.float32, f"samples must be float32, not {x.dtype}"
    assert bool(torch.isfinite(x).all()), "samples are not finite"
    mask = cond.get("mask")
    assert (mask is None) == (not subject.data.sizes), (
        "batches of sets of different sizes have a mask, and their sizes are measured by Data(...).measured()"
    )
    if mask is not None:
        assert mask.dtype == torch.bool and mask.shape == x.shape[:2], "a mask must be bool (b, n)"
        assert bool(mask[:, 0].all() and not (mask[:, 1:] & ~mask[:, :-1]).any()), (
            "a mask must have at least one element, and padding only after the elements"
        )
    for key, value in cond.items():
        assert len(value) == BATCH, f"condition {key!r} has {len(value)} rows for {BATCH} samples"
    if subject.data.classes:
        assert "label" in cond, "data with classes must give each sample a 'label'"
        inside = (cond["label"] >= -1) & (cond["label"] < len(subject.data.classes))
        assert cond["label"].dtype == torch.int64 and bool(inside.all()), (
            "labels must be int64 in [-1, number of classes)"
        )


def conditions_are_as_declared(subject: Subject) -> None:
    """Check that batches have the conditions that the data declares, with their type, shape and range."""
    _, cond = subject.batch()
    for name, kind in subject.data.conditions.items():
        assert name in cond, f"the data declares the condition {name!r}, but a batch has none"
        value, like = cond[name], absent(kind, BATCH)
        assert value.dtype == like.dtype and value.shape == like.shape, (
            f"condition {name!r} must be {like.dtype} of shape {tuple(like.shape)}, not {value.dtype} of "
            f"{tuple(value.shape)}"
        )
        for row in value[is_given(value)].tolist():
            try:
                kind.parsed(name, row)
            except ValueError as error:
                raise AssertionError(f"a sample has a condition that could not be asked for: {error}") from error
    again = Data.from_facts(json.loads(json.dumps(subject.data.facts())))
    assert again.conditions == dict(subject.data.conditions), "the declared conditions do not survive JSON"


def samples_are_a_pure_function_of_id_and_seed(subject: Subject) -> None:
    """Check that the same ids and seed give the same rows: alone, repeatedly and in another order."""
    import torch

    x, _ = subject.batch(seed=5)
    assert subject.data.train is not None
    again = subject.rows(torch.arange(BATCH) % len(subject.data.train), 5)
    assert torch.equal(x, again), (
        "the same (ids, seed) gave different samples: something draws from a global random state"
    )
    order = torch.tensor([2, 0, 3, 1])
    shuffled = subject.rows(order % len(subject.data.train), 5)
    assert torch.equal(shuffled, x[order]), "a sample depends on its place in the batch"
    alone = subject.rows(torch.tensor([2 % len(subject.data.train)]), 5)
    assert torch.equal(alone, x[2:3]), "a sample depends on other samples in its batch"


def normalized_data_has_unit_variance(subject: Subject) -> None:
    """Check that data in model units has mean near zero and variance near one, as the core assumes."""
    import torch

    train = subject.data.train
    assert train is not None
    count = min(512, len(train))
    ids = torch.div(torch.arange(count) * len(train), count, rounding_mode="floor")
    x, cond = train.batch(ids, 0)
    elements = subject.data.normalize(x).double()
    z = elements[cond["mask"]] if "mask" in cond else elements
    assert abs(float(z.mean())) < 0.3, f"normalized data has mean {float(z.mean()):.3f}: use Data(...).measured()"
    spread = float(z.square().mean().sqrt())
    assert 0.7 < spread < 1.4, f"normalized data has standard deviation {spread:.3f}: use Data(...).measured()"
    back = masked(subject.data.world(subject.data.normalize(x)), cond.get("mask"))
    assert torch.allclose(back, masked(x, cond.get("mask")), rtol=1e-4, atol=1e-4), "world(normalize(x)) is not x"


def splits_do_not_share_samples(subject: Subject) -> None:
    """Check that no validation sample equals a training sample."""
    import torch

    train, val = subject.data.train, subject.data.val
    if val is None or train is None or not len(val):
        return
    ids = torch.arange(min(16, len(val)))
    x, cond = val.batch(ids, 0)
    mine = masked(x, cond.get("mask")).flatten(1)
    theirs = subject.rows(torch.arange(min(512, len(train)))).flatten(1)
    same = (mine[:, None] == theirs[None]).all(-1)
    assert not bool(same.any()), "val contains samples of train"


def _padded(subject: Subject) -> Any:
    x, cond = subject.batch()
    return padded(x, cond.get("mask")).numpy()


def pictures_are_pictures(subject: Subject) -> None:
    """Check that the visualizer turns samples in world units into a uint8 RGB image."""
    import numpy as np

    visualizer = subject.modality.visualizer()
    assert isinstance(visualizer, Visualizer), "visualizer() must return a ptdiff.modality.Visualizer"
    x = sets_of(_padded(subject))
    for titles in ([], ["one", "two", "three", "four"]):
        image = visualizer.sheet(x, titles)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, "a picture must be uint8 (h, w, 3)"
    assert int(image.min()) < int(image.max()), "the picture is empty"


def files_are_written(subject: Subject) -> None:
    """Check that every file format writes a file that is not empty."""
    x = sets_of(_padded(subject))
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in subject.modality.formats().items():
            assert not suffix.startswith("."), f"name the format {suffix!r} without the dot"
            path = Path(folder) / f"sample.{suffix}"
            write(path, x[0])
            assert path.is_file() and path.stat().st_size > 0, f"format {suffix} wrote nothing"
        for suffix, tabulate in subject.modality.tables().items():
            assert not suffix.startswith("."), f"name the format {suffix!r} without the dot"
            for classes in ([], ["one"] * len(x)):
                path = Path(folder) / f"all-{len(classes)}.{suffix}"
                tabulate(path, x, classes)
                assert path.is_file() and path.stat().st_size > 0, f"format {suffix} wrote nothing"


def the_recipe_fits_the_configuration(subject: Subject) -> None:
    """Check that recipe() has known keys with values of the right type."""
    from ptdiff.run.config import merged, validate

    validate(merged({"modality": "it"}, subject.modality.recipe()))


def metrics_know_a_good_set_from_a_bad_one(subject: Subject) -> None:
    """Check that some metric puts held-out samples closer to the floor than noise, and that intervals are ordered."""
    import torch

    train = subject.data.train
    assert train is not None
    count = min(16, len(train) // 3)
    if count < 4:
        return
    # interleaved, because data may be sorted by class
    batches = [train.batch(torch.arange(i, 3 * count, 3), 0) for i in range(3)]
    sets = [padded(x, cond.get("mask")) for x, cond in batches]
    noise = subject.data.world(torch.randn(sets[0].shape, generator=torch.Generator().manual_seed(0)) * 3)
    noise = padded(noise, batches[0][1].get("mask"))
    protocols = subject.modality.protocols()
    assert protocols, "protocols() is empty: the first one is the default"
    for name, protocol in protocols.items():
        assert isinstance(protocol, EvaluationProtocol), f"protocols() holds no EvaluationProtocol under {name!r}"
    good = subject.modality.compare(Comparison(sets[0], sets[1], sets[2])).scores
    bad = subject.modality.compare(Comparison(noise, sets[1], sets[2])).scores
    assert good, "compare() returned no scores"
    for name, score in good.items():
        assert score.low <= score.high, f"{name}: the interval has low {score.low} above high {score.high}"
    told = [abs(good[name].value - good[name].floor) < abs(bad[name].value - bad[name].floor) for name in good]
    assert any(told), "no metric distinguishes noise from data"
