"""Stores of folders that were read before, and how a store takes its place.

Entries are called `<what was asked for>-<state of the files>`; one with another state of the files takes the place of
its forerunner.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ptdiff_datasets.clouds.store import DamagedError, load
from ptdiff_datasets.errors import DataError, printable


def default_cache() -> Path:
    """`$PTDIFF_CACHE`, else `$XDG_CACHE_HOME/ptdiff`, else `~/.cache/ptdiff`."""
    if chosen := os.environ.get("PTDIFF_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ptdiff"


@contextmanager
def workplace(entry: Path, advice: str = "set PTDIFF_CACHE to a folder with room") -> Iterator[Path]:
    """A temporary folder beside `entry`, to be kept as it (`keep`) or to vanish."""
    temporary = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = entry.parent / f".{entry.name[:12]}-{uuid.uuid4().hex[:12]}"
        temporary.mkdir()  # as readable to others as the user has it, which a temporary folder of Python's is not
        yield temporary
    except OSError as error:
        where = f"{printable(entry.parent)} ({error.strerror or error})"
        raise DataError(f"nothing can be kept in {where}: {advice}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def keep(folder: Path, entry: Path, check: Callable[[Path], object] = load) -> None:
    """Make what was written in a workplace the entry, and remove those for earlier states of the files."""
    take_place(folder, entry, check)
    asked_for = entry.name.rpartition("-")[0]
    for old in entry.parent.glob(f"{asked_for}-*"):
        if old != entry:
            remove(old)


def remove(entry: Path) -> None:
    """Renamed first: what others have mapped stays valid, and they never see half an entry."""
    aside = Path(tempfile.mkdtemp(prefix=".old-", dir=entry.parent))
    try:
        entry.rename(aside / "entry")
    except FileNotFoundError:
        pass  # another process was faster
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def take_place(temporary: Path, entry: Path, check: Callable[[Path], object] = load) -> None:
    """Another process may do the same at the same time: the entries are equal, either may stay.

    check: raises DamagedError for an entry that cannot be used, FileNotFoundError where there is none.
    """
    for _ in range(10):
        try:
            temporary.rename(entry)
            return
        except OSError:
            try:
                check(entry)
                return
            except DamagedError:
                remove(entry)
            except FileNotFoundError:
                continue
    raise DataError(f"{printable(entry)} cannot be replaced")
