"""Checkpoints that survive a crash at any moment; damage is detected and reported.

    <folder>/<step>/{<part>.safetensors …, state.json, MANIFEST.sha256, COMMITTED}

To write a checkpoint, all files go into a temporary folder next to the target, with their SHA-256 in MANIFEST.sha256,
and are flushed to the disk.  The folder is renamed, and only then is COMMITTED written, which contains the hash of the
manifest.  Readers use the newest checkpoint that verifies.  Training renames one that is proven to be damaged to
``<step>.damaged`` and never deletes it; one that cannot be read ends training, because the next attempt may succeed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.documents.atomic import clear, flush, temporary, write_atomic
from ptdiff.documents.files import opened, read_bytes
from ptdiff.documents.jsons import read_json
from ptdiff.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST, COMMITTED, STATE = "MANIFEST.sha256", "COMMITTED", "state.json"

MOST_MANIFEST = 1 << 20
"""Largest manifest in bytes: a checkpoint has a handful of files, with a line of about 90 bytes each."""


MISSING = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Error numbers that say what a path is, not that it cannot be read now; None: it is no regular file."""


class Damaged(ValueError):
    """A checkpoint that is proven not to be what was committed; the message says why."""


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk.

    ``path``: its folder.
    ``state``: the contents of state.json.
    ``parts``: names of the parts that were committed; other files in the folder are not used.
    """

    path: Path
    state: Mapping[str, Any]
    parts: tuple[str, ...]

    @property
    def step(self) -> int:
        """The training step at which it was written."""
        return int(self.path.name)

    @property
    def elapsed(self) -> float:
        """Seconds of training up to it; raises CheckpointError if state.json has no such number."""
        found = self.state.get("elapsed")
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found < math.inf:
            raise CheckpointError(f"{self.path / STATE}: elapsed must be a number of seconds, not {str(found)[:80]!r}")
        return float(found)

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Load the tensors of one part, ``<part>.safetensors``, on the CPU, by name.

        Raises CheckpointError if they cannot be read, for example because training has removed the checkpoint since.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path / f"{part}.safetensors"
        if part not in self.parts:
            raise CheckpointError(f"{self.path} has no {part}; it has {', '.join(self.parts)}")
        try:
            tensors: dict[str, Tensor] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        return tensors


def save(
    folder: Path, step: int, parts: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], *, keep: int = 2
) -> Checkpoint:
    """Write ``parts`` (name to tensors) and ``state`` (JSON values) as the checkpoint of ``step``.

    A checkpoint of that step that verifies is left unchanged.  Of all checkpoints that verify, only the newest ``keep``
    are kept.

    Raises CheckpointError if the checkpoint was not written, in which case earlier ones are unchanged, or if older ones
    cannot be removed.
    """
    from safetensors import SafetensorError

    final = folder / str(step)
    try:
        try:
            verified(final)
        except Damaged:
            _write(final, parts, state)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint of step {step} was not written: {error}") from error
    try:
        kept = _prune(folder, keep)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint of step {step} was written, but older ones cannot be removed: {error}"
        ) from error
    if final in kept:
        return kept[final]
    try:
        # of an earlier step than others, or not readable
        return verified(final)
    except (Damaged, OSError) as error:
        raise CheckpointError(f"checkpoint of step {step} was written, but does not read back: {error}") from error


def _write(final: Path, parts: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    folder = final.parent
    folder.mkdir(parents=True, exist_ok=True)
    size = sum(t.numel() * t.element_size() for part in parts.values() for t in part.values())
    free = shutil.disk_usage(folder).free
    if free < 2 * size:
        raise OSError(f"{folder} has {free:,} bytes free, but a checkpoint needs {2 * size:,} bytes to be safe")
    fresh = temporary(folder)
    try:
        fresh.mkdir()
        for name, tensors in parts.items():
            # cloned, because safetensors refuses tensors that share memory (tied weights)
            save_file(
                {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()},
                fresh / f"{name}.safetensors",
            )
        (fresh / STATE).write_text(json.dumps(dict(state), indent=1), encoding="utf-8")
        for name in parts:
            # safetensors ignores the umask
            shutil.copymode(fresh / STATE, fresh / f"{name}.safetensors")
        files = sorted(fresh.iterdir())
        manifest = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
        (fresh / MANIFEST).write_text(manifest, encoding="utf-8")
        for file in [*files, fresh / MANIFEST, fresh]:
            flush(file)
        if final.exists():
            _set_aside(final)
        fresh.rename(final)
        try:
            flush(folder)
            write_atomic(final / COMMITTED, _seal(manifest.encode()))
        except OSError:
            _discard(final)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _seal(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest() + "\n"


def verified(path: Path) -> Checkpoint:
    """The checkpoint at ``path``, all files of which have been read and are those that were committed.

    Raises Damaged if they are proven not to be, and OSError if one cannot be read.
    """
    try:
        # bytes, because reading text converts line ends, and every bit counts
        manifest = read_bytes(path / MANIFEST, MOST_MANIFEST)
        if read_bytes(path / COMMITTED, MOST_MANIFEST) != _seal(manifest).encode():
            raise Damaged("the manifest has changed since it was committed")
        names = []
        for line in manifest.decode().splitlines():
            digest, _, name = line.partition("  ")
            if Path(name).name != name or name in ("", ".."):
                raise Damaged(f"the manifest names {name!r}, which is not in the folder")
            if sha256(path / name) != digest:
                raise Damaged(f"{name} has changed since it was written")
            names.append(name)
        parts = tuple(Path(name).stem for name in names if name.endswith(".safetensors"))
        state = read_json(path / STATE)
        if not isinstance(state, dict):
            raise Damaged(f"{STATE} is not a mapping")
        return Checkpoint(path, state, parts)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        reason = "it was never committed" if missing == COMMITTED else f"{missing} is missing"
        raise Damaged(reason) from None
    except OSError as error:
        if error.errno in MISSING:
            raise Damaged(str(error)) from None
        raise
    except MemoryError:
        # like a file that cannot be read: it proves nothing
        raise OSError(errno.ENOMEM, f"not enough memory to read {path}") from None
    except ValueError as error:
        raise Damaged(str(error)) from None


def problem(path: Path) -> str | None:
    """Verify the checkpoint at ``path``; returns a one-line reason if it cannot be used now, and None if it can."""
    try:
        verified(path)
    except (Damaged, OSError) as error:
        return str(error)
    return None


def _steps(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # 060 and ٦٠ are numbers too, but no names that save gives: two folders would be one step
    named = (p for p in folder.iterdir() if re.fullmatch(r"0|[1-9][0-9]{0,14}", p.name))
    return sorted(named, key=lambda p: int(p.name), reverse=True)


def _set_aside(path: Path) -> Path:
    target = path.with_name(f"{path.name}.damaged")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(target)
    return target


def latest(folder: Path, warn: Any = None, *, repair: bool = False) -> Checkpoint | None:
    """The newest checkpoint that verifies, or None.

    ``warn``: called with one line about each newer checkpoint that does not verify.
    ``repair``: rename damaged checkpoints and remove temporary folders.  Only training, which owns the run, does this;
    readers leave everything in place.

    With ``repair``, raises CheckpointError for a checkpoint that cannot be read, and changes nothing: continuing from
    an older one would discard the training since then.
    """
    if repair:
        clear(folder)
    for path in _steps(folder):
        place = path
        try:
            return verified(path)
        except Damaged as error:
            if not path.exists():
                # training has removed it since the folder was listed
                return latest(folder, warn, repair=repair)
            reason = str(error)
            place = _set_aside(path) if repair else path
        except OSError as error:
            reason = f"it cannot be read: {error}"
            if repair:
                raise CheckpointError(f"checkpoint {path} cannot be read: {error}; nothing was changed") from error
        if warn is not None:
            warn(f"checkpoint {place} is not used: {reason}")
    return None


def lost(folder: Path) -> list[Path]:
    """Checkpoints in ``folder`` that were committed and cannot be used, here or set aside as damaged."""
    found = folder.iterdir() if folder.is_dir() else ()
    numbered = (path for path in found if path.name.partition(".")[0].isdecimal())
    return sorted(path for path in numbered if (path / COMMITTED).exists() and problem(path) is not None)


def _prune(folder: Path, keep: int) -> dict[Path, Checkpoint]:
    """Remove all but the newest ``keep`` checkpoints that verify, and return those; others are left as they are."""
    good: dict[Path, Checkpoint] = {}
    for path in _steps(folder):
        try:
            found = verified(path)
        except (Damaged, OSError):
            continue
        if len(good) < keep:
            good[path] = found
        else:
            _discard(path)
    return good


def discard_after(folder: Path, step: int) -> None:
    """Delete the checkpoints in ``folder`` of steps after ``step``, and nothing that is not a checkpoint."""
    for path in _steps(folder):
        # by the names in it, damaged ones too
        if int(path.name) > step and not path.is_symlink() and (path / MANIFEST).is_file() and (path / STATE).is_file():
            _discard(path)


def _discard(path: Path) -> None:
    # renamed first, because a folder that is half deleted must not look like a checkpoint
    hidden = temporary(path.parent)
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)
