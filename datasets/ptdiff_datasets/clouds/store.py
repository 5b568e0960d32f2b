"""A store: shapes read once, as memory-mapped arrays, an index, and checksums.

    points.npy    (total, 3) float32: all clouds, one after the other
    normals.npy   (total, 3) float32, if every shape has normals;  colors.npy   (total, 3) uint8, likewise
    index.json    counts, classes, ids, splits, boxes and moments of the shapes, and their source
    SHA256SUMS    of these files, as read by ``sha256sum -c``

A store is written beside its final path and renamed into place, so it appears atomically. Opening one compares sizes;
``verified`` compares the checksums. Nothing in it is a pickle.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.reading import Dense
from ptdiff_datasets.errors import printable

FORMAT, VERSION = "ptdiff-clouds", 1
INDEX, SUMS = "index.json", "SHA256SUMS"
CHANNELS: Mapping[str, str] = {"points": "<f4", "normals": "<f4", "colors": "|u1"}
HEADER = 128  # bytes before the numbers of a .npy file, enough for any count


@dataclass
class Index:
    """Facts about m shapes in the order of their points; boxes, means and deviations are in units of the files.

    boxes: lowest and highest corner, (m, 6). means: (m, 3) and deviations: (m,) over all coordinates of the stored
    points.
    origins: (m, 3), subtracted from the points. remarks: (id, text) of what was left out of shapes that were read.
    content: SHA-256 of the shapes, their names, classes and splits, wherever they lie; set by ``load``, not stored.
    """

    counts: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    means: list[list[float]] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)
    origins: list[list[float]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    content: str = ""

    @property
    def columns(self) -> list[list[Any]]:
        """The lists that have an entry for each shape."""
        others = ("skipped", "lacking", "source", "remarks", "content")
        return [getattr(self, f.name) for f in fields(self) if f.name not in others]


Arrays = dict[str, npt.NDArray[Any]]


class DamagedError(Exception):
    """A store that differs from what was written."""


def is_store(folder: Path) -> bool:
    """True if a folder is a store, complete or not."""
    try:
        with (folder / INDEX).open("rb") as file:
            return FORMAT.encode() in file.read(200)
    except OSError:
        return False


def load(folder: Path) -> tuple[Arrays, Index]:
    """Open a store: the memory-mapped arrays by channel, and the index.

    FileNotFoundError if there is none; DamagedError, with the reason, if it cannot be trusted.
    """
    try:
        return _checked(folder)
    except (DamagedError, MemoryError, ImportError):
        raise
    except FileNotFoundError:
        if folder.exists():  # but a part of it is missing
            raise DamagedError("a file is missing") from None
        raise
    except Exception as error:  # the parsers may raise anything for broken files
        raise DamagedError(f"{type(error).__name__}: {printable(error)[:60]}") from None


def _checked(folder: Path) -> tuple[Arrays, Index]:
    raw = json.loads((folder / INDEX).read_bytes())
    kind, version, total, channels = (raw.pop(key) for key in ("format", "version", "total", "channels"))
    if kind != FORMAT or version != VERSION:
        raise DamagedError(f"{INDEX} has format {str(kind)[:20]!r}, version {version}")
    index = Index(**raw)
    arrays: Arrays = {}
    for name in channels:
        path = folder / f"{name}.npy"
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        length = path.stat().st_size
        if array.shape != (total, 3) or array.dtype != CHANNELS[name] or length != array.offset + array.nbytes:
            raise DamagedError(f"{path.name} has {length} bytes of shape {array.shape}")
        arrays[name] = array.view(np.ndarray)
    if len({len(column) for column in index.columns}) != 1 or np.shape(index.boxes)[1:] != (6,):
        raise DamagedError("the columns of the index differ in length")
    if min(index.counts) < 1 or sum(index.counts) != total or "points" not in arrays:
        raise DamagedError(f"{sum(index.counts)} points in the index, but {total} stored")
    index.content = _content(folder, index)
    return arrays, index


def _content(folder: Path, index: Index) -> str:
    """Hash what the network sees of a store, from the checksums of its arrays; "" for a store without checksums."""
    try:
        sums = [line for line in (folder / SUMS).read_text().splitlines() if line.endswith(".npy")]
    except FileNotFoundError:
        return ""
    facts = [index.counts, index.ids, index.labels, index.splits, index.origins, sorted(sums)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def verified(folder: Path, progress: Callable[[int, int], None] | None = None) -> list[str]:
    """Return the names of the files whose checksums differ; FileNotFoundError without checksums."""
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
    wrong = []
    for done, (digest, name) in enumerate(lines, 1):
        path = folder / Path(name).name
        if not path.is_file() or _sum(path) != digest:
            wrong.append(path.name)
        if progress is not None:
            progress(done, len(lines))
    missing = {INDEX, "points.npy"} - {name for _, name in lines}
    return sorted({*wrong, *missing})


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Writing:
    """A store being written into an empty folder: ``add`` shapes, then ``finish``. A context that closes its files.

    Writes to files, not to memory maps: a full disk is an error here, but would kill the process there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.index = Index()
        self._files: dict[str, IO[bytes]] = {}
        for name in CHANNELS:
            self._files[name] = (folder / f"{name}.npy").open("wb")
            self._files[name].write(bytes(HEADER))

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            with suppress(OSError) if error is not None else nullcontext():
                file.close()

    def add(self, id: str, label: str, dense: Dense) -> None:
        """Append a shape; its split is set by ``finish``."""
        index, cloud = self.index, dense.cloud
        index.counts.append(len(cloud))
        index.ids.append(id)
        index.labels.append(label)
        index.remarks += [(id, text) for text in cloud.remarks]
        index.boxes.append([*dense.low.tolist(), *dense.high.tolist()])
        index.origins.append(dense.origin.tolist())
        exact = cloud.points.astype(np.float64)
        mean = exact.mean(axis=0)
        index.means.append((mean + dense.origin).tolist())
        index.deviations.append(float(np.sqrt(np.square(exact - mean).mean())))
        for name, dtype in CHANNELS.items():
            array = getattr(cloud, name)
            if array is None:
                index.lacking[name] = index.lacking.get(name, 0) + 1
            elif name not in index.lacking:
                self._files[name].write(np.ascontiguousarray(array, dtype).tobytes())

    def clouds(self) -> Callable[[int], npt.NDArray[np.float32]]:
        """Return a function from the number of a shape added so far to its points (k_i, 3), read from disk."""
        file = self._files["points"]
        file.flush()
        stops = np.cumsum(self.index.counts)
        points = np.memmap(file.name, CHANNELS["points"], "r", HEADER, (int(stops[-1]), 3))
        return lambda i: np.asarray(points[stops[i] - self.index.counts[i] : stops[i]])

    def finish(self) -> None:
        """Write headers, index (with its splits) and checksums, and flush them to disk."""
        total = sum(self.index.counts)
        kept = [name for name in CHANNELS if name not in self.index.lacking]
        for name, file in self._files.items():
            file.seek(0)
            file.write(_header(CHANNELS[name], total))
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if name not in kept:
                (self._folder / f"{name}.npy").unlink()
        about = {"format": FORMAT, "version": VERSION, "total": total, "channels": kept}
        facts = asdict(self.index)
        del facts["content"]
        if not self.index.remarks:
            del facts["remarks"]  # as in stores that know of none
        _write(self._folder / INDEX, json.dumps({**about, **facts}))
        names = [INDEX, *(f"{name}.npy" for name in kept)]
        _write(self._folder / SUMS, "".join(f"{_sum(self._folder / name)}  {name}\n" for name in names))


def _header(dtype: str, total: int) -> bytes:
    """Return the header of a ``.npy`` file of shape (total, 3), format 1.0."""
    text = str({"descr": dtype, "fortran_order": False, "shape": (total, 3)}).encode("ascii")
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.ljust(HEADER - 11) + b"\n"


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
