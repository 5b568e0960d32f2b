"""The system's libraries that Open3D needs: exactly the missing ones are named, before anything is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from ptdiff.machine import libraries
from ptdiff.machine.libraries import OPEN3D, advice, missing, why_no_open3d


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian without libusb and X11."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(libraries, "_loads", lambda name: "usb" not in name and "X11" not in name)
    monkeypatch.setattr(libraries.shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.mark.usefixtures("lacking")
def test_exactly_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    assert missing() == ["libusb-1.0.so.0", "libX11.so.6"]
    text = advice(missing())
    assert "needs libusb-1.0.so.0 and libX11.so.6, which" in text
    assert text.endswith("sudo apt-get install libusb-1.0-0 libx11-6")
    assert "and" not in advice(["libGL.so.1"]).split(",")[0]
    assert why_no_open3d(ImportError("libusb-1.0.so.0: cannot open shared object file")) == text


@pytest.mark.usefixtures("lacking")
def test_other_reasons_are_told_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_no_open3d(ModuleNotFoundError("no", name="open3d")) == "Open3D is not installed: pip install open3d"
    monkeypatch.setattr(libraries, "_loads", lambda name: True)
    assert why_no_open3d(ImportError("GLIBC_2.35 not found")) == "Open3D cannot be imported (GLIBC_2.35 not found)"
    monkeypatch.setattr(libraries.shutil, "which", lambda name: None)
    assert "apt-get" not in advice(["libGL.so.1"])


@pytest.mark.usefixtures("lacking")
def test_no_other_system_lacks_any(monkeypatch: pytest.MonkeyPatch) -> None:
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        assert missing() == []


def test_it_runs_alone_as_the_makefile_runs_it() -> None:
    command = [sys.executable, "-I", "-S", str(Path(libraries.__file__))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [OPEN3D[name] for name in missing()]


def test_an_import_that_works_needs_none() -> None:
    # the table is complete: with all of it Open3D can be imported, or something else is the matter
    done = subprocess.run([sys.executable, "-c", "import open3d"], capture_output=True, text=True, check=False)
    said = done.stderr.strip().rpartition("\n")[2]
    assert bool(missing()) <= (done.returncode != 0)
    if "cannot open shared object" in said:
        assert any(name in said for name in missing()), said
