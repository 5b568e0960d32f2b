"""Grids of samples by condition: class, guidance scale and number of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ptdiff.errors import Unsupported
from ptdiff.gallery.scene import FEW, Scene
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


def classes(scene: Scene) -> Picture:
    """Samples by class, one column per class; ten classes side by side, and at most the first 120."""
    names = _classes(scene)[:CLASSES]
    few = max(1, min(FEW, CELLS // len(names)))
    each = max(1, scene.many() // len(names)) if scene.together else scene.many(few)
    # sample i has class i modulo the number of classes, as elsewhere
    ids = torch.cat([scene.ids(each) * len(scene.data.classes) + k for k in range(len(names))])
    label = torch.arange(len(names), device=scene.device).repeat_interleave(each)
    # batches that fit into memory
    size = len(ids) if scene.together else CELLS
    parts = zip(torch.split(ids, size), torch.split(label, size), strict=True)
    x = torch.cat([scene.samples(some, {"label": asked}) for some, asked in parts])
    columns = [scene.cells(part, {"label": torch.full((each,), k)}) for k, part in enumerate(torch.split(x, each))]
    return bands(columns, names, COLUMNS)


def guidance(scene: Scene) -> Picture:
    """Classifier-free guidance at several scales; 0 is without a class, 1 without guidance."""
    names = _classes(scene)
    ids = scene.ids(scene.many(min(FEW, len(names))))
    cond = scene.labels(ids)
    columns = [
        scene.cells(scene.samples(ids, cond, replace(scene.plan, guidance=CFG(scale))), cond) for scale in SCALES
    ]
    rows = [] if scene.together else scene.titles(cond)
    return page(list(zip(*columns, strict=True)), [f"w = {scale:g}" for scale in SCALES], rows)


def points(scene: Scene) -> Picture:
    """The same samples with fewer and with more points than in training (point sets only)."""
    if not scene.data.unordered:
        raise Unsupported("only point sets can be sampled with another number of points")
    trained = scene.data.shape[0]
    counts = [max(1, trained // 4), max(1, trained // 2), trained, 2 * trained, 4 * trained]
    ids = scene.ids(scene.many(2))
    cond = scene.labels(ids)
    columns = [scene.cells(_of_size(scene, ids, count), cond) for count in counts]
    return page(list(zip(*columns, strict=True)), [f"{count} points" for count in counts], scene.titles(cond))


def _of_size(scene: Scene, ids: Tensor, count: int) -> Tensor:
    return scene.samples(ids, scene.labels(ids), shape=(count, *scene.data.shape[1:]))


def _classes(scene: Scene) -> Sequence[str]:
    if len(scene.data.classes) < 2:
        raise Unsupported("this run was trained without classes")
    return scene.data.classes
