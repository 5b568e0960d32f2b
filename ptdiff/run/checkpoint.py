"""Checkpoints that survive a kill at any moment, and say so when they did not.

    <folder>/<step>/{<part>.safetensors …, state.json, MANIFEST.sha256, COMMITTED}

Writing: everything goes into a temporary folder beside the target, each file is flushed to the disk and its SHA-256
put into MANIFEST.sha256; the folder is renamed, and only then COMMITTED, which holds the hash of the manifest, is
written. Reading: the newest checkpoint that verifies; one that does not is renamed to ``<step>.damaged`` and never
deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST, COMMITTED, STATE = "MANIFEST.sha256", "COMMITTED", "state.json"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    if sys.platform == "win32":
        # there a folder cannot be opened, and a file must be opened for writing
        if path.is_file():
            with path.open("r+b") as file:
                os.fsync(file.fileno())
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` at once: readers see the old file or the new one, never a part."""
    temporary = _temporary(path.parent)
    try:
        temporary.write_text(text, encoding="utf-8")
        _flush(temporary)
        temporary.replace(path)
        # the file is on the disk, its name is not until the folder is
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(folder: Path) -> Path:
    return folder / f".tmp-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk that verified."""

    path: Path
    state: Mapping[str, Any]

    @property
    def step(self) -> int:
        return int(self.path.name)

    def tensors(self, part: str) -> dict[str, Tensor]:
        """The tensors of one part, on the CPU."""
        from safetensors.torch import load_file

        tensors: dict[str, Tensor] = load_file(self.path / f"{part}.safetensors")
        return tensors


def save(
    folder: Path, step: int, parts: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], *, keep: int = 2
) -> Checkpoint:
    """Write ``parts`` (name to tensors) and ``state`` (JSON values) as the checkpoint of ``step``.

    A checkpoint of that step that verifies is left as it is.  Older checkpoints beyond the newest ``keep`` are
    removed, once that many verify.  CheckpointError says why nothing was written: the earlier checkpoints are then as
    they were.
    """
    from safetensors import SafetensorError

    final = folder / str(step)
    try:
        if problem(final) is not None:
            _write(final, parts, state)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint of step {step} was not written: {error}") from error
    try:
        _prune(folder, keep)
        return Checkpoint(final, json.loads((final / STATE).read_bytes()))
    except OSError as error:
        raise CheckpointError(
            f"checkpoint of step {step} is written, but older ones cannot be removed: {error}"
        ) from error


def _write(final: Path, parts: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    folder = final.parent
    folder.mkdir(parents=True, exist_ok=True)
    size = sum(t.numel() * t.element_size() for part in parts.values() for t in part.values())
    free = shutil.disk_usage(folder).free
    if free < 2 * size:
        raise OSError(f"{folder}: {free >> 20} MiB free, a checkpoint needs {2 * size >> 20} MiB to be safe")
    temporary = _temporary(folder)
    try:
        temporary.mkdir()
        for name, tensors in parts.items():
            # cloned, because safetensors refuses two names (tied weights) for one memory
            save_file(
                {k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()},
                temporary / f"{name}.safetensors",
            )
        (temporary / STATE).write_text(json.dumps(dict(state), indent=1), encoding="utf-8")
        files = sorted(temporary.iterdir())
        manifest = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
        (temporary / MANIFEST).write_text(manifest, encoding="utf-8")
        for file in [*files, temporary / MANIFEST, temporary]:
            _flush(file)
        if final.exists():
            _set_aside(final)
        temporary.rename(final)
        try:
            _flush(folder)
            write_atomic(final / COMMITTED, _seal(manifest.encode()))
        except OSError:
            _discard(final)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _seal(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest() + "\n"


def problem(path: Path) -> str | None:
    """Why the checkpoint at ``path`` cannot be trusted; None if it verifies."""
    try:
        # bytes, because text is read with some freedom (line ends), and every bit counts
        manifest = (path / MANIFEST).read_bytes()
        if (path / COMMITTED).read_bytes() != _seal(manifest).encode():
            return "the manifest is not the one that was committed"
        for line in manifest.decode().splitlines():
            digest, _, name = line.partition("  ")
            if sha256(path / name) != digest:
                return f"{name} has changed since it was written"
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        return "it was never committed" if missing == COMMITTED else f"{missing} is missing"
    except OSError as error:
        return str(error)
    return None


def _steps(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.name.isdecimal()), key=lambda p: int(p.name), reverse=True)


def _set_aside(path: Path) -> Path:
    target = path.with_name(f"{path.name}.damaged")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(target)
    return target


def latest(folder: Path, warn: Any = None, *, repair: bool = False) -> Checkpoint | None:
    """The newest checkpoint that verifies, or None.  ``warn`` is called with a line about each that does not.

    repair: set the damaged ones aside, which is for who owns the run (training); readers leave them in place.
    """
    if repair and folder.is_dir():
        for leftover in folder.glob(".tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True)
    for path in _steps(folder):
        reason = problem(path)
        if reason is None:
            state = json.loads((path / STATE).read_text(encoding="utf-8"))
            return Checkpoint(path, state)
        place = _set_aside(path) if repair else path
        if warn is not None:
            warn(f"checkpoint {place} is not used: {reason}")
    return None


def _prune(folder: Path, keep: int) -> None:
    good = [path for path in _steps(folder) if problem(path) is None]
    for path in good[keep:]:
        _discard(path)


def _discard(path: Path) -> None:
    # out of sight first: a folder half deleted must not look like a checkpoint
    hidden = _temporary(path.parent)
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)
