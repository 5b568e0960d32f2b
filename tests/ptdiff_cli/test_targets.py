"""Output files: what cannot be written is refused before any work, and finished samples are never lost."""

import os
import re
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from ptdiff.model import load
from ptdiff.sampling.samples import Samples
from ptdiff_cli.shared import target as targets

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="has no such nodes")

COMMANDS = {
    "sample": ["sample", "swissroll", "-n", 2],
    "render": ["render", "FILE"],
    "edit": ["edit", "swissroll", "FILE"],
    "interpolate": ["interpolate", "swissroll"],
    "likelihood": ["likelihood", "swissroll", "-n", 2],
    "optimize": ["optimize", "swissroll"],
    "train": ["train", "-m", "points2d", "--steps", 1],
    "gallery": ["gallery", "samples", "swissroll"],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples of the plane."""
    path = tmp_path_factory.mktemp("given") / "samples.npz"
    load("swissroll", device="cpu").sample(2, steps=2).save(path)
    return path


@POSIX
@pytest.mark.parametrize("command", COMMANDS)
def test_a_pipe_is_refused_before_any_work_and_stays(command: str, file: Path, tmp_path: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    pipe = tmp_path / ("pipe.png" if command in ("render", "gallery") else "pipe.npz")
    os.mkfifo(pipe)
    done = ptdiff(*[file if word == "FILE" else word for word in COMMANDS[command]], "--out", pipe)
    assert done.returncode == 1
    assert "is a device or a pipe, not a file" in done.stderr
    assert "calls" not in done.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="has no /proc")
def test_a_place_that_takes_no_files_is_refused_before_any_work(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("sample", "swissroll", "-n", 2, "--out", "/proc/self/a.npz")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "calls" not in done.stderr


@POSIX
def test_a_link_is_followed(tmp_path: Path, ptdiff) -> None:  # type: ignore[no-untyped-def]
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    link.symlink_to(target)
    assert ptdiff("sample", "swissroll", "-n", 2, "--steps", 2, "--out", link).returncode == 0
    assert link.is_symlink()
    assert np.load(target, allow_pickle=False)["samples"].shape == (2, 2)


def test_samples_that_cannot_be_written_in_the_end_are_kept(file: Path, tmp_path: Path) -> None:
    samples = Samples.read(file)
    folder = tmp_path / "taken.npz"
    folder.mkdir()
    with pytest.raises(OSError, match=r"could not be written .*; the samples are in (.*)") as caught:
        targets.save(samples, folder, "npz")
    kept = Path(re.findall(r"the samples are in (.*)$", str(caught.value))[0])
    assert np.array_equal(np.load(kept, allow_pickle=False)["samples"], samples.stored.samples)
    kept.unlink()
