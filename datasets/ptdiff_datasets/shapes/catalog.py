"""The ten classes by name and label: single shapes and batches of clouds."""

import difflib
from collections.abc import Callable
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.shapes.aircraft import airplane, rocket
from ptdiff_datasets.shapes.car import car
from ptdiff_datasets.shapes.chair import chair
from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.furniture import bookshelf, table
from ptdiff_datasets.shapes.household import bottle, lamp, mug
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.shape import Shape, stream
from ptdiff_datasets.shapes.sofa import sofa

_MAKERS: dict[str, Callable[[Draw], list[Part]]] = {
    "airplane": airplane,
    "bookshelf": bookshelf,
    "bottle": bottle,
    "car": car,
    "chair": chair,
    "lamp": lamp,
    "mug": mug,
    "rocket": rocket,
    "sofa": sofa,
    "table": table,
}
CLASSES: tuple[str, ...] = tuple(_MAKERS)
"""Class names in alphabetical order; the label of a class is its index."""


def make_shape(name: str, seed: int) -> Shape:
    """Generate the shape of class ``name`` for ``seed``, a pure function of both.

    Raises ValueError for an unknown class (naming the nearest one) and for a seed outside [0, 2**63).
    """
    if name not in _MAKERS:
        nearest = difflib.get_close_matches(name.lower(), CLASSES, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown shape class {name!r}; did you mean {nearest!r}? All: {', '.join(CLASSES)}")
    seed = int(seed)
    if not 0 <= seed < 2**63:
        raise ValueError(f"the seed of a shape must be in [0, 2**63), not {seed}")
    label = CLASSES.index(name)
    draw = Draw(stream(seed, label, 0, 0))
    parts = tuple(_MAKERS[name](draw))
    return Shape(name, seed, label, MappingProxyType(draw.values), parts)


def dense_clouds(labels: npt.ArrayLike, seeds: npt.ArrayLike, points: int, draw: int = 0) -> npt.NDArray[np.float32]:
    """Generate clouds (m, points, 3) of the shapes (labels[i], seeds[i]); ``labels`` and ``seeds`` are integers (m,).

    Row i equals ``make_shape(CLASSES[labels[i]], seeds[i]).points(points, seed=draw)``, whatever else is in the batch.
    ValueError for other types, shapes or labels.
    """
    label_list, seed_list = np.asarray(labels), np.asarray(seeds)
    if label_list.dtype.kind not in "iu" or seed_list.dtype.kind not in "iu":
        raise ValueError(f"labels and seeds must be integers, not {label_list.dtype} and {seed_list.dtype}")
    if label_list.ndim != 1 or label_list.shape != seed_list.shape:
        raise ValueError(
            f"labels and seeds must be two lists of equal length, not {label_list.shape} and {seed_list.shape}"
        )
    if label_list.size and not (label_list.min() >= 0 and label_list.max() < len(CLASSES)):
        raise ValueError(f"labels must be in 0..{len(CLASSES) - 1}, not {label_list.min()}..{label_list.max()}")
    clouds = np.empty((len(label_list), points, 3), dtype=np.float32)
    for cloud, label, seed in zip(clouds, label_list.tolist(), seed_list.tolist(), strict=True):
        cloud[:] = make_shape(CLASSES[label], seed).points(points, draw)
    return clouds
