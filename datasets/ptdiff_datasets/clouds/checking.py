"""Check of a data set (a folder, a file or a store) for problems before training on it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds import screen, store
from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.cloud_set import diagonals as box_diagonals
from ptdiff_datasets.clouds.duplicates import twins
from ptdiff_datasets.clouds.folder import Progress, build, load_folder, nothing
from ptdiff_datasets.clouds.layout import Layout, existing, scan
from ptdiff_datasets.clouds.summary import LAYOUTS, Summary, listed, number
from ptdiff_datasets.clouds.synsets import class_name
from ptdiff_datasets.errors import DataError, printable
from ptdiff_datasets.formats.arrays import AxisOrder
from ptdiff_datasets.formats.numerals import Decimal

SAMPLED = 2048  # points sampled from each mesh
FEW = 32  # fewer points than this do not make a shape
COPY = "a copy of "
MIXED = 100  # a shape so many times larger or smaller than the median is in another unit
OUTLYING = 10  # a box so many times larger than that of all but a hundredth of the points
SCARCE = 4  # fewer shapes do not make a class, if others have ten times as many


@dataclass(frozen=True)
class Check:
    """Report on a data set.

    damaged: files of a store whose checksums do not match. unreadable: (file, reason). degenerate: (shape, reason).
    equal, near: groups of identical and of nearly identical shapes. leaks: those groups that span several splits.
    points: minimum, median and maximum number per shape. extents: 5 %, 50 % and 95 % quantiles of the box diagonals,
    in units of the files. rows: the first points of the first shape, with their channels. mixed, outliers: (shape,
    reason) of shapes of another scale, and of those with points far away. scarce: classes with very few shapes.
    unheld: classes without a shape held out. empty: folders of classes without a shape that can be read.
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
    rows: tuple[str, ...] = ()
    mixed: tuple[tuple[str, str], ...] = ()
    outliers: tuple[tuple[str, str], ...] = ()
    scarce: tuple[str, ...] = ()
    unheld: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if nothing is broken; duplicates and skipped files do not count."""
        return not (self.damaged or self.unreadable or self.degenerate)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain types, ready for JSON."""
        return {**asdict(self), "summary": self.summary.as_dict(), "ok": self.ok}

    def text(self) -> str:
        """Format the report for a terminal, in at most ``screen.LINES`` lines of ``screen.WIDTH`` columns."""
        long = self._lines(5, 12, 5)
        fits = len(long) <= screen.LINES and max(map(len, long)) <= screen.WIDTH
        return "\n".join(long if fits else self._short())

    def _short(self) -> list[str]:
        """The report with a line for each kind of finding."""
        told, (fewest, _, largest), (low, half, high) = self.summary, self.points, self.extents
        named = [name for name in told.counts if name]
        of = f" in {number(len(named), 'class', 'es')}" if named else ""
        shapes = f"{number(told.total(), 'shape')}{of}"
        box = (
            f"{axis} {a:.{screen.digits(a, b)}g} to {b:.{screen.digits(a, b)}g}"
            for axis, a, b in zip("xyz", told.low, told.high, strict=True)
        )
        head = [
            printable(told.root)[-screen.WIDTH :],
            f"  {shapes}, {number(told.points, 'point')}, {fewest:,} to {largest:,} a shape"
            + (f"; {number(told.other, 'file')} of other types" if told.other else ""),
            f"  {LAYOUTS[told.layout]}; normalize {told.normalize}; channels {told.channels()}",
            f"  box {', '.join(box)}",
            f"  diagonals {low:.4g} to {high:.4g} (5 % to 95 %), median {half:.4g}: {self.units}",
            *screen.by_class(told.counts),
            " ".join(row if i == 0 else row.strip() for i, row in enumerate(self.rows[:2])),
        ]
        copies = [(group[0], f"the same as {', '.join(group[1:])}") for group in self.equal]
        alike = [(group[0], f"much like {', '.join(group[1:])}") for group in self.near]
        found: screen.Findings = {
            "damaged": [(name, "checksums do not match") for name in self.damaged],
            "unreadable": self.unreadable,
            "left out": self._left_out,
            "degenerate": self.degenerate,
            "scale": self.mixed,
            "outliers": self.outliers,
            "remark": told.remarks,
            "class": self._classes,
            "leak": [(group[0], f"also in another split: {', '.join(group[1:])}") for group in self.leaks],
            "copy": copies,
            "twin": alike,
        }
        advice = ["  ptdiff data import --together moves duplicates into one split"] if self.leaks else []
        return screen.screen(head, found, [*advice, "nothing is broken" if self.ok else "something is broken"])

    def _lines(self, most: int, classes: int, grouped: int) -> list[str]:
        fewest, middle, largest = self.points
        low, half, high = self.extents
        lines = [
            *replace(self.summary, skipped=()).lines(classes)[:-2],  # leave out how long reading took
            "",
            *self.rows,
            f"  points per shape {fewest:,} to {largest:,}, median {middle:,}",
            f"  diagonals {low:.4g} to {high:.4g} (5 % to 95 %), median {half:.4g}: {self.units}",
            "",
        ]
        lines += listed("checksums do not match", self.damaged, most)
        for what, items in (
            ("unreadable", self.unreadable),
            ("left out", self._left_out),
            ("degenerate", self.degenerate),
            ("mixed scales", self.mixed),
            ("far outliers", self.outliers),
        ):
            lines += listed(what, [f"{id}: {reason}" for id, reason in items], most)
        for what, names in (
            ("classes with very few shapes", self.scarce),
            ("classes with none held out", self.unheld),
            ("empty classes", self.empty),
        ):
            lines += [f"  {what}: {', '.join(map(printable, names[:8]))}{', …' * (len(names) > 8)}"] if names else []
        for what, groups in (
            ("identical", self.equal),
            ("nearly identical", self.near),
            ("of these, in several splits", self.leaks),
        ):
            lines += listed(f"{what}, groups", [f"{len(group)}: {', '.join(group)}" for group in groups], grouped)
        if self.leaks:
            lines += [
                "",
                "  shapes leak between splits: ptdiff data import --together moves duplicates into one split",
            ]
        return [*lines, "nothing is broken" if self.ok else "something is broken"]

    @property
    def _classes(self) -> list[tuple[str, str]]:
        """Classes that are not fit to train or to validate on."""
        rare = {text.rpartition(" (")[0]: text for text in self.scarce}
        found = [(name, "an empty class") for name in self.empty]
        for name in dict.fromkeys([*rare, *self.unheld]):
            reasons = ["very few shapes"] * (name in rare) + ["none held out"] * (name in self.unheld)
            found.append((rare.get(name, name), ", ".join(reasons)))
        return found

    @property
    def _left_out(self) -> list[tuple[str, str]]:
        """Files skipped for another reason than that they cannot be read."""
        known = {id for id, _ in self.unreadable}
        return [item for item in self.summary.skipped if item[0] not in known and not item[1].startswith(COPY)]


