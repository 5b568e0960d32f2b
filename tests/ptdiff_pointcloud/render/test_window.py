"""The window is refused in words where it cannot open; opening one needs a person."""

import sys

import numpy as np
import pytest

from ptdiff_pointcloud.render import show

CLOUD = np.random.default_rng(0).normal(size=(20, 3))


@pytest.mark.usefixtures("open3d")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells displays by the environment")
def test_without_a_display_no_window_is_tried(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(RuntimeError, match="DISPLAY is not set"):
        show([CLOUD], ["noise"])


@pytest.mark.usefixtures("open3d")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells displays by the environment")
def test_a_display_that_does_not_answer_is_no_display(monkeypatch):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(RuntimeError, match="display :4711 does not answer"):
        show([CLOUD])


def test_without_open3d_the_message_says_so(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(RuntimeError, match=r"Open3D is not installed: pip install open3d"):
        show([CLOUD])


def test_bad_clouds_are_refused_before_any_window():
    with pytest.raises(ValueError, match="no cloud"):
        show([])
    with pytest.raises(ValueError, match="not finite"):
        show([CLOUD * np.nan])
