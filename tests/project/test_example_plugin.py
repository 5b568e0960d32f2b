"""The third-party plugin of the documentation: installed as a distribution of its own, checked and trained."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example is installed beside ptdiff."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "ptdiff_waves.py"):
        (source / name).write_bytes((ROOT / "examples" / "waves" / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(folder),
    ]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _ptdiff(installed: dict[str, str], *arguments: str | Path) -> str:
    command = [sys.executable, "-m", "ptdiff_cli.main", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=installed, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_is_listed_conforms_trains_samples_and_renders(installed: dict[str, str], tmp_path: Path) -> None:
    assert "ptdiff-waves" in _ptdiff(installed, "modalities")
    found = json.loads(_ptdiff(installed, "plugin", "check", "waves", "--json"))
    assert (found["failed"], found["ran"] + found["skipped"]) == (0, len(found["checks"]))
    assert found["ran"] >= 70
    assert "FAIL" not in _ptdiff(installed, "modalities", "waves", "--check")
    run = tmp_path / "waves"
    _ptdiff(installed, "train", "-m", "waves", "-o", "count=256", "--steps", 40, "--out", run)
    _ptdiff(installed, "sample", run, "-n", 6, "--steps", 5, "--out", tmp_path / "w.npz")
    _ptdiff(installed, "render", tmp_path / "w.npz", "--out", tmp_path / "w.png")
    assert (tmp_path / "w.png").stat().st_size > 1000
    assert "sliced_wasserstein" in _ptdiff(installed, "eval", run, "-n", 12, "--steps", 5, "--json")