def check(
    root: str | Path, progress: Progress | None = None, order: AxisOrder = "auto", decimal: Decimal | None = None
) -> Check:
    """Check every shape below ``root``. DataError if nothing can be read or a store cannot be opened."""
    root = existing(root)
    if root.is_dir() and store.is_store(root):
        try:
            damaged = tuple(store.verified(root))
        except FileNotFoundError:
            damaged = (store.SUMS,)
        return _checked("store", root, damaged, progress)
    layout = scan(root, order, decimal)
    if not layout.shapes:
        raise DataError(nothing(layout, layout.skipped))
    with tempfile.TemporaryDirectory(prefix="ptdiff-check-") as folder:
        place = Path(folder) / "store"
        place.mkdir()
        build(root, layout, place, SAMPLED, progress)
        found = _checked("folder" if root.is_dir() else "file", place, (), progress)
        return replace(found, empty=_empty(layout, found.summary.counts))


def _empty(layout: Layout, counts: Mapping[str, object]) -> tuple[str, ...]:
    """Name the class folders of which nothing was read."""
    if layout.kind != "classes":
        return ()
    folders = (path for path in (layout.root / layout.inside).iterdir() if path.is_dir() and path.name[0] != ".")
    return tuple(sorted({class_name(path.name) for path in folders} - set(counts)))


