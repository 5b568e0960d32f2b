"""Output files: tried before the work, and samples kept if writing them fails in the end."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptdiff.documents.atomic import Kind
    from ptdiff.modality.contract import Modality
    from ptdiff.sampling.samples import Samples

_NUMBER = {"npz": 4, "ply": 4, "pcd": 4, "npy": 4, "las": 4, "laz": 2, "png": 1}
_TEXT = 12  # bytes of a number in .csv, .xyz and other text
_BLOCK = 4096  # bytes that the smallest file takes


def writable(path: Path | None) -> Path | None:
    """Return the path of an option for a file unchanged; raise OSError if it cannot be written, before any work."""
    return _tried(path, "file")


def writable_folder(path: Path | None) -> Path | None:
    """Like :func:`writable` for a folder, which may exist."""
    return _tried(path, "folder")


def writable_either(path: Path | None) -> Path | None:
    """Like :func:`writable` for a file, or a folder if it exists as one or has no suffix."""
    return _tried(path, "either")


def _tried(path: Path | None, kind: Kind) -> Path | None:
    if path is not None:
        from ptdiff.documents.atomic import check_writable
        from ptdiff.documents.files import expanded

        check_writable(expanded(path), kind=kind)
    return path


def check_format(path: Path | None, kind: Modality) -> None:
    """Check before the work that samples can be saved to ``path`` by its suffix.

    Raises UnknownName for an unknown suffix, and OSError for a folder with the suffix of a file.
    """
    if path is None or not path.suffix:
        return
    from ptdiff.sampling.formats import writers

    known = ["npz", *writers(kind).names(), *kind.tables()]
    if path.suffix[1:] not in known:
        from ptdiff.choices import unknown

        raise unknown("format", path.suffix[1:], sorted(known))
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")


def check_space(target: Path, count: int, shape: tuple[int, ...], format: str = "npz", states: int = 0) -> None:
    """Raise OSError if ``target`` has less space than ``count`` samples of ``shape`` will take, by estimate.

    ``format``: npz or a suffix.  ``states``: number of states of a trajectory that are saved too.
    """
    from ptdiff.documents.atomic import check_writable
    from ptdiff.documents.files import expanded

    size = count * (1 + states) * prod(shape) * _NUMBER.get(format, _TEXT)
    check_writable(expanded(target), max(size, _BLOCK))


def save(samples: Samples, target: Path, format: str | None = None) -> Path:
    """Save samples and return where.

    Raises OSError if that fails, after saving them as .npz beside the target, or in a temporary folder if that fails
    too; the message names the file.
    """
    from ptdiff.documents.files import expanded

    try:
        return samples.save(target, format)
    except OSError as error:
        spare = _kept(samples, expanded(target))
        raise OSError(
            f"{target} could not be written ({error.strerror or error}); the samples are in {spare}"
        ) from None


def _kept(samples: Samples, target: Path) -> Path:
    import tempfile

    beside = target.with_name(f"{target.stem or 'samples'}-kept.npz")
    try:
        if not beside.exists():
            return samples.save(beside)
    except OSError:
        # the same disk is full, or the folder is closed
        pass
    return samples.save(Path(tempfile.mkdtemp(prefix="ptdiff-")) / "samples.npz")
