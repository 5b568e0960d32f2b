"""``ptdiff data check --render``: an image of some samples of every class, as a model would see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Split
    from ptdiff.modality.types import Array

SHOWN = 24  # things on a sheet, or one of each class if there are more classes
LOOKED_AT = 20_000  # samples among which those of every class are looked for
PLOTTED = 100  # a visualizer that shows more samples than this plots points, not things


def save_sheet(kind: Modality, target: Path) -> str:
    """Write an image of some training samples, without augmentation; returns a line about it.

    Raises ValueError without training samples, and DataError if the data cannot be read.
    """
    from ptdiff.modality.data import unaugmented
    from ptdiff.modality.ragged import sets_of
    from ptdiff.pictures.files import save_image

    data, draw = kind.dataset(), kind.visualizer()
    if data.train is None or not len(data.train):
        raise ValueError("there are no training samples to show")
    grouped = data.classes if draw.many <= PLOTTED and len(data.classes) <= 2 * SHOWN else ()
    samples, labels = _chosen(unaugmented(data.train), len(grouped), draw.many)
    save_image(target, draw.sheet(sets_of(samples), [data.classes[label] for label in labels]))
    of = f" of {len(set(labels))} of {len(data.classes)} classes" if data.classes else ""
    return f"{len(samples):,} training samples{of}, as a model would see them: {target}"


def per_class(classes: int, smallest: int = SHOWN) -> int:
    """Number of samples of each class for which every row of the sheet is one class, if there is one.

    ``smallest``: size of the smallest class.
    """
    from ptdiff.pictures.files import sheet_columns

    fitting = [k for k in range(1, SHOWN // classes + 1) if sheet_columns(classes * k) == k]
    whole = [k for k in fitting if k <= smallest] if smallest > 2 else fitting
    return max(whole or fitting or [1, SHOWN // classes])


def _chosen(split: Split, classes: int, many: int) -> tuple[Array, list[int]]:
    """Random samples and their labels, if they have any: the same number of each class, by class, or ``many``."""
    import numpy as np
    import torch

    from ptdiff.modality.ragged import padded

    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:LOOKED_AT]
    if not classes:
        x, cond = split.batch(order[:many], seed=0)
        return padded(x, cond.get("mask")).numpy(), cond["label"].tolist() if "label" in cond else []
    each = per_class(classes)
    kept: dict[int, list[Array]] = {label: [] for label in range(classes)}
    for ids in torch.split(order, 64):
        x, cond = split.batch(ids, seed=0)
        for sample, label in zip(padded(x, cond.get("mask")).numpy(), cond["label"].tolist(), strict=True):
            if len(kept[label]) < each:
                kept[label].append(sample)
        if all(len(samples) == each for samples in kept.values()):
            break
    each = per_class(classes, min(map(len, kept.values())))
    kept = {label: samples[:each] for label, samples in kept.items()}
    labels = [label for label, samples in kept.items() for _ in samples]
    return np.stack([sample for samples in kept.values() for sample in samples]), labels
