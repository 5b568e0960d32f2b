"""File formats of single samples: those of a modality, and those that plugins bring for any modality.

The name of a reader or writer is the suffix of its files, without the dot and in lower case.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ptdiff.choices import Catalog
from ptdiff.plugins.doors import Door

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ptdiff.modality.contract import Modality
    from ptdiff.modality.types import Writer

Reader = Callable[[Path], "npt.NDArray[np.floating]"]
"""Reads one sample (*shape), in world units, from a path; OSError or ValueError for a file that it cannot read."""

READERS: Catalog[Reader] = Catalog("reader", {}, Door("readers", "reader", options=False))
"""Readers of plugins, for files that a modality cannot read."""

WRITERS = Door("writers", "format", options=False)


def writers(kind: Modality) -> Catalog[Writer]:
    """The writers of single samples by suffix: those of the modality, which nothing replaces, and of plugins."""
    return Catalog("format", kind.formats(), WRITERS)


def reader(kind: Modality, path: Path) -> Reader | None:
    """The reader of a plugin for a file whose suffix is not among the formats of the modality; None if there is none.

    Raises PluginError for one that cannot be used.
    """
    suffix = path.suffix[1:].lower()
    return READERS[suffix] if suffix in READERS and suffix not in {*kind.formats(), *kind.tables()} else None
