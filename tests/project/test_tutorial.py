"""The tutorial, followed to the letter in an empty folder: every file is written, and every command runs."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptdiff.testing import PARTS, Subject, findings

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELSEWHERE = ("pip install build twine", "twine upload ptdiff-leaves/dist/*")
"""Commands that need the network."""
LESS = {"--minutes 1": "--steps 4", "--minutes 5": "--steps 8", "-n 300": "-n 24", "--steps 100": "--steps 4"}
LESS |= {"--steps 200": "--steps 8", "-n 15": "-n 3 --steps 2", "-n 20": "-n 12 --steps 2", "-n 12 --l": "-n 2 --l"}


def parts() -> Iterator[tuple[str, str]]:
    """The files and commands of the page in order: ("ptdiff_leaves/data.py", text) or ("", command)."""
    for kind, text in BLOCK.findall(PAGE):
        if kind == "sh":
            yield from (("", line) for line in text.splitlines())
        else:
            first, _, rest = text.partition("\n")
            yield first.removeprefix("# "), rest


def test_every_block_is_a_file_or_a_command() -> None:
    assert {kind for kind, _ in BLOCK.findall(PAGE)} == {"python", "yaml", "sh"}
    named = [name for name, _ in parts() if name]
    assert len(set(named)) == len(named) == 7
    assert all(re.fullmatch(r"(ptdiff_leaves|tests)/[\w/-]+\.(py|yaml)", name) for name in named)
    commands = [text for name, text in parts() if not name]
    assert set(ELSEWHERE) <= set(commands)
    assert all(any(few in command for command in commands) for few in LESS)


def test_every_file_is_formatted_and_clean(tmp_path: Path) -> None:
    for name, text in parts():
        if name.endswith(".py"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "ruff.toml").write_text(
        'line-length = 120\nlint.isort.known-first-party = ["ptdiff_leaves", "ptdiff"]\n'
    )
    for command in (["check", "--select", "E,F,W,I,UP,B"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_files_of_the_page_pass_the_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in parts():
        if name.startswith("ptdiff_leaves/") and name.endswith(".py"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    leaves = importlib.import_module("ptdiff_leaves")
    checks = [check.__name__ for part in ("data", "images", "files", "metrics") for check in PARTS[part]]
    found = list(findings(Subject(leaves.Leaves(count=48)), checks))
    assert [(one.check, one.problem) for one in found if one.problem] == []
    assert len([one for one in found if not one.skipped]) > 30
    for module in [name for name in sys.modules if name.partition(".")[0] == "ptdiff_leaves"]:
        monkeypatch.delitem(sys.modules, module)


def follow(folder: Path, environment: dict[str, str]) -> None:
    """Follow the page in an empty folder, with shorter training and fewer samples."""
    for name, text in parts():
        if name:
            path = folder / "ptdiff-leaves" / name
            assert path.parent.is_dir(), f"{name}: the folder is not there yet"
            path.write_text(text, encoding="utf-8")
            continue
        if text in ELSEWHERE:
            continue
        for much, little in LESS.items():
            text = text.replace(much, little)
        words = shlex.split(text)
        if words[:2] == ["pip", "install"]:
            install(folder, environment)
            continue
        run = {"ptdiff": ["-m", "ptdiff_cli.main"], "python": []}[words[0]]
        command = [sys.executable, *run, *words[1:]]
        if words[:3] == ["python", "-m", "build"]:
            command.append("--no-isolation")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def install(folder: Path, environment: dict[str, str]) -> None:
    """Do what ``pip install -e`` does, without pip: metadata and a path."""
    import tomllib

    source = folder / "ptdiff-leaves"
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "site" / f"ptdiff_leaves-{project['version']}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {name}\n" for name in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        f"Requires-Python: {project['requires-python']}\n{needs}"
    )
    (group,) = project["entry-points"]
    lines = "".join(f"{name} = {target}\n" for name, target in project["entry-points"][group].items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    found = [str(source), str(info.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, found))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_works_in_an_empty_folder(tmp_path: Path, environment: dict[str, str]) -> None:
    follow(tmp_path, environment)
    for name in ("first.png", "leaves.png", "report.html", "stars.npz", "leaves-model/model.safetensors"):
        assert (tmp_path / name).stat().st_size > 500, name
    assert len(list((tmp_path / "outlines").glob("*.csv"))) == 12
