"""Samples in a litData dataset: a folder, or an object store such as S3, whose chunks are fetched when they are needed.

litData (https://github.com/Lightning-AI/litdata) is optional: ``pip install 'ptdiff[litdata]'``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ptdiff.errors import Unsupported

if TYPE_CHECKING:
    from ptdiff.modality.data import Condition

NUMBERS = frozenset({"numpy", "no_header_numpy", "tensor", "no_header_tensor", "int", "float", "bool"})
"""Formats of values that are read; others may be pickles, which run code when they are read."""


class StreamedSplit:
    """A split whose samples are the items of a litData dataset, by their places in it.

    place: a folder, or an address such as ``s3://bucket/clouds``, that ``litdata.optimize`` wrote.
    sample, label: keys of an item: an array (\\*shape), the same shape in all, in world units; and its class, if
    there are classes.
    cache: where litData keeps the chunks that it fetched; default: its own choice.

    Every batch is drawn from the whole set, so all chunks are fetched in the first epoch: the cache needs as much room
    as the dataset.

    Raises Unsupported without litData, and for values in other formats than numbers and arrays; ValueError for a place
    without a dataset.
    """

    def __init__(
        self, place: Path | str, sample: str = "x", label: str | None = None, cache: Path | None = None
    ) -> None:
        self.place, self.sample, self.label = str(place), sample, label
        try:
            from litdata import StreamingDataset
        except ModuleNotFoundError as error:
            raise Unsupported(f"{place} needs the package {error.name}: pip install 'ptdiff[litdata]'") from None
        try:
            # single items: whole windows around each would be decoded for nothing
            self._items = StreamingDataset(self.place, None if cache is None else str(cache), batch_decode=False)
            index = json.loads((Path(self._items.input_dir.path) / "index.json").read_bytes())
            formats = {str(name).partition(":")[0] for name in index["config"]["data_format"]}
            self._count = sum(int(chunk["chunk_size"]) for chunk in index["chunks"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{place} is not a litData dataset: {str(error).splitlines()[0]}") from None
        if refused := sorted(formats - NUMBERS):
            raise Unsupported(
                f"{place} has values in the format {', '.join(refused)}: only numbers and arrays are read"
            )

    def __len__(self) -> int:
        return self._count

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Samples ``ids`` (b,), float32 (b, *shape), and their classes; ``seed`` is ignored.

        Raises IndexError for an id outside the dataset, ValueError for an item without the key or of another shape.
        """
        samples, labels = [], []
        for i in ids.tolist():
            if not 0 <= i < len(self):
                raise IndexError(f"sample {i} of {len(self)} in {self.place}")
            item = self._items[i]
            samples.append(np.asarray(self._value(item, self.sample, i), np.float32))
            if self.label is not None:
                labels.append(int(self._value(item, self.label, i)))
            if samples[-1].shape != samples[0].shape:
                raise ValueError(f"{self.place}: item {i} has the shape {samples[-1].shape}, others {samples[0].shape}")
        label = {} if self.label is None else {"label": torch.tensor(labels)}
        return torch.from_numpy(np.stack(samples)), label

    def _value(self, item: Any, key: str, i: int) -> Any:
        if not isinstance(item, dict) or key not in item:
            keys = ", ".join(map(str, item)) if isinstance(item, dict) else f"a {type(item).__name__}"
            raise ValueError(f"{self.place}: item {i} has no {key!r}, only {keys}")
        return item[key]
