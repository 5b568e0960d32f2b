"""Training and validation sets where the folders do not name them.

A hash of the path decides, so that adding or removing a file moves (nearly) no other. The suffix does not
count: one shape in two formats is on one side. So are twins, which would otherwise pass for a test.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.address import fraction
from ptdiff_datasets.clouds.twins import groups

SPLITS = ("train", "val", "test")
VALIDATION = 0.1
RULE = 2  # of this file: what was split by an earlier one is split anew


def splits(
    ids: Sequence[str],
    labels: Sequence[str],
    given: Sequence[str | None],
    cloud: Callable[[int], npt.NDArray[np.float32]],
    joined: bool = False,
) -> list[str]:
    """The split of each shape, cloud(i) its points (n, 3), with twins in one split.

    Where folders name a validation split they are kept as they are, unless twins shall be `joined` there too.
    """
    if "val" in given and not joined:
        return assign_splits(ids, labels, given)
    twins = groups(len(ids), cloud)
    found = assign_splits(ids, labels, given, twins)
    return together(found, twins) if joined else found


def assign_splits(
    ids: Sequence[str], labels: Sequence[str], given: Sequence[str | None], twins: Sequence[Sequence[int]] = ()
) -> list[str]:
    """ "train", "val" or "test" for each shape: `given` where a folder says it.

    Shapes without a split become train or, about one in ten, val. Where folders name train and test but no
    val, a tenth of train becomes val. Every class keeps a training shape; val is empty only if no class has
    a second one that is no twin. `twins`: groups of shapes (indices, a shape in one group at most) that go
    together, where the folders leave it open, with the first of them by its path.
    """
    if "val" in given:
        return [split or "train" for split in given]
    free = {i for i, split in enumerate(given) if split in (None, "train")}
    groups = [sorted(free.intersection(group), key=lambda i: ids[i]) for group in twins]
    units = [group for group in groups if group]
    units += [[i] for i in sorted(free.difference(*units))]
    place = {unit[0]: fraction("split", str(PurePosixPath(ids[unit[0]]).with_suffix(""))) for unit in units}
    left = Counter(labels[i] for i in free)
    splits = [split or "train" for split in given]
    chosen = 0
    for unit in sorted(units, key=lambda unit: (place[unit[0]], ids[unit[0]])):
        if chosen and place[unit[0]] >= VALIDATION:
            break
        taken = Counter(labels[i] for i in unit)
        # a group must not take most of its class away; a shape alone may, as long as one is left
        if all(left[label] >= (count + 1 if len(unit) == 1 else 2 * count) for label, count in taken.items()):
            for i in unit:
                splits[i] = "val"
            left -= taken
            chosen += 1
    return splits


def together(given: Sequence[str], twins: Sequence[Sequence[int]]) -> list[str]:
    """The splits `given` with every group of twins in one of them: train before val before test."""
    moved = list(given)
    for group in twins:
        first = min((given[i] for i in group), key=SPLITS.index)
        for i in group:
            moved[i] = first
    return moved
