"""Class labels stored beside arrays of clouds, whatever their type: whole numbers, floats, text, booleans, one-hot."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

LABELS = (
    "label", "labels", "y", "class", "target", "targets", "category", "categories", "cls", "class_id", "class_ids",
    "class_label", "class_labels", "shape_label", "shape_labels", "category_id", "category_ids", "gt", "lbl", "cat",
)  # fmt: skip
CLASSES = ("classes", "class_names", "label_names", "names", "categories_names", "category_names", "shape_names")

Labels = list[int | str]
"""A class for each cloud: its number, or its name; "" for none."""


def stored_labels(
    path: Path, there: Collection[str], read: Callable[[str], npt.NDArray[Any]], shape: tuple[int, ...]
) -> tuple[Labels | None, tuple[str, ...]]:
    """Return the labels of the clouds (m, n, c) of ``shape``, or of the one cloud (n, c), and remarks.

    there: names of the arrays beside the points, of which ``read`` reads one. FormatError for labels that cannot be
    understood, and for two arrays of labels that differ.
    """
    count = shape[0] if len(shape) == 3 else 1
    by_lower = {name.lower(): name for name in there}
    found: dict[str, Labels] = {}
    remarks = []
    for key in LABELS:
        if (name := by_lower.get(key)) is None:
            continue
        array = read(name)
        if array.shape[: len(shape) - 1] == shape[:-1]:
            remarks.append(f"{name} has a value for every point, not a class for every cloud, and is left out")
            continue
        found[name] = class_labels(path, name, array, count)
    kinds = list(found.values())
    if any(kind != kinds[0] for kind in kinds):
        raise FormatError(path, f"{' and '.join(found)} name different classes: keep one of them")
    names = next((by_lower[key] for key in CLASSES if key in by_lower), None)
    if names is None:
        return (kinds[0] if kinds else None), tuple(remarks)
    words = read(names)
    if words.dtype.kind not in "US" or words.ndim != 1:
        return (kinds[0] if kinds else None), tuple(remarks)
    if not kinds:
        return (class_labels(path, names, words, count) if len(words) == count else None), tuple(remarks)
    known = class_labels(path, names, words, len(words))
    for n in kinds[0]:
        if isinstance(n, int) and n >= len(known):
            raise FormatError(path, f"{next(iter(found))} has the class {n}, but {names} has only {len(known)} names")
    named = [known[n] if isinstance(n, int) else n for n in kinds[0]]
    return named, tuple(remarks)


def class_labels(path: Path, name: str, array: npt.NDArray[Any], count: int) -> Labels:
    """Convert an array of labels for ``count`` clouds; FormatError, with its name, if it is none.

    Floats must be whole numbers, rows of several numbers one-hot; -1 and empty text mean no class.
    """
    if array.dtype.kind in "US":
        texts = [_text(item).strip() for item in array.reshape(-1).tolist()]
        if len(texts) != count:
            raise FormatError(path, f"{name} of shape {array.shape} for {count} clouds")
        return list(texts)
    if array.dtype.kind not in "fiub":
        what = "Python objects, which are never unpickled" if array.dtype.kind == "O" else str(array.dtype)[:40]
        raise FormatError(path, f"{name} is an array of {what}: store whole numbers or text")
    if array.ndim == 2 and array.shape[0] == count and array.shape[1] > 1:
        if not ((array == 1).sum(axis=1) == 1).all() or not ((array == 0) | (array == 1)).all():
            raise FormatError(path, f"{name} of shape {array.shape} is neither one class for each cloud nor one-hot")
        return [int(i) for i in array.argmax(axis=1)]
    values = array.reshape(-1)
    if len(values) != count:
        raise FormatError(path, f"{name} of shape {array.shape} for {count} cloud{'s' * (count != 1)}")
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(values) | (values != np.rint(values)) | (values < -1)
    else:
        wrong = values < -1 if array.dtype.kind == "i" else np.zeros(count, np.bool_)
    if wrong.any():
        bad = int(wrong.argmax())
        raise FormatError(path, f"{name} {bad} is {values[bad]:g}: classes are whole numbers from 0, or text")
    return ["" if n < 0 else int(n) for n in values.tolist()]


def _text(item: str | bytes) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item
