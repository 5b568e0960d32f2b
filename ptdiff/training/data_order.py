"""The order of the data: a pure function of (seed, step), so that resuming needs no loader state.

The samples of all epochs, each a permutation addressed by (seed, epoch), form one sequence; step s takes the samples at
places s batch … (s + 1) batch - 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff.noise import Stream, mix


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    generator = np.random.Generator(np.random.Philox(key=mix(seed, int(Stream.ORDER), epoch)))
    return generator.permutation(count)


def sample_ids(seed: int, step: int, batch: int, count: int) -> Tensor:
    """Ids (batch,) int64 of the samples that step ``step`` trains on, from a data set of ``count``."""
    places = np.arange(step * batch, (step + 1) * batch, dtype=np.int64)
    epochs, inside = np.divmod(places, count)
    ids = np.empty(batch, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        ids[here] = _permutation(seed, int(epoch), count)[inside[here]]
    return torch.from_numpy(ids)
