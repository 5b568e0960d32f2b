"""Output paths: what cannot be written is refused before any work, and finished samples are never lost."""

import inspect
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import typer

from ptdiff.model import load
from ptdiff.sampling.samples import Samples
from ptdiff_cli.main import app
from ptdiff_cli.shared import target as targets

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="has no such nodes")

INPUTS = {"weak", "sweep"}
"""Options for paths that are read, not written."""

CALLS: Mapping[str, list[object]] = {
    "sample --out": ["sample", "swissroll", "-n", 2],
    "edit --out": ["edit", "swissroll", "FILE"],
    "complete --out": ["complete", "shapes", "FILE"],
    "upsample --out": ["upsample", "shapes", "FILE", "--points", 64],
    "interpolate --out": ["interpolate", "swissroll"],
    "optimize --out": ["optimize", "swissroll"],
    "render --out": ["render", "FILE"],
    "mesh --out": ["mesh", "FILE"],
    "gallery --out": ["gallery", "samples", "swissroll"],
    "eval --report": ["eval", "swissroll"],
    "likelihood --out": ["likelihood", "swissroll", "-n", 2],
    "certify --out": ["certify", "--only", "orders"],
    "train --out": ["train", "-m", "points2d", "--steps", 1],
    "bench train --out": ["bench", "train"],
    "bench solvers --out": ["bench", "solvers"],
    "runs compare --plot": ["runs", "compare", "swissroll"],
    "data import target": ["data", "import", "FILE"],
    "config show --out": ["config", "show", "swissroll"],
    "config schema --out": ["config", "schema"],
    "data check --render": ["data", "check", "FILE"],
    "plugin new --out": ["plugin", "new", "molecules"],
}
"""A call of every command that writes, without the output path; a new command must be added here."""

FOLDERS = {"train --out", "mesh --out", "data import target", "plugin new --out"}
SUFFIX = {
    "data check --render": ".png",
    "render --out": ".png",
    "gallery --out": ".png",
    "eval --report": ".html",
    "runs compare --plot": ".png",
}


