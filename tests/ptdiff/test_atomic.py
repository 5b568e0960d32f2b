"""Files are replaced whole, and nothing but a regular file is ever replaced."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ptdiff.documents import atomic
from ptdiff.documents.atomic import check_writable, whole, write_atomic
from ptdiff_datasets.writing import replacing

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="has no such nodes")


@contextmanager
def core(path: Path) -> Iterator[Callable[[bytes], object]]:
    with whole(path) as part:
        yield part.write_bytes


@contextmanager
def data_sets(path: Path) -> Iterator[Callable[[bytes], object]]:
    with replacing(path) as file:
        yield file.write


WAYS = pytest.mark.parametrize("writing", [core, data_sets])


@WAYS
def test_an_old_file_is_replaced_at_the_end_and_kept_after_an_error(writing, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "a.bin"
    file.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), writing(file) as write:
        write(bytes([1 // 0]))
    assert file.read_bytes() == b"old"
    with writing(file) as write:
        write(b"new")
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@POSIX
@WAYS
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_and_stays_a_link(writing, there: bool, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    target, link = tmp_path / "folder" / "target.bin", tmp_path / "link.bin"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    link.symlink_to(target)
    with writing(link) as write:
        write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["target.bin"]


@POSIX
@WAYS
def test_pipes_and_folders_are_refused_and_stay(writing, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pipe, folder = tmp_path / "pipe.npz", tmp_path / "folder.npz"
    os.mkfifo(pipe)
    folder.mkdir()
    through = tmp_path / "link.npz"
    through.symlink_to(pipe)
    for path, said in ((pipe, "a device or a pipe"), (through, "a device or a pipe"), (folder, "is a folder")):
        with pytest.raises(OSError, match=said), writing(path) as write:
            write(b"new")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert folder.is_dir()


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_devices_are_refused_and_stay(tmp_path: Path) -> None:
    for device in ("/dev/full", "/dev/null", "/dev/stdout"):
        if not Path(device).exists() or Path(device).is_file():
            continue
        before = Path(device).stat()
        with pytest.raises(OSError, match="a device or a pipe, not a file"):
            write_atomic(Path(device), "text")
        with pytest.raises(OSError, match="a device or a pipe, not a file"):
            check_writable(Path(device), kind="file")
        assert stat.S_IFMT(Path(device).stat().st_mode) == stat.S_IFMT(before.st_mode)


def test_a_target_that_can_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    for path in (tmp_path / "a.npz", tmp_path / "new" / "deep" / "a.npz", tmp_path / "folder", tmp_path):
        check_writable(path, 10)
    assert list(tmp_path.iterdir()) == []


def test_a_target_below_a_file_or_without_space_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "a.npz")
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OSError, match=r"needs [\d,]+ bytes, and .* has [\d,]+ bytes free"):
        check_writable(tmp_path / "a.npz", 2 * free + 10**9)


def test_names_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot contain a null character"):
        check_writable(tmp_path / "a\0b.npz")
    with pytest.raises(OSError, match="- is not a file: standard output"):
        check_writable(Path("-"))


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(OSError, match="cannot be written: Permission denied"):
        check_writable(closed / "a.npz")


@POSIX
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="has no /proc")
def test_a_file_system_that_takes_no_files_is_refused_also_for_root() -> None:
    with pytest.raises(OSError, match="cannot be written"):
        check_writable(Path("/proc/self/a.npz"))


def test_a_temporary_file_has_no_name_to_guess_and_is_never_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len({atomic.temporary(tmp_path) for _ in range(100)}) == 100
    victim, guessed = tmp_path / "victim", tmp_path / "guessed"
    victim.write_text("mine")
    guessed.symlink_to(victim)
    monkeypatch.setattr(atomic, "temporary", lambda folder: guessed)
    with pytest.raises(FileExistsError):
        atomic.write_atomic(tmp_path / "new", "theirs")
    assert victim.read_text() == "mine" and not (tmp_path / "new").exists()
