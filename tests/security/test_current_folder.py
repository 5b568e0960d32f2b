"""Attacks by the current folder: the reader works inside the folder of a stranger."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ptdiff.modality import registry
from ptdiff_cli import doctor, main

PAYLOAD = "open({ran!r}, 'w').close()\n"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that code of the current folder would make."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("payload", "open3d", "imageio_ffmpeg", "torch"):
        Path(f"{name}.py").write_text(PAYLOAD.format(ran=str(tmp_path / "ran")))
    return tmp_path / "ran"


def installed(folder: Path, name: str, points: str) -> None:
    info = folder / f"{name}-9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}\n")


def test_the_doctor_runs_no_module_of_the_current_folder(ran: Path) -> None:
    doctor._open3d(), doctor._video()
    assert not ran.exists()


def test_no_process_that_a_command_starts_imports_from_the_current_folder(
    ran: Path, ptdiff, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    def child(**_: object) -> int:
        return subprocess.run([sys.executable, "-c", "import payload"], capture_output=True, check=False).returncode

    monkeypatch.setattr(main, "app", lambda _: child)
    assert ptdiff("list").returncode == 1 and not ran.exists()
    # what the reader put on the path himself is his
    monkeypatch.syspath_prepend(str(Path.cwd()))
    assert ptdiff("list").returncode == 0 and ran.exists()


@pytest.mark.parametrize("first", ["", "."])
def test_metadata_in_the_current_folder_brings_no_modality(
    ran: Path, theirs: Path, ptdiff, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:  # type: ignore[no-untyped-def]
    """As in python -c, python -m and a notebook, which put the current folder on the path."""
    monkeypatch.setattr(sys, "path", [first and str(Path.cwd()), *sys.path])
    installed(Path.cwd(), "evil", "evil = payload:Model\npoints2d = payload:Model")
    config = theirs / "config.yaml"
    config.write_text(config.read_text().replace("modality: points2d", "modality: evil"))
    done = ptdiff("sample", theirs, "-n", 1, "--steps", 1)
    assert done.returncode == 2 and "the modality 'evil'" in done.stderr
    assert not ran.exists() and "evil" not in ptdiff("modalities").stdout


def test_metadata_in_the_current_folder_hides_no_installed_plugin(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry.modalities()
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    installed(Path.cwd(), "ptdiff", "")
    installed(Path.cwd(), "Aaa", "points2d = payload:Model")
    assert registry.modalities() == before and not ran.exists()
