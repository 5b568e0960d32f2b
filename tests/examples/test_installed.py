"""The wheels of ptdiff and of every example, installed into a fresh environment, used, and removed again."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
FEW = {"count": "64", "length": "1024", "width": "16", "layers": "1"}
"""Options that make an example small, for those that have them; the length is for sounds."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def missing(folder: Path) -> list[str]:
    """Libraries that an example needs and this environment lacks."""
    names = [re.split(r"[^\w.-]", need)[0] for need in project(folder)["dependencies"]]
    return [name for name in names if name != "ptdiff" and not installed(name)]


def installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def wheel(source: Path, folder: Path, names: list[str]) -> Path:
    """Build a wheel from a copy of ``names`` in ``source``: a build must leave nothing in the checkout."""
    copy = folder / "source" / source.name
    left = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    copy.mkdir(parents=True)
    for path in (source / name for name in names):
        if path.is_dir():
            shutil.copytree(path, copy / path.name, ignore=left)
        else:
            shutil.copy(path, copy)
    out = folder / "wheels" / source.name
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


class Environment:
    """A fresh environment with the libraries of this one, in which only the wheels of the test are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
        self.python = folder / "env" / "bin" / "python"
        self.site = Path(self.output("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        # the path alone: .pth files there are not followed, and a ptdiff there comes after the wheel
        (self.site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def call(self, *arguments: str | Path) -> CompletedProcess[str]:
        outside = ("PYTHONPATH", "PYTHONHOME", "PTDIFF_PLUGINS")
        environment = {name: value for name, value in os.environ.items() if name not in outside}
        return subprocess.run(
            [str(self.python), *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )

    def output(self, *arguments: str | Path) -> str:
        done = self.call(*arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ptdiff(self, *arguments: str | Path) -> str:
        return self.output("-m", "ptdiff_cli.main", *arguments)

    def pip(self, *arguments: str | Path) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def files(self) -> set[str]:
        """Files of the environment, without the bytecode of others."""
        found = (path.relative_to(self.site) for path in self.site.rglob("*") if path.is_file())
        return {str(path) for path in found if path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    made = Environment(tmp_path_factory.mktemp("fresh"))
    names = ["ptdiff", "plugins", "datasets", "cli", "pyproject.toml", "README.md", "LICENSE"]
    made.pip("install", "--no-index", "--no-deps", wheel(ROOT, made.folder, names))
    return made


def test_ptdiff_is_that_of_the_wheel(fresh: Environment) -> None:
    places = fresh.output("-c", "import ptdiff, ptdiff_images; print(ptdiff.__file__); print(ptdiff_images.__file__)")
    assert all(Path(place).is_relative_to(fresh.site) for place in places.splitlines())
    assert {"images", "pointcloud", "points2d"} <= {
        one["name"] for one in json.loads(fresh.ptdiff("modalities", "--json"))
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_installed_used_and_removed(fresh: Environment, example: Path, tmp_path: Path) -> None:
    lacking = missing(example)
    if lacking:
        pytest.skip(f"{example.name} needs {', '.join(lacking)}, which is not installed")
    about = project(example)
    (name,) = about["entry-points"]["ptdiff.modalities.v1"]
    before = fresh.files()
    left = ("__pycache__", "build", "dist")
    names = [path.name for path in example.iterdir() if path.name not in left and path.suffix != ".egg-info"]
    built = wheel(example, fresh.folder, names)
    fresh.pip("install", "--no-index", "--no-deps", built)

    listed = {one["name"]: one for one in json.loads(fresh.ptdiff("modalities", "--json"))}
    assert (listed[name]["distribution"], listed[name]["version"]) == (about["name"], about["version"])
    options = {one["name"] for one in json.loads(fresh.ptdiff("modalities", name, "--json"))["options"]}
    small = [word for key in sorted(options & set(FEW)) for word in ("-o", f"{key}={FEW[key]}")]
    found = json.loads(fresh.ptdiff("plugin", "check", name, *small, "--json"))
    assert found["failed"] == 0 and found["ran"] >= 70
    assert [check["skipped"] for check in found["checks"][-3:]] == [None] * 3, "the checks of metadata are skipped"

    run = tmp_path / "run"
    fresh.ptdiff("train", "-m", name, *small, "--steps", "6", "--out", run)
    fresh.ptdiff("resume", run, "--steps", "9")
    fresh.ptdiff("sample", run, "-n", "4", "--steps", "3", "--out", tmp_path / "samples.npz")
    fresh.ptdiff("render", tmp_path / "samples.npz", "--out", tmp_path / "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 1000
    report = tmp_path / "report.html"
    scores = json.loads(fresh.ptdiff("eval", run, "-n", "12", "--steps", "3", "--report", report, "--json"))["metrics"]
    assert scores and all(score["low"] <= score["high"] for score in scores.values())
    assert report.stat().st_size > 1000
    fresh.ptdiff("export", run, "--to", tmp_path / "shared", "--samples", "2")
    fresh.ptdiff("sample", tmp_path / "shared", "-n", "2", "--steps", "2", "--out", tmp_path / "shared.npz")

    fresh.pip("uninstall", "--yes", about["name"])
    assert fresh.files() == before
    assert name not in {one["name"] for one in json.loads(fresh.ptdiff("modalities", "--json"))}
    for place in (run, tmp_path / "shared"):
        done = fresh.call("-m", "ptdiff_cli.main", "sample", place, "-n", "2")
        assert done.returncode == 2 and f"pip install {about['name']}" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
