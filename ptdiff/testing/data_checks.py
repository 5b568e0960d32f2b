"""Checks of the data: facts, batches, splits and scale."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ptdiff.modality.conditions import absent, is_given
from ptdiff.modality.data import Data, Split
from ptdiff.modality.ragged import masked
from ptdiff.testing.subject import BATCH, Subject, assert_reported, checked, read, same_random_state, skip

if TYPE_CHECKING:
    from torch import Tensor

    Batch = tuple[Tensor, Mapping[str, Tensor]]

SEED = 2**63 - 1
"""The largest seed: training passes seeds of 63 bits."""

MANY = 512
"""Samples that checks of a whole split look at."""


def the_data_is_read(subject: Subject) -> None:
    """Check that dataset() returns a Data with training samples."""
    data = checked(subject.data_or_error)
    assert isinstance(data, Data), f"dataset() must return ptdiff.modality.Data, not {type(data).__name__}"
    assert len(subject.train) >= BATCH


def the_facts_survive_the_run_folder(subject: Subject) -> None:
    """Check that shape, classes, mean, scale and summary come back from the data.json of a run as they were."""
    facts = subject.data.facts()
    try:
        again = Data.from_facts(json.loads(json.dumps(facts))).facts()
    except (TypeError, ValueError, KeyError) as error:
        raise AssertionError(f"the facts of Data cannot be stored: {error}") from error
    for name, value in facts.items():
        if name != "samples":
            # tuples come back as lists
            assert json.dumps(again[name]) == json.dumps(value), f"{name} is {value} and comes back as {again[name]}"


def classes_have_names(subject: Subject) -> None:
    """Check that classes are distinct names, of which at least two occur."""
    import torch

    classes = subject.data.classes
    if not classes:
        skip("the data has no classes")
    assert all(isinstance(name, str) and name.strip() for name in classes), f"classes must be names, not {classes}"
    assert len(set(classes)) == len(classes), f"two classes have the same name: {', '.join(classes)}"
    found = {int(label) for label in _some(subject.train)[1].get("label", torch.tensor([])).flatten()}
    assert len(classes) == 1 or len(found - {-1}) > 1, "all training samples have the same label"


def batches_have_the_declared_shape(subject: Subject) -> None:
    """Check that batches of any size have the shape (b, *shape), and a mask if their sets have different sizes."""
    import torch

    for name, split in _splits(subject):
        for rows in (1, BATCH, 3 * BATCH):
            x, cond = split.batch(torch.arange(rows) % len(split), 0)
            assert tuple(x.shape) == (rows, *subject.data.shape), (
                f"a batch of {rows} samples of {name} has the shape {tuple(x.shape)}, but Data declares samples of "
                f"shape {subject.data.shape}"
            )
            _assert_mask(name, subject.data, x, cond.get("mask"))


def samples_are_finite_float32(subject: Subject) -> None:
    """Check that samples are float32 and contain no NaN and no infinity."""
    import torch

    for name, split in _splits(subject):
        x, _ = _some(split)
        assert x.dtype == torch.float32, f"samples of {name} must be float32, not {x.dtype}: x.float()"
        assert bool(torch.isfinite(x).all()), f"samples of {name} contain NaN or infinity"


def every_sample_has_its_conditions(subject: Subject) -> None:
    """Check that every batch has the same conditions, one row for each sample."""
    import torch

    expected: set[str] | None = None
    for name, split in _splits(subject):
        for ids in (torch.arange(BATCH) % len(split), torch.tensor([len(split) - 1])):
            _, cond = split.batch(ids, 0)
            for key, value in cond.items():
                assert isinstance(value, torch.Tensor) and value.ndim and len(value) == len(ids), (
                    f"condition {key!r} of {name} must be a tensor with {len(ids)} rows for {len(ids)} samples"
                )
            # absent for samples without augmentation, such as held-out ones
            keys = set(cond) - {"augment"}
            expected = keys if expected is None else expected
            assert keys == expected, (
                f"batches have different conditions: {sorted(expected)} and, in {name}, {sorted(keys)}"
            )


def labels_are_those_of_the_classes(subject: Subject) -> None:
    """Check that data with classes has labels, int64 from -1 to the last class, and other data has none."""
    import torch

    count = len(subject.data.classes)
    for name, split in _splits(subject):
        label = _some(split)[1].get("label")
        assert (label is not None) == bool(count), (
            "data with classes must give every sample a 'label'"
            if count
            else f"{name} has labels: name them with Data(..., classes=...)"
        )
        if label is None:
            continue
        assert label.dtype == torch.int64, f"labels must be int64, not {label.dtype}: label.long()"
        assert label.ndim == 1, f"labels must have the shape (b,), not {tuple(label.shape)}"
        low, high = int(label.min()), int(label.max())
        assert low >= -1 and high < count, f"labels of {name} are {low} … {high}, but there are {count} classes"


def conditions_are_as_declared(subject: Subject) -> None:
    """Check that batches have the conditions that the data declares, with their type, shape and range."""
    declared = subject.data.conditions
    if not declared:
        skip("the data declares no conditions")
    for split_name, split in _splits(subject):
        x, cond = _some(split)
        for name, kind in declared.items():
            assert name in cond, f"the data declares the condition {name!r}, but {split_name} has none"
            value, like = cond[name], absent(kind, len(x))
            assert value.dtype == like.dtype and value.shape == like.shape, (
                f"condition {name!r} must be {like.dtype} of shape {tuple(like.shape)}, not {value.dtype} of "
                f"{tuple(value.shape)}"
            )
            for row in value[is_given(value)].tolist():
                try:
                    kind.parsed(name, row)
                except ValueError as error:
                    raise AssertionError(f"a sample of {split_name} has a condition out of range: {error}") from error


def every_id_can_be_read(subject: Subject) -> None:
    """Check that every id can be read, also twice in one batch."""
    import torch

    for name, split in _splits(subject):
        last = len(split) - 1
        x, _ = read(split, torch.tensor([last, 0, last // 2, last, 0]))
        assert torch.equal(x[0], x[3]) and torch.equal(x[1], x[4]), (
            f"the same id twice in a batch of {name} gives two different samples"
        )


def every_seed_is_accepted(subject: Subject) -> None:
    """Check that batch(ids, seed) accepts seeds of 63 bits, which training passes."""
    import torch

    for name, split in _splits(subject):
        try:
            split.batch(torch.arange(2) % len(split), SEED)
        except Exception as error:
            raise AssertionError(
                f"{name}.batch(ids, {SEED}) raises {type(error).__name__}: {error}; derive random numbers with "
                "ptdiff.noise, which accepts any seed"
            ) from error


def the_same_ids_and_seed_give_the_same_samples(subject: Subject) -> None:
    """Check that a batch is the same when it is read again, also after other batches."""
    first = subject.batch(seed=5)
    subject.batch(seed=6, first=BATCH)
    _assert_same(first, subject.batch(seed=5), "the same (ids, seed) gave different samples when read again")


def a_sample_does_not_depend_on_its_batch(subject: Subject) -> None:
    """Check that a sample is the same alone, at another place, and beside other samples."""
    import torch

    train = subject.train
    x, cond = subject.batch(seed=5)
    order = torch.tensor([2, 0, 3, 1])
    turned = x[order], {key: value[order] for key, value in cond.items()}
    _assert_same(turned, read(train, order % len(train), 5), "a sample depends on its place in the batch")
    one = x[2:3], {key: value[2:3] for key, value in cond.items()}
    _assert_same(one, read(train, torch.tensor([2 % len(train)]), 5), "a sample depends on other samples in its batch")


def samples_ignore_the_global_random_state(subject: Subject) -> None:
    """Check that batches neither read nor change the random state of torch, NumPy and Python."""
    import random

    import numpy as np
    import torch

    found = []
    with same_random_state():
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
            found.append(subject.batch(seed=5))
            after = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
            assert torch.equal(before[0], after[0]) and before[1:] == after[1:], (
                "batch(ids, seed) uses a global random state: derive random numbers from seed and id with "
                "ptdiff.noise.uniform or normal"
            )
    _assert_same(found[0], found[1], "samples depend on a global random state: derive them from seed and id")


def samples_do_not_depend_on_threads(subject: Subject) -> None:
    """Check that batches are the same with one and with several threads, and when several threads read at once."""
    from concurrent.futures import ThreadPoolExecutor

    import torch

    before, found = torch.get_num_threads(), []
    try:
        for count in (1, max(2, before)):
            torch.set_num_threads(count)
            found.append(subject.batch(seed=5))
    finally:
        torch.set_num_threads(before)
    _assert_same(found[0], found[1], "samples depend on the number of threads")
    with ThreadPoolExecutor(4) as pool:
        reads = list(pool.map(lambda i: subject.batch(seed=5, first=i), range(8)))
    for first, batch in enumerate(reads):
        _assert_same(batch, subject.batch(seed=5, first=first), "samples differ when several threads read at once")


def changing_a_batch_leaves_the_data_alone(subject: Subject) -> None:
    """Check that a batch is a copy, which may be changed in place."""
    import torch

    # a whole range of ids in order, for which a view is tempting
    ids = torch.arange(BATCH)
    x, cond = subject.train.batch(ids, 5)
    kept = masked(x, cond.get("mask")).clone(), {key: value.clone() for key, value in cond.items()}
    for value in (x, *cond.values()):
        value.zero_()
    _assert_same(kept, read(subject.train, ids, 5), "a batch shares memory with the data: return a copy, x[ids]")


def splits_do_not_share_samples(subject: Subject) -> None:
    """Check that no validation sample equals a training sample, but for chance in data of few values."""
    val = subject.data.val
    if val is None or not len(val):
        skip("the data has no validation split")
    mine, theirs = ([row.numpy().tobytes() for row in _some(split)[0]] for split in (val, subject.train))
    known = set(theirs)
    same = sum(row in known for row in mine)
    # training samples that repeat each other show how often chance makes two equal
    repeated = 1 - len(known) / len(theirs)
    allowed = 2 + 4 * repeated * len(mine) if repeated else 0
    assert same <= allowed, (
        f"{same} of {len(mine)} samples of val are also in train: split the data before it is augmented"
    )


def normalized_data_has_unit_variance(subject: Subject) -> None:
    """Check that data in model units has mean near zero and variance near one, as the core assumes."""
    x, cond = _some(subject.train)
    z = subject.data.normalize(x).double()
    assert z.shape == x.shape, f"mean and scale do not fit the shape {subject.data.shape}: they make {tuple(z.shape)}"
    z = _elements(z, cond)
    assert abs(float(z.mean())) < 0.3, f"normalized data has mean {float(z.mean()):.3f}: use Data(...).measured()"
    spread = float(z.square().mean().sqrt())
    assert 0.7 < spread < 1.4, f"normalized data has standard deviation {spread:.3f}: use Data(...).measured()"


def numbers_keep_their_digits(subject: Subject) -> None:
    """Check that numbers are not so far from zero that float32 rounds away what differs between samples."""
    x = _elements(*_some(subject.train)).double()
    x = x.flatten(0, -2) if x.ndim > 1 else x[:, None]
    spread, step = x.std(dim=0), x.abs().amax(dim=0) * 2.0**-23
    lost = (spread > 0) & (spread < 1000 * step)
    assert not bool(lost.any()), (
        f"numbers up to {float(x.abs().max()):.6g} in float32 have steps of {float(step.max()):.2g}, which is too much "
        f"for a spread of {float(spread[lost].min()):.2g}: subtract a common offset in float64 and declare it, "
        "Data(..., origin=...)"
    )


def plain_samples_are_those_without_augmentation(subject: Subject) -> None:
    """Check that ``plain`` of an augmenting split has as many samples of the same shape."""
    import torch

    plain = getattr(subject.train, "plain", None)
    if plain is None:
        skip("the training split has no attribute plain")
    assert len(plain) == len(subject.train), f"plain has {len(plain)} samples, and the split {len(subject.train)}"
    x, _ = plain.batch(torch.arange(BATCH), 0)
    assert tuple(x.shape) == (BATCH, *subject.data.shape), f"plain has samples of another shape: {tuple(x.shape[1:])}"


def data_that_is_missing_is_reported(subject: Subject) -> None:
    """Check that an option ``data`` that leads nowhere raises OSError or ValueError with one line."""
    import dataclasses

    if "data" not in {field.name for field in dataclasses.fields(subject.modality)}:
        skip("there is no option data")
    elsewhere: dict[str, Any] = {"data": "no/such/folder"}
    assert_reported(
        lambda: dataclasses.replace(subject.modality, **elsewhere).dataset(), "dataset() with data=no/such/folder"
    )


def _splits(subject: Subject) -> Iterator[tuple[str, Split]]:
    yield "train", subject.train
    val = subject.data.val
    if val is not None and len(val):
        yield "val", val


def _some(split: Split) -> Batch:
    """Up to MANY samples, spread over the whole split."""
    import torch

    count = min(MANY, len(split))
    return read(split, torch.div(torch.arange(count) * len(split), count, rounding_mode="floor"))


def _elements(x: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
    """The samples without padding: all elements of all sets if these have different sizes, else ``x``."""
    return x[cond["mask"]] if "mask" in cond else x


def _assert_mask(name: str, data: Data, x: Tensor, mask: Tensor | None) -> None:
    import torch

    assert (mask is None) == (not data.sizes), (
        f"sets of different sizes need a 'mask' in every batch of {name}, and Data(...).measured(), which counts them"
    )
    if mask is None:
        return
    assert mask.dtype == torch.bool and mask.shape == x.shape[:2], (
        f"the mask of {name} must be bool {tuple(x.shape[:2])}, not {mask.dtype} {tuple(mask.shape)}"
    )
    assert bool(mask[:, 0].all() and not (mask[:, 1:] & ~mask[:, :-1]).any()), (
        f"sets of {name} must have at least one element, and padding only after their elements"
    )


def _assert_same(one: Batch, other: Batch, problem: str) -> None:
    import torch

    assert torch.equal(one[0], other[0]), problem
    for key, value in one[1].items():
        assert torch.equal(value, other[1][key]), f"{problem} (condition {key!r})"
