"""The units of a user's file: center and size are removed before the model and restored after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ptdiff.errors import DataError, reading

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.sampling.samples import Samples


Frame = tuple[Any, Any]
"""The center and size that are removed from samples; see :meth:`ptdiff.modality.contract.Modality.frame`."""


def frame_of(kind: Modality, data: Data, given: Samples) -> Frame | None:
    """The center, without the origin of ``given``, and size of the complete sample in a user's file.

    None for samples already in the run's units.  Raises DataError, with the path, if they cannot be computed.
    """
    source = given.source
    # samples of a run have its origin; those with another were returned to the place of a user's file
    if (source is None or source.suffix.lower() == ".npz") and given.stored.origin == data.origin:
        return None
    with reading(_name(source)):
        center, size = kind.frame(data, given.stored.samples[0])
    return (center, size) if size != 1 or np.any(center) else None


def fitting(data: Data, given: Samples, frame: Frame | None = None) -> Tensor:
    """The samples (n, *shape) in model units, with ``frame`` removed; DataError if the network needs another shape."""
    x = given.stored.samples
    shape, own = x.shape[1:], data.shape
    if shape[1:] != own[1:] if data.unordered else shape != own:
        any_number = ("any number", *own[1:]) if data.unordered else own
        raise DataError(f"{_name(given.source)}: samples have the shape {shape}, but the run needs {any_number}")
    return data.normalize(torch.from_numpy(placed(x, frame)))


def _name(source: Path | None) -> str:
    return "samples" if source is None else str(source)


def placed(samples: npt.NDArray[np.float32], frame: Frame | None) -> npt.NDArray[np.float32]:
    """Samples (…, c) minus the center, with their positions, the first three numbers, divided by the size."""
    if frame is None:
        return samples
    center, size = frame
    moved: npt.NDArray[np.float32] = (samples - center).astype("float32")
    moved[..., :3] /= size
    return moved


def returned(samples: npt.NDArray[np.float32], frame: Frame | None) -> npt.NDArray[np.float32]:
    """The inverse of :func:`placed`."""
    if frame is None:
        return samples
    center, size = frame
    moved = samples.astype(np.float64)
    moved[..., :3] *= size
    made: npt.NDArray[np.float32] = (moved + center).astype(np.float32)
    return made
