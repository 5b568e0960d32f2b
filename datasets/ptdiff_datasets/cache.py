"""A folder of shapes, read once: an entry holds `points.npy`, to be memory-mapped, and `index.json`.

Entries are called `<what was asked for>-<state of the files>`; one with another state of the files takes the
place of its forerunner.
An entry is written beside its place and renamed into it, so that it is there whole or not at all; a damaged
one is told by its sizes. Nothing in it is a pickle.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import DataError, printable

VERSION = 2
POINTS, INDEX = "points.npy", "index.json"
Box = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Index:
    """m shapes in the order of their points; `boxes`: lowest and highest corner, in units of the files."""

    counts: list[int]
    labels: list[str]
    ids: list[str]
    splits: list[str]
    boxes: list[Box]
    skipped: list[tuple[str, str]]


class DamagedError(Exception):
    """An entry that is not what was written."""


def default_cache() -> Path:
    """`$PTDIFF_CACHE`, else `$XDG_CACHE_HOME/ptdiff`, else `~/.cache/ptdiff`."""
    if chosen := os.environ.get("PTDIFF_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ptdiff"


def load(entry: Path) -> tuple[npt.NDArray[np.float32], Index]:
    """The points (total, 3), memory-mapped, and the index of an entry.

    FileNotFoundError if there is none; DamagedError, with the reason, if it cannot be trusted.
    """
    try:
        return _checked(entry)
    except (DamagedError, MemoryError, ImportError):
        raise
    except FileNotFoundError:
        if entry.exists():  # but not all of it
            raise DamagedError("a file is missing") from None
        raise
    except Exception as error:  # whatever the parsers of JSON and of arrays make of broken files
        raise DamagedError(f"{type(error).__name__}: {printable(error)[:60]}") from None


def _checked(entry: Path) -> tuple[npt.NDArray[np.float32], Index]:
    raw = json.loads((entry / INDEX).read_bytes())
    version, total = raw.pop("version"), raw.pop("total")
    if version != VERSION:
        raise DamagedError(f"{INDEX} has version {version}")
    index = Index(**raw)
    points = np.load(entry / POINTS, mmap_mode="r", allow_pickle=False)
    length = (entry / POINTS).stat().st_size
    if points.shape != (total, 3) or points.dtype != np.float32 or length != points.offset + points.nbytes:
        raise DamagedError(f"{POINTS} has {length} bytes of shape {points.shape}")
    columns = (index.counts, index.labels, index.ids, index.splits, index.boxes)
    if len({len(column) for column in columns}) != 1 or np.shape(index.boxes)[1:] != (6,):
        raise DamagedError("columns of different lengths in the index")
    if min(index.counts) < 1 or sum(index.counts) != total:
        raise DamagedError(f"{sum(index.counts)} points in the index, {total} stored")
    return points.view(np.ndarray), index


@contextmanager
def workplace(entry: Path) -> Iterator[Path]:
    """A temporary folder beside `entry`, to be kept as it (`keep`) or to vanish."""
    temporary = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{entry.name[:12]}-", dir=entry.parent))
        yield temporary
    except OSError as error:
        where = f"{printable(entry.parent)} ({error.strerror or error})"
        raise DataError(f"no cache can be kept in {where}: set PTDIFF_CACHE to a folder with room") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def keep(folder: Path, entry: Path) -> None:
    """Make what was written in a workplace the entry, and remove those for earlier states of the files."""
    _take_place(folder, entry)
    asked_for = entry.name.rpartition("-")[0]
    for old in entry.parent.glob(f"{asked_for}-*"):
        if old != entry:
            _remove(old)


def _remove(entry: Path) -> None:
    """Renamed first: what others have mapped stays valid, and they never see half an entry."""
    aside = Path(tempfile.mkdtemp(prefix=".old-", dir=entry.parent))
    try:
        entry.rename(aside / "entry")
    except FileNotFoundError:
        pass  # another process was faster
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _take_place(temporary: Path, entry: Path) -> None:
    """Another process may do the same at the same time: the entries are equal, either may stay."""
    for _ in range(10):
        try:
            temporary.rename(entry)
            return
        except OSError:
            try:
                load(entry)
                return
            except DamagedError:
                _remove(entry)
            except FileNotFoundError:
                continue
    raise DataError(f"{printable(entry)} cannot be replaced")


def write(folder: Path, clouds: Iterator[npt.NDArray[np.float32]], index: Index) -> None:
    """Write `clouds`, in the order and with the counts of `index`, and the index, down to the disk."""
    total = sum(index.counts)
    description = {"descr": "<f4", "fortran_order": False, "shape": (total, 3)}
    # Not through a memory map: a full disk is an error here, there it would kill the process.
    with (folder / POINTS).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        for cloud in clouds:
            file.write(np.ascontiguousarray(cloud, "<f4").tobytes())
        file.flush()
        os.fsync(file.fileno())
    with (folder / INDEX).open("w") as text:
        json.dump({"version": VERSION, "total": total, **asdict(index)}, text)
        text.flush()
        os.fsync(text.fileno())