def _checked(kind: str, folder: Path, damaged: tuple[str, ...], progress: Progress | None) -> Check:
    clouds = load_folder(folder)
    failed = [(id, reason) for id, reason in clouds.store.index.skipped]
    copies = [(id, reason) for id, reason in failed if reason.startswith(COPY)]
    names, splits = clouds.ids, dict(zip(clouds.ids, clouds.splits, strict=True))
    degenerate = {}
    for i, id in enumerate(names):
        if (reason := _degenerate(clouds.stored(i))) is not None:
            degenerate[id] = reason
    whole = [i for i, id in enumerate(names) if id not in degenerate]
    same, near = twins(len(whole), lambda i: clouds.stored(whole[i]), progress)
    equal = [tuple(names[whole[i]] for i in group) for group in same]
    alike = [tuple(names[whole[i]] for i in group) for group in near]
    diagonals = box_diagonals(clouds.store.shapes)
    root = str(folder) if kind == "store" else str(clouds.store.index.source["root"])
    return Check(
        kind=kind,
        summary=replace(clouds.summary, root=root),
        damaged=damaged,
        unreadable=tuple(item for item in failed if item not in copies),
        degenerate=tuple(degenerate.items()),
        equal=(*equal, *((reason.removeprefix(COPY), id) for id, reason in copies)),
        near=tuple(alike),
        leaks=tuple(group for group in (*equal, *alike) if len({splits[id] for id in group}) > 1),
        points=(int(clouds.counts.min()), int(np.median(clouds.counts)), int(clouds.counts.max())),
        extents=tuple(float(q) for q in np.quantile(diagonals, [0.05, 0.5, 0.95])),  # type: ignore[arg-type]
        rows=_rows(clouds),
        mixed=tuple(_mixed(names, diagonals)),
        outliers=tuple((id, text) for i, id in enumerate(names) if (text := _outlying(clouds.stored(i))) is not None),
        scarce=tuple(_scarce(clouds.summary.counts)),
        unheld=tuple(screen.unheld(clouds.summary.counts)),
        units=_units(float(np.median(diagonals)), float(np.quantile(diagonals, 0.95) / np.quantile(diagonals, 0.05))),
    )


def _rows(clouds: CloudSet) -> tuple[str, ...]:
    """Show the first points of the first shape, so that a wrong reading is seen."""
    shape, count = clouds.store.shapes[0], min(3, int(clouds.counts[0]))
    rows, arrays = slice(int(shape["start"]), int(shape["start"]) + count), clouds.store.shards[shape["shard"]]
    points = arrays["points"][rows] + shape["origin"]
    most = max(screen.digits(low, high) for low, high in zip(clouds.summary.low, clouds.summary.high, strict=True))
    parts = [(points, f"{{:.{most + 2}g}}", "x y z")]
    if "normals" in arrays:
        parts.append((arrays["normals"][rows], "{:.3g}", "nx ny nz"))
    if "colors" in arrays:
        parts.append((arrays["colors"][rows], "{:d}", "red green blue"))
    head = " ".join(names for _, _, names in parts)
    lines = [" ".join(form.format(v) for part, form, _ in parts for v in part[i].tolist()) for i in range(count)]
    return (f"  {printable(clouds.ids[0])[-40:]}: {head}", *(f"    {line}" for line in lines))


def _mixed(names: Sequence[str], diagonals: npt.NDArray[np.float64]) -> list[tuple[str, str]]:
    middle = float(np.median(diagonals))
    found = []
    for name, size in zip(names, diagonals.tolist(), strict=True):
        if size > MIXED * middle or size * MIXED < middle:
            found.append((name, f"diagonal {size:.4g}, median {middle:.4g}"))
    return found


def _outlying(points: np.ndarray[Any, np.dtype[np.float32]]) -> str | None:
    """Describe points far from all others, None if there are none."""
    if len(points) < FEW or not np.isfinite(points).all():
        return None
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    reach, whole = float(np.linalg.norm(high - low)), float(np.linalg.norm(np.ptp(points, axis=0)))
    if not whole > OUTLYING * reach:
        return None
    far = int((np.linalg.norm(points - (low + high) / 2, axis=1) > OUTLYING / 2 * reach).sum())
    return f"{far} of {len(points):,} points make the box {whole / reach:.0f} times as large" if reach else None


def _scarce(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    sizes = {name: sum(row.values()) for name, row in counts.items() if name}
    middle = np.median(list(sizes.values())) if sizes else 0
    return [f"{name} ({n})" for name, n in sizes.items() if n < SCARCE and middle >= 10 * n]


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
