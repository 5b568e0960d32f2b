"""Surfaces of samples, and mesh files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.choices import unknown
from ptdiff.errors import Unsupported
from ptdiff.sampling.files import plain

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.types import Array, Progress
    from ptdiff.sampling.files import Stored

FORMATS = ("glb", "obj", "stl", "ply")


def default_method(kind: Modality, method: str | None = None) -> str:
    """``method``, or the first meshing method of the modality.

    Raises Unsupported if the modality has none, and UnknownName for an unknown method.
    """
    ways = kind.meshing()
    if not ways:
        raise Unsupported(f"{type(kind).__name__} cannot turn its samples into meshes")
    if method is not None and method not in ways:
        raise unknown("meshing method", method, ways)
    return method or next(iter(ways))


def save_meshes(
    stored: Stored,
    kind: Modality,
    folder: Path,
    format: str,
    method: str,
    *,
    name: str,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Write the surface of each sample to ``folder`` as 0000-<class>.glb, and return a row about each.

    ``format``: one of FORMATS.  ``method``: of the modality's :meth:`~ptdiff.modality.Modality.meshing`.
    ``name``: used in file names for samples without a class.  ``progress``: called with (done, total).
    A row has ``file``, and either ``watertight``, ``components`` and ``faces``, or ``error`` if there is no surface.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for i, (x, title) in enumerate(zip(stored.world(stored.samples), stored.names, strict=True)):
        rows.append(_one(kind, x, method, folder / f"{i:04d}-{plain(title or name)}.{format}"))
        if progress is not None:
            progress(i + 1, len(stored.samples))
    return rows


def _one(kind: Modality, sample: Array, method: str, target: Path) -> dict[str, Any]:
    try:
        found = kind.mesh(sample, method)
    except ValueError as error:
        return {"file": str(target), "error": str(error)}
    found.save(target)
    facts = {"watertight": found.watertight, "components": found.components, "faces": found.faces}
    return {"file": str(target), **facts}
