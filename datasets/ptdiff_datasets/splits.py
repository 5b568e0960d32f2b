"""Training and validation sets where the folders do not name them.

A hash of the path decides, so that adding or removing a file moves (nearly) no other. The suffix does not
count: one shape in two formats is on one side.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from ptdiff_datasets.address import fraction

SPLITS = ("train", "val", "test")
VALIDATION = 0.1


def assign_splits(ids: Sequence[str], labels: Sequence[str], given: Sequence[str | None]) -> list[str]:
    """ "train", "val" or "test" for each shape: `given` where a folder says it.

    Shapes without a split become train or, about one in ten, val. Where folders name train and test but no
    val, a tenth of train becomes val. Every class keeps a training shape; val is empty only if no class has
    a second one.
    """
    if "val" in given:
        return [split or "train" for split in given]
    free = [i for i, split in enumerate(given) if split in (None, "train")]
    place = [fraction("split", str(PurePosixPath(id).with_suffix(""))) for id in ids]
    order = sorted(free, key=lambda i: (place[i], ids[i]))
    left = Counter(labels[i] for i in free)
    splits = [split or "train" for split in given]
    chosen = 0
    for i in order:
        if chosen and place[i] >= VALIDATION:
            break
        if left[labels[i]] > 1:
            splits[i] = "val"
            left[labels[i]] -= 1
            chosen += 1
    return splits
