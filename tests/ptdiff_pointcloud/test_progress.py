"""The bar over reading a folder: on terminals, after a while, and gone when it is done."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.data.progress import bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Inside a test, as pytest sets stderr anew when one begins."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    return shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "clouds").mkdir()
    for i in range(7):
        np.save(tmp_path / "clouds" / f"{i}.npy", np.random.default_rng(i).random((20, 3)))
    return str(tmp_path / "clouds")


def test_reading_a_folder_shows_how_far_it_is(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr("ptdiff_pointcloud.data.progress._PATIENCE", 0.0)
    PointCloud(data=folder, points=8).dataset()
    text = terminal.getvalue()
    assert "reading the shapes" in text
    assert "7/7" in text
    # the line is erased and the cursor is back
    assert text.endswith("\x1b[2K")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_quick_work_shows_nothing(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    PointCloud(data=folder, points=8).dataset()
    assert terminal.getvalue() == ""


def test_nothing_is_shown_where_there_is_no_terminal(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptdiff_pointcloud.data.progress._PATIENCE", 0.0)
    PointCloud(data=folder, points=8).dataset()
    assert capsys.readouterr() == ("", "")


def test_the_bar_goes_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr("ptdiff_pointcloud.data.progress._PATIENCE", 0.0)

    def work() -> None:
        with bar("work") as report:
            assert report is not None
            report(1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert "work" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")
