"""Cache of data sets that were read before, and atomic replacement of its entries.

Entries are named ``<request>-<state of the files>``; an entry replaces earlier ones of the same request.
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
    """Return ``$PTDIFF_CACHE``, else ``$XDG_CACHE_HOME/ptdiff``, else ``~/.cache/ptdiff``."""
    if chosen := os.environ.get("PTDIFF_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ptdiff"


@contextmanager
def workplace(entry: Path, advice: str = "set PTDIFF_CACHE to a folder with enough space") -> Iterator[Path]:
    """Yield a temporary folder beside ``entry``; it is removed on exit unless ``keep`` has moved it into place.

    advice: the hint in the DataError that is raised if the folder cannot be written.
    """
    temporary = None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = entry.parent / f".{entry.name[:12]}-{uuid.uuid4().hex[:12]}"
        temporary.mkdir()  # unlike Python's temporary folders, this one respects the user's umask
        yield temporary
    except OSError as error:
        where = f"{printable(entry.parent)} ({error.strerror or error})"
        raise DataError(f"cannot write to {where}: {advice}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def keep(folder: Path, entry: Path, check: Callable[[Path], object] = load) -> None:
    """Move ``folder`` into place as ``entry`` and remove the entries for earlier states of the files."""
    take_place(folder, entry, check)
    asked_for = entry.name.rpartition("-")[0]
    for old in entry.parent.glob(f"{asked_for}-*"):
        if old != entry:
            remove(old)


def remove(entry: Path) -> None:
    """Remove an entry; it is renamed first, so that mapped files stay valid and nobody sees half an entry."""
    aside = Path(tempfile.mkdtemp(prefix=".old-", dir=entry.parent))
    try:
        entry.rename(aside / "entry")
    except FileNotFoundError:
        pass  # another process was faster
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def take_place(temporary: Path, entry: Path, check: Callable[[Path], object] = load) -> None:
    """Move ``temporary`` into place as ``entry``; if another process was faster, keep its equal entry.

    check: raises DamagedError for an unusable entry, which is then replaced, and FileNotFoundError if there is none.
    DataError if the entry cannot be replaced.
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
