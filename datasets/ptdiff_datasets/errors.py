"""Errors for unusable data: one file (``FormatError``) or a whole data set (``DataError``)."""

from pathlib import Path
from typing import Any


def printable(text: object) -> str:
    """Return ``text`` on one line with control characters replaced; file names and parser messages may hold any."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))


class FormatError(ValueError):
    """A file that does not hold what it claims to hold.

    ``path`` is the file, ``reason`` one sentence, ``offset`` the byte of the fault, if known.

    >>> print(FormatError("cube.ply", "the header never ends", 120))
    cube.ply: the header never ends (byte 120)
    """

    def __init__(self, path: str | Path, reason: str, offset: int | None = None) -> None:
        super().__init__(path, reason, offset)
        self.path = Path(path)
        self.reason = printable(reason)
        self.offset = offset

    def __str__(self) -> str:
        where = "" if self.offset is None else f" (byte {self.offset})"
        return f"{printable(self.path)}: {self.reason}{where}"


class DataError(ValueError):
    """A data set that cannot be used: nothing found, nothing readable, or an unknown class."""


class MissingPackage(ImportError):
    """A package required by a file's format is not installed."""


def needed(name: str, extra: str, path: str | Path) -> Any:
    """Import the optional module ``name``; MissingPackage, with the install command, if it is not installed."""
    try:
        match name:
            case "h5py":
                import h5py as module
            case "laspy":
                import laspy as module
            case "lazrs":
                import lazrs as module
            case "pye57":
                import pye57 as module
            case "DracoPy":
                import DracoPy as module  # noqa: N813
            case _:
                raise ValueError(f"no optional package is called {name!r}")
    except ModuleNotFoundError:
        where = printable(path)
        raise MissingPackage(f"{where} needs the package {name}: pip install 'ptdiff[{extra}]'") from None
    return module
