"""What is good and bad in a data set: `check` a folder, a file or a store before training on it."""

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ptdiff_datasets.clouds import store
from ptdiff_datasets.clouds.folder import Progress, build, load_folder, nothing
from ptdiff_datasets.clouds.layout import existing, scan
from ptdiff_datasets.clouds.summary import Summary, listed
from ptdiff_datasets.clouds.twins import twins
from ptdiff_datasets.errors import DataError

SAMPLED = 2048  # points of each mesh that are looked at
FEW = 32  # points that make no shape
COPY = "a copy of "


@dataclass(frozen=True)
class Check:
    """damaged: files of a store that are not as they were written; unreadable: (file, reason); degenerate: (shape,
    reason); equal, near: groups of shapes that are there more than once; leaks: those of them in more than one split;
    points: fewest, median and most of a shape; extents: 5 %, 50 % and 95 % of the diagonals, in units of the files."""

    kind: str
    summary: Summary
    damaged: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    degenerate: tuple[tuple[str, str], ...]
    equal: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, ...], ...]
    leaks: tuple[tuple[str, ...], ...]
    points: tuple[int, int, int]
    extents: tuple[float, float, float]
    units: str

    @property
    def ok(self) -> bool:
        """Whether nothing is broken; what is there twice, or left out, does not count."""
        return not (self.damaged or self.unreadable or self.degenerate)

    def as_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON."""
        return {**asdict(self), "summary": self.summary.as_dict(), "ok": self.ok}

    def text(self) -> str:
        """For a terminal."""
        fewest, middle, most = self.points
        low, half, high = self.extents
        lines = [
            *self.summary.text().splitlines()[:-2],  # how long it took to read is of no interest
            "",
            f"  points of a shape {fewest:,} to {most:,}, median {middle:,}",
            f"  diagonals {low:.4g} to {high:.4g} (5 % to 95 %), median {half:.4g}: {self.units}",
            "",
        ]
        lines += listed("checksums do not match", self.damaged)
        lines += listed("unreadable", [f"{id}: {reason}" for id, reason in self.unreadable])
        lines += listed("degenerate", [f"{id}: {reason}" for id, reason in self.degenerate])
        for what, groups in (
            ("there more than once", self.equal),
            ("nearly the same", self.near),
            ("of these, in more than one split", self.leaks),
        ):
            lines += listed(f"{what}, groups", [f"{len(group)}: {', '.join(group)}" for group in groups])
        if self.leaks:
            lines += [
                "",
                "  what is validated on is trained on: ptdiff data import --together moves twins into one split",
            ]
        return "\n".join([*lines, "nothing is broken" if self.ok else "something is broken"])


def check(root: str | Path, progress: Progress | None = None) -> Check:
    """Look at every shape below `root`.  DataError where nothing can be read, or a store cannot even be opened."""
    root = existing(root)
    if root.is_dir() and store.is_store(root):
        try:
            damaged = tuple(store.verified(root))
        except FileNotFoundError:
            damaged = (store.SUMS,)
        return _checked("store", root, damaged, progress)
    layout = scan(root)
    if not layout.shapes:
        raise DataError(nothing(layout, layout.skipped))
    with tempfile.TemporaryDirectory(prefix="ptdiff-check-") as folder:
        place = Path(folder) / "store"
        place.mkdir()
        build(root, layout, place, SAMPLED, progress)
        return _checked("folder" if root.is_dir() else "file", place, (), progress)


def _checked(kind: str, folder: Path, damaged: tuple[str, ...], progress: Progress | None) -> Check:
    clouds = load_folder(folder)
    index = store.load(folder)[1]
    failed = [(id, reason) for id, reason in index.skipped]
    copies = [(id, reason) for id, reason in failed if reason.startswith(COPY)]
    names, splits = clouds.ids, dict(zip(clouds.ids, clouds.splits, strict=True))
    degenerate = []
    for i, id in enumerate(names):
        if (reason := _degenerate(clouds.stored(i))) is not None:
            degenerate.append((id, reason))
    whole = [i for i in range(len(names)) if names[i] not in dict(degenerate)]
    same, near = twins(len(whole), lambda i: clouds.stored(whole[i]), progress)
    equal = [tuple(names[whole[i]] for i in group) for group in same]
    alike = [tuple(names[whole[i]] for i in group) for group in near]
    boxes = np.array(index.boxes, np.float64).reshape(-1, 2, 3)
    diagonals = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    return Check(
        kind=kind,
        summary=replace(clouds.summary, root=str(folder) if kind == "store" else str(index.source["root"])),
        damaged=damaged,
        unreadable=tuple(item for item in failed if item not in copies),
        degenerate=tuple(degenerate),
        equal=(*equal, *((reason.removeprefix(COPY), id) for id, reason in copies)),
        near=tuple(alike),
        leaks=tuple(group for group in (*equal, *alike) if len({splits[id] for id in group}) > 1),
        points=(int(clouds.counts.min()), int(np.median(clouds.counts)), int(clouds.counts.max())),
        extents=tuple(float(q) for q in np.quantile(diagonals, [0.05, 0.5, 0.95])),  # type: ignore[arg-type]
        units=_units(float(np.median(diagonals)), float(np.quantile(diagonals, 0.95) / np.quantile(diagonals, 0.05))),
    )


def _degenerate(points: np.ndarray[Any, np.dtype[np.float32]]) -> str | None:
    """Why these points are no shape; None where they are."""
    if not np.isfinite(points).all():
        return "NaN or infinite points"
    if len(points) < FEW:
        return f"only {len(points)} points"
    exact = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    across, along = np.linalg.eigvalsh(exact.T @ exact)[1:]
    if across <= 1e-10 * along:
        return "all points on one line"
    distinct = len(np.unique(points, axis=0))
    return f"only {distinct} of {len(points)} points are different" if distinct < len(points) / 2 else None


def _units(diagonal: float, spread: float) -> str:
    """What the sizes hint at; no format says its unit, but for glTF (meters)."""
    if spread < 1.2 and 0.4 < diagonal < 4:
        return "shapes of one size, normalized already"
    for top, words in ((0.02, "tiny: kilometers, or scaled"), (50, "meters, perhaps"), (500, "centimeters, perhaps")):
        if diagonal < top:
            return words
    return "millimeters, perhaps, or a large scan"
