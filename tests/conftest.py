"""Fixtures shared by the tests in all folders."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """install(distribution, code, {group: {name: target}}): a distribution as pip leaves it, with one module.

    Returns the folder of its metadata.  The folder of all of them is at the end of the path, as site-packages is.
    """
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    # processes that a test starts
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(folder)]))

    def make(distribution: str, code: str, groups: Mapping[str, Mapping[str, str]], version: str = "1.2") -> Path:
        module = distribution.replace("-", "_")
        (folder / f"{module}.py").write_text(code)
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in groups.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return info

    return make


@pytest.fixture(scope="session")
def open3d() -> Any:
    """Open3D, for tests that need it: skipped if it cannot be imported, with what to install."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        from ptdiff.machine.libraries import why_no_open3d

        pytest.skip(why_no_open3d(error))
    return open3d
