"""Files that cannot be read prove no damage; damage without anything left asks before training begins again."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from pathlib import Path

import pytest
import torch

import ptdiff.run.checkpoint as checkpoint_file
from ptdiff.errors import CheckpointError
from ptdiff.run.checkpoint import COMMITTED, MANIFEST, STATE, Checkpoint, latest, problem, save

NUMBERS = [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENFILE]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def keep_state(folder: Path, step: int, keep: int = 2) -> None:
    tensors = {"w": torch.full((100,), float(step))}
    save(folder, step, {"model": tensors, "ema": tensors}, {"step": step}, keep=keep)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    keep_state(tmp_path / "c", 1)
    keep_state(tmp_path / "c", 2)
    return tmp_path / "c"


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """Let every read of a file ``name`` fail."""
    original = checkpoint_file.opened

    def opened(path: Path):  # type: ignore[no-untyped-def]
        if path.name == name:
            raise error
        return original(path)

    monkeypatch.setattr("ptdiff.documents.files.opened", opened)
    monkeypatch.setattr(checkpoint_file, "opened", opened)


@pytest.mark.parametrize("name", [MANIFEST, COMMITTED, STATE, "model.safetensors"])
@pytest.mark.parametrize("error", [*(OSError(n, os.strerror(n)) for n in NUMBERS), MemoryError()], ids=repr)
def test_training_stops_at_a_checkpoint_that_cannot_be_read_and_nothing_is_renamed(
    pair: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    before = contents(pair)
    with monkeypatch.context() as patch:
        unreadable(patch, name, error)
        with pytest.raises(CheckpointError, match=r"cannot be read.*nothing was changed") as caught:
            latest(pair, repair=True)
        lines: list[str] = []
        latest(pair, lines.append)
    assert "cannot be read" in lines[0]
    assert "\n" not in str(caught.value)
    assert contents(pair) == before
    assert latest(pair, repair=True).step == 2  # type: ignore[union-attr]


def test_a_prune_leaves_what_cannot_be_read(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = checkpoint_file.verified

    def fails(path: Path) -> Checkpoint:
        if path.name == "1":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(path)

    monkeypatch.setattr(checkpoint_file, "verified", fails)
    keep_state(pair, 3, keep=1)
    assert sorted(path.name for path in pair.iterdir()) == ["1", "3"]


def test_a_reader_beside_a_pruning_writer_always_finds_a_checkpoint(tmp_path: Path) -> None:
    folder, errors = tmp_path / "c", []
    keep_state(folder, 1, keep=1)
    done = threading.Event()

    def write() -> None:
        step = 1
        while not done.is_set():
            step += 1
            keep_state(folder, step, keep=1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            lines: list[str] = []
            found = latest(folder, lines.append)
            if found is None or any("missing" in line for line in lines):
                errors.append(lines)
    finally:
        done.set()
        writer.join()
    assert not errors


def test_a_checkpoint_pruned_while_it_is_verified_is_looked_for_again(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = checkpoint_file.sha256, []

    def sha256(path: Path) -> str:
        if not calls:
            calls.append(path)
            keep_state(pair, 3, keep=1)
        return original(path)

    monkeypatch.setattr(checkpoint_file, "sha256", sha256)
    lines: list[str] = []
    assert latest(pair, lines.append).step == 3  # type: ignore[union-attr]
    assert not lines


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_all_files_have_the_mode_that_the_umask_gives(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        keep_state(tmp_path, 1)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "1").iterdir()}
    assert set(modes.values()) == {0o666 & ~mask}, modes


def test_a_stray_file_outside_the_manifest_is_not_a_part(pair: Path) -> None:
    shutil.copy(pair / "2" / "model.safetensors", pair / "2" / "best.safetensors")
    found = latest(pair)
    assert found is not None
    assert sorted(found.parts) == ["ema", "model"]
    with pytest.raises(CheckpointError, match="has no best"):
        found.tensors("best")


@pytest.mark.parametrize("name", ["../1/model.safetensors", "/etc/hostname"])
def test_a_manifest_names_no_file_outside_its_folder(pair: Path, name: str) -> None:
    digest = checkpoint_file.sha256(pair / "2" / name) if "1" in name else "0" * 64
    manifest = f"{digest}  {name}\n".encode()
    (pair / "2" / MANIFEST).write_bytes(manifest)
    (pair / "2" / COMMITTED).write_text(checkpoint_file._seal(manifest))
    assert "which is not in the folder" in str(problem(pair / "2"))
