"""Output files: tried before the work, and samples kept if writing them fails in the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptdiff.sampling.samples import Samples


def writable(path: Path | None) -> Path | None:
    """Return the path of an option unchanged; raise OSError if nothing can be written there, before any work."""
    if path is not None:
        from ptdiff.atomic import check_writable

        check_writable(path.expanduser())
    return path


def save(samples: Samples, target: Path, format: str | None = None) -> Path:
    """Save samples and return where.

    Raises OSError if that fails, after saving them as .npz in a temporary folder that the message names.
    """
    try:
        return samples.save(target, format)
    except OSError as error:
        import tempfile

        spare = samples.save(Path(tempfile.mkdtemp(prefix="ptdiff-")) / "samples.npz")
        raise OSError(
            f"{target} could not be written ({error.strerror or error}); the samples are in {spare}"
        ) from None
