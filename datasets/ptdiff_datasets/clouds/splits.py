"""Training and validation splits for folders that do not name them.

A hash of the path decides, so that adding or removing a file moves (nearly) no other. The suffix does not count: one
shape in two formats is in one split. So are duplicates, which would otherwise leak into the validation set.

The rule "stratified" also holds out a shape of every class of four or more; "hashed" is the rule of earlier versions,
by which runs of theirs are read, because a shape that they trained on must not validate them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.address import fraction
from ptdiff_datasets.clouds.duplicates import groups

SPLITS = ("train", "val", "test")
VALIDATION = 0.1
RULE = 3  # version of these rules: data sets split by an earlier one are split again
Rule = Literal["stratified", "hashed"]
STRATIFIED = 4  # shapes of a class of which one is held out


def splits(
    ids: Sequence[str],
    labels: Sequence[str],
    given: Sequence[str | None],
    cloud: Callable[[int], npt.NDArray[np.float32]],
    joined: bool = False,
    rule: Rule = "stratified",
) -> list[str]:
    """Choose the split of each shape, with duplicates in one split; cloud(i) returns the points (n, 3) of shape i.

    If the folders name a validation split they are kept as they are, unless ``joined`` moves duplicates there too.
    """
    if "val" in given and not joined:
        return assign_splits(ids, labels, given, rule=rule)
    twins = groups(len(ids), cloud)
    found = assign_splits(ids, labels, given, twins, rule)
    return together(found, twins) if joined else found


def assign_splits(
    ids: Sequence[str],
    labels: Sequence[str],
    given: Sequence[str | None],
    twins: Sequence[Sequence[int]] = (),
    rule: Rule = "hashed",
) -> list[str]:
    """Assign "train", "val" or "test" to each shape, as ``given`` by its folder if it is.

    Shapes without a split become train or, about one in ten, val. If folders name train and test but no val, a tenth of
    train becomes val. Every class keeps a training shape; val is empty only if no class has a second shape that is not
    a duplicate. By the rule "stratified", every class of at least ``STRATIFIED`` shapes outside the test split has one
    in val too, unless its twins are most of the class. ``twins``: groups of duplicates (indices, each shape in at most
    one group), which follow the first of
    them by path unless their folders decide.
    """
    if "val" in given:
        return [split or "train" for split in given]
    free = np.fromiter((split in (None, "train") for split in given), np.bool_, len(given))
    groups: dict[int, list[int]] = {}  # twins by the first of them
    alone = free.copy()
    for twin in twins:
        if members := sorted((i for i in twin if free[i]), key=lambda i: ids[i]):
            groups[members[0]] = members
            alone[members] = False
    alone[list(groups)] = True
    leaders = np.flatnonzero(alone)
    place = np.fromiter((_place(ids[i]) for i in leaders.tolist()), np.float64, len(leaders))
    left = Counter(labels[i] for i in np.flatnonzero(free).tolist())
    splits = [split or "train" for split in given]
    chosen = 0
    size, held = Counter(left), Counter[str]()
    for at in _by_place(leaders, place, ids):
        unit = groups.get(int(leaders[at]), [int(leaders[at])])
        here = {labels[i] for i in unit}
        wanted = rule == "stratified" and any(size[name] >= STRATIFIED and not held[name] for name in here)
        if chosen and place[at] >= VALIDATION and not wanted:
            if rule == "hashed":
                break
            continue
        taken = Counter(labels[i] for i in unit)
        # a group must not take most of its class away; a single shape may, as long as one is left
        if all(left[label] >= (count + 1 if len(unit) == 1 else 2 * count) for label, count in taken.items()):
            for i in unit:
                splits[i] = "val"
            left -= taken
            held += taken
            chosen += 1
    return splits


def _place(id: str) -> float:
    return fraction("split", str(PurePosixPath(id).with_suffix("")))


def _by_place(leaders: npt.NDArray[np.int64], place: npt.NDArray[np.float64], ids: Sequence[str]) -> Iterator[int]:
    """Yield the indices of ``place`` in rising order; equal ones, which have equal stems, in the order of their ids."""
    order = np.argsort(place, kind="stable")
    for _, equal in groupby(order.tolist(), lambda at: float(place[at])):
        yield from sorted(equal, key=lambda at: ids[int(leaders[at])])


def together(given: Sequence[str], twins: Sequence[Sequence[int]]) -> list[str]:
    """Move every group of twins into one of its ``given`` splits: train before val before test."""
    moved = list(given)
    for group in twins:
        first = min((given[i] for i in group), key=SPLITS.index)
        for i in group:
            moved[i] = first
    return moved
