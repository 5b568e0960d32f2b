"""Stores of format 1 (ptdiff 0.2): one array for each channel, and lists of all shapes in index.json.

They are read whole into memory but for the points, with some kilobytes for each shape while they are opened; importing
the files again writes the present format.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ptdiff_datasets.clouds.names import Names
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.clouds.store_format import CHANNELS, SHAPE, SUMS, DamagedError, Index, Store, content, mapped

_COLUMNS = ("counts", "labels", "ids", "splits", "boxes", "means", "deviations", "origins")


def opened(folder: Path, raw: dict[str, Any], total: int) -> Store:
    """Open a store of format 1 from its index; DamagedError if the index contradicts itself or the arrays."""
    channels = raw.pop("channels")
    columns = {name: raw.pop(name) for name in _COLUMNS}
    arrays = {name: mapped(folder / f"{name}.npy", CHANNELS[name], (total, 3)) for name in channels}
    if len({len(column) for column in columns.values()}) != 1 or np.shape(columns["boxes"])[1:] != (6,):
        raise DamagedError("the columns of the index differ in length")
    counts = np.array(columns["counts"], np.int64)
    if counts.min() < 1 or counts.sum() != total or "points" not in arrays:
        raise DamagedError(f"{counts.sum()} points in the index, but {total} stored")
    classes = sorted(set(columns["labels"]) - {""})
    names = Names.of(columns["ids"])
    shapes = np.zeros(len(counts), SHAPE)
    shapes["label"] = [classes.index(name) if name else -1 for name in columns["labels"]]
    shapes["start"], shapes["count"] = np.cumsum(counts) - counts, counts
    shapes["name"] = names.ends
    shapes["box"] = np.array(columns["boxes"], np.float64).reshape(-1, 2, 3)
    shapes["mean"], shapes["deviation"], shapes["origin"] = (
        np.array(columns[name], np.float64) for name in ("means", "deviations", "origins")
    )
    splits = np.array([SPLITS.index(split) for split in columns["splits"]], np.uint8)
    index = Index(channels=channels, shards=[total], classes=classes, **raw)
    store = Store([arrays], shapes, names, splits, index)
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except FileNotFoundError:
        return store
    index.content = content(store, (line for line in lines if line.endswith(".npy")))
    return store
