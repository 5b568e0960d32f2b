"""Grids of samples by condition: class, guidance scale and number of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ptdiff.errors import Unsupported
from ptdiff.gallery.subject import FEW, Subject
from ptdiff.guidance import CFG
from ptdiff.pictures.files import Picture
from ptdiff.pictures.page import bands, page

COLUMNS = 10
"""Maximum number of classes side by side."""

CLASSES = 120
"""Maximum number of classes on a page."""

CELLS = 80
"""Approximate number of small pictures on a page, if the number per class is not given."""

SCALES = (0.0, 1.0, 2.0, 4.0, 8.0)


def classes(subject: Subject) -> Picture:
    """Samples by class, one column per class; ten classes side by side, and at most the first 120."""
    names = _classes(subject)[:CLASSES]
    few = max(1, min(FEW, CELLS // len(names)))
    each = max(1, subject.many() // len(names)) if subject.together else subject.many(few)
    # sample i has class i modulo the number of classes, as elsewhere
    ids = torch.cat([subject.ids(each) * len(subject.data.classes) + k for k in range(len(names))])
    label = torch.arange(len(names), device=subject.device).repeat_interleave(each)
    # batches that fit into memory
    size = len(ids) if subject.together else CELLS
    parts = zip(torch.split(ids, size), torch.split(label, size), strict=True)
    x = torch.cat([subject.samples(some, {"label": asked}) for some, asked in parts])
    columns = [subject.cells(part, {"label": torch.full((each,), k)}) for k, part in enumerate(torch.split(x, each))]
    return bands(columns, names, COLUMNS)


def guidance(subject: Subject) -> Picture:
    """Classifier-free guidance at several scales; 0 is without a class, 1 without guidance."""
    names = _classes(subject)
    ids = subject.ids(subject.many(min(FEW, len(names))))
    cond = subject.labels(ids)
    columns = [
        subject.cells(subject.samples(ids, cond, replace(subject.plan, guidance=CFG(scale))), cond) for scale in SCALES
    ]
    rows = [] if subject.together else subject.titles(cond)
    return page(list(zip(*columns, strict=True)), [f"w = {scale:g}" for scale in SCALES], rows)


def points(subject: Subject) -> Picture:
    """The same samples with fewer and with more points than in training (point sets only)."""
    if not subject.data.unordered:
        raise Unsupported("only point sets can be sampled with another number of points")
    trained = subject.data.shape[0]
    counts = [max(1, trained // 4), max(1, trained // 2), trained, 2 * trained, 4 * trained]
    ids = subject.ids(subject.many(2))
    cond = subject.labels(ids)
    columns = [subject.cells(_of_size(subject, ids, count), cond) for count in counts]
    return page(list(zip(*columns, strict=True)), [f"{count} points" for count in counts], subject.titles(cond))


def _of_size(subject: Subject, ids: Tensor, count: int) -> Tensor:
    return subject.samples(ids, subject.labels(ids), shape=(count, *subject.data.shape[1:]))


def _classes(subject: Subject) -> Sequence[str]:
    if len(subject.data.classes) < 2:
        raise Unsupported("this run was trained without classes")
    return subject.data.classes