def outputs(found: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every path that a command of the app writes to, with its declaration."""
    for command in found.registered_commands:
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            said = next(iter(getattr(hint, "__metadata__", ())), None)
            option = isinstance(said, typer.models.OptionInfo)
            if "Path" in str(hint) and ((option and name not in INPUTS) or name == "target"):
                word = command.name or command.callback.__name__
                yield " ".join([*path, word, f"--{name}" if option else name]), said
    for group in found.registered_groups:
        assert group.typer_instance is not None and isinstance(group.name, str)
        yield from outputs(group.typer_instance, (*path, group.name))


def test_every_path_that_a_command_writes_is_tried_before_the_work() -> None:
    there = dict(outputs(app()))
    assert set(there) == set(CALLS)
    checks = (targets.writable, targets.writable_folder, targets.writable_either)
    assert {name for name, said in there.items() if said.callback not in checks} == set()
    assert {name for name, said in there.items() if said.callback is targets.writable_folder} == FOLDERS
    assert all(inspect.getdoc(check) for check in checks)


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def listening(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        # a relative name, because those of sockets may have hardly more than 100 characters
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            made.bind(path.name)
        finally:
            os.chdir(before)
    return path


def device(kind: int) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        try:
            # numbers of no driver: nothing can be written even if the check fails
            os.mknod(path, kind | 0o600, os.makedev(240, 17))
        except PermissionError:
            pytest.skip("only root may make devices")
        return path

    return make


def link_to(target: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.symlink_to(target)
        return path

    return make


def linked_pipe(path: Path) -> Path:
    path.symlink_to(pipe(path.with_name("pipe")))
    return path


def existing(name: str) -> Callable[[Path], Path]:
    return lambda path: Path(name) if Path(name).exists() else pytest.skip(f"has no {name}")


def linked_kernel(path: Path) -> Path:
    return link_to(f"{existing('/proc/self')(path)}/a")(path)


def below_a_file(path: Path) -> Path:
    path.write_text("mine")
    return path / f"a{path.suffix}"


def closed(path: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (path.parent / "closed").mkdir(mode=0o555)
    return path.parent / "closed" / path.name


def too_long(path: Path) -> Path:
    return path.with_name("a" * 300 + path.suffix)


def standard_output(path: Path) -> Path:
    return Path("-")


REFUSED: Mapping[str, tuple[Callable[[Path], Path], str]] = {
    "a full device": (existing("/dev/full"), "is a device or a pipe, not a f"),
    "the null device": (existing("/dev/null"), "is a device or a pipe, not a f"),
    "a pipe": (pipe, "is a device or a pipe, not a f"),
    "a socket": (listening, "is a device or a pipe, not a f"),
    "a block device": (device(stat.S_IFBLK), "is a device or a pipe, not a f"),
    "a character device": (device(stat.S_IFCHR), "is a device or a pipe, not a f"),
    "a link to a device": (link_to("/dev/null"), "is a device or a pipe, not a f"),
    "a link to a pipe": (linked_pipe, "is a device or a pipe, not a f"),
    "a loop of links": (lambda path: link_to(path.name)(path), "cannot be written"),
    "a link to a place that takes no files": (linked_kernel, "cannot be written"),
    "a place that takes no files": (lambda path: existing("/proc/self")(path) / path.name, "cannot be written"),
    "a folder that takes no files": (closed, "cannot be written: Permission denied"),
    "a path through a file": (below_a_file, "is not a folder"),
    "a name that is too long": (too_long, "cannot be written: File name too long"),
    "standard output": (standard_output, "standard output cannot be written to"),
}


def state(path: Path) -> object:
    """What a node is, without following links."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError) as error:
        return type(error)
    return found.st_mode, found.st_ino, found.st_rdev, path.read_bytes() if stat.S_ISREG(found.st_mode) else b""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples of the plane."""
    path = tmp_path_factory.mktemp("given") / "samples.npz"
    load("swissroll", device="cpu").sample(2, steps=2).save(path)
    return path


def call(ptdiff: Any, name: str, file: Path, target: Path, cwd: Path) -> Any:
    option = [] if name.endswith("target") else [name.split()[-1]]
    return ptdiff(*[file if word == "FILE" else word for word in CALLS[name]], *option, target, cwd=cwd)


@POSIX
@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", CALLS)
def test_it_is_refused_in_one_line_before_any_work_and_stays(  # type: ignore[no-untyped-def]
    name: str, case: str, file: Path, tmp_path: Path, ptdiff, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, said = REFUSED[case]
    suffix = "" if name in FOLDERS else SUFFIX.get(name, ".npz")
    target = make(tmp_path / f"target{suffix}")
    before, there = state(target), sorted(tmp_path.iterdir())
    # nothing is opened, read or computed
    for module, work in (("ptdiff.run.folder.Run", "open"), ("ptdiff.run.models", "located")):
        monkeypatch.setattr(f"{module}.{work}", lambda *_, **__: pytest.fail("the work began"))
    done = call(ptdiff, name, file, target, tmp_path)
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert state(target) == before
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize("name", CALLS)
def test_a_folder_is_no_file_and_a_file_no_folder(name: str, file: Path, tmp_path: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / f"target{'' if name in FOLDERS else SUFFIX.get(name, '.npz')}"
    if name in FOLDERS:
        target.write_text("mine")
    else:
        target.mkdir()
    done = call(ptdiff, name, file, target, tmp_path)
    assert done.returncode in (1, 2), done.stderr
    assert ("is a file, not a folder" if name in FOLDERS else "is a folder, not a file") in done.stderr or (
        name == "gallery --out" and "the suffix must be" in done.stderr
    ), done.stderr
    assert "network calls" not in done.stderr
    assert target.read_text() == "mine" if name in FOLDERS else list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["sample", "edit", "interpolate"])
def test_an_unknown_suffix_is_refused_before_the_work(name: str, file: Path, tmp_path: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = call(ptdiff, f"{name} --out", file, tmp_path / "a.cvs", tmp_path)
    assert done.returncode == 2
    assert "did you mean 'csv'" in done.stderr
    assert "network calls" not in done.stderr


def link_to_file(path: Path) -> Path:
    (path.parent / "real.npz").write_text("old")
    return link_to("real.npz")(path)


def old_file(path: Path) -> Path:
    path.write_text("old")
    return path


ACCEPTED: Mapping[str, Callable[[Path], Path]] = {
    "a new file": lambda path: path,
    "a file": old_file,
    "a link to a file": link_to_file,
    "a link to no file": link_to("later.npz"),
    "a link into no folder": link_to("new/deep/later.npz"),
    "missing parents": lambda path: path.parent / "new" / "deep" / path.name,
    "a name as long as can be": lambda path: path.with_name("a" * 251 + ".npz"),
    "a name of other letters": lambda path: path.with_name("Stühle für Zoë 椅子.npz"),
}


@POSIX
@pytest.mark.parametrize("case", ACCEPTED)
def test_it_is_written_links_are_followed_and_nothing_else_is_left(case: str, tmp_path: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    target = ACCEPTED[case](tmp_path / "target.npz")
    link = target.is_symlink()
    done = ptdiff("sample", "swissroll", "-n", 2, "--steps", 2, "--out", target)
    assert done.returncode == 0, done.stderr
    assert target.is_symlink() == link
    assert np.load(target, allow_pickle=False)["samples"].shape == (2, 2)
    assert not list(tmp_path.rglob(".*"))


def test_a_run_is_never_replaced(run: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    before = (run / "config.yaml").read_bytes()
    done = ptdiff("train", "-m", "points2d", "--steps", 1, "--out", run)
    assert done.returncode == 2
    assert "already contains a run" in done.stderr
    assert (run / "config.yaml").read_bytes() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if shutil.which("mount") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_what_needs_more_space_than_the_disk_has_is_refused_before_the_work(small_disk: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    for arguments in (
        ["sample", "swissroll", "-n", 10_000],
        ["sample", "swissroll", "-n", 5_000, "--format", "csv"],
        ["sample", "swissroll", "-n", 500, "--trajectory", "--steps", 30],
        ["interpolate", "swissroll", "--frames", 10_000],
    ):
        suffix = "csv" if "csv" in arguments else "npz"
        done = ptdiff(*arguments, "--out", small_disk / f"a.{suffix}")
        assert done.returncode == 1, done.stderr
        assert re.search(r"needs [\d,]+ bytes, and .* has [\d,]+ bytes free", done.stderr), done.stderr
        assert "network calls" not in done.stderr
    assert list(small_disk.iterdir()) == []


def test_every_command_refuses_a_full_disk(small_disk: Path, file: Path, tmp_path: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    for name in CALLS:
        target = small_disk / f"target{'' if name in FOLDERS else SUFFIX.get(name, '.npz')}"
        done = call(ptdiff, name, file, target, tmp_path)
        assert done.returncode == 1, (name, done.stderr)
        assert "0 bytes free" in done.stderr or "No space left" in done.stderr, (name, done.stderr)
        assert "network calls" not in done.stderr, name


def test_a_disk_that_fills_up_meanwhile_loses_no_samples(small_disk: Path, ptdiff, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(targets, "check_space", lambda *_, **__: None)
    monkeypatch.setattr("ptdiff_cli.sample.check_space", lambda *_, **__: None)
    (small_disk / "a.npz").write_bytes(b"old")
    done = ptdiff("sample", "swissroll", "-n", 20_000, "--steps", 1, "--out", small_disk / "a.npz")
    assert done.returncode == 1
    kept = Path(re.findall(r"the samples are in (\S+)", done.stderr)[0])
    assert np.load(kept, allow_pickle=False)["samples"].shape == (20_000, 2)
    assert (small_disk / "a.npz").read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["a.npz"]
    kept.unlink()


@POSIX
def test_a_limit_on_the_size_of_files_loses_no_finished_file(file: Path, tmp_path: Path) -> None:
    import resource
    import signal

    samples = Samples.read(file)
    old = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (tmp_path / "a.npz").write_bytes(b"old")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, old[0][1]))
        with pytest.raises(OSError, match="File too large"):
            samples.save(tmp_path / "a.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old[0])
        signal.signal(signal.SIGXFSZ, old[1])
    assert (tmp_path / "a.npz").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_samples_that_cannot_be_written_in_the_end_are_kept_beside_the_target(file: Path, tmp_path: Path) -> None:
    samples = Samples.read(file)
    folder = tmp_path / "taken.npz"
    folder.mkdir()
    with pytest.raises(OSError, match=r"could not be written .*; the samples are in (.*)") as caught:
        targets.save(samples, folder, "npz")
    kept = Path(re.findall(r"the samples are in (.*)$", str(caught.value))[0])
    assert kept == tmp_path / "taken-kept.npz"
    assert np.array_equal(np.load(kept, allow_pickle=False)["samples"], samples.stored.samples)
    # a file that was kept earlier stays
    with pytest.raises(OSError, match=r"the samples are in (.*)") as caught:
        targets.save(samples, folder, "npz")
    other = Path(re.findall(r"the samples are in (.*)$", str(caught.value))[0])
    assert other != kept
    other.unlink()
