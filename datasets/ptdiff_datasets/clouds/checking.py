"""Check of a data set (a folder, a file or a store) for problems before training on it."""

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
from ptdiff_datasets.formats.arrays import AxisOrder

SAMPLED = 2048  # points sampled from each mesh
FEW = 32  # fewer points than this do not make a shape
COPY = "a copy of "


@dataclass(frozen=True)
class Check:
    """Report on a data set.

    damaged: files of a store whose checksums do not match. unreadable: (file, reason). degenerate: (shape, reason).
    equal, near: groups of identical and of nearly identical shapes. leaks: those groups that span several splits.
    points: minimum, median and maximum number per shape. extents: 5 %, 50 % and 95 % quantiles of the box diagonals,
    in units of the files.
    """

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
        """True if nothing is broken; duplicates and skipped files do not count."""
        return not (self.damaged or self.unreadable or self.degenerate)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain types, ready for JSON."""
        return {**asdict(self), "summary": self.summary.as_dict(), "ok": self.ok}

    def text(self) -> str:
        """Format the report for a terminal."""
        fewest, middle, most = self.points
        low, half, high = self.extents
        lines = [
            *self.summary.text().splitlines()[:-2],  # leave out how long reading took
            "",
            f"  points per shape {fewest:,} to {most:,}, median {middle:,}",
            f"  diagonals {low:.4g} to {high:.4g} (5 % to 95 %), median {half:.4g}: {self.units}",
            "",
        ]
        lines += listed("checksums do not match", self.damaged)
        lines += listed("unreadable", [f"{id}: {reason}" for id, reason in self.unreadable])
        lines += listed("degenerate", [f"{id}: {reason}" for id, reason in self.degenerate])
        for what, groups in (
            ("identical", self.equal),
            ("nearly identical", self.near),
            ("of these, in several splits", self.leaks),
        ):
            lines += listed(f"{what}, groups", [f"{len(group)}: {', '.join(group)}" for group in groups])
        if self.leaks:
            lines += [
                "",
                "  shapes leak between splits: ptdiff data import --together moves duplicates into one split",
            ]
        return "\n".join([*lines, "nothing is broken" if self.ok else "something is broken"])


def check(root: str | Path, progress: Progress | None = None, order: AxisOrder = "auto") -> Check:
    """Check every shape below ``root``. DataError if nothing can be read or a store cannot be opened."""
    root = existing(root)
    if root.is_dir() and store.is_store(root):
        try:
            damaged = tuple(store.verified(root))
        except FileNotFoundError:
            damaged = (store.SUMS,)
        return _checked("store", root, damaged, progress)
    layout = scan(root, order)
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
    """Return the reason why the points do not make a shape, or None if they do."""
    if not np.isfinite(points).all():
        return "NaN or infinite points"
    if len(points) < FEW:
        return f"only {len(points)} points"
    exact = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    across, along = np.linalg.eigvalsh(exact.T @ exact)[1:]
    if across <= 1e-10 * along:
        return "all points on one line"
    distinct = len(np.unique(points, axis=0))
    return f"only {distinct} of {len(points)} points are distinct" if distinct < len(points) / 2 else None


def _units(diagonal: float, spread: float) -> str:
    """Guess the unit from the sizes; no format but glTF (meters) states its unit."""
    if spread < 1.2 and 0.4 < diagonal < 4:
        return "shapes of one size, already normalized"
    for top, words in ((0.02, "tiny, maybe kilometers"), (50, "maybe meters"), (500, "maybe centimeters")):
        if diagonal < top:
            return words
    return "maybe millimeters, or a large scan"
