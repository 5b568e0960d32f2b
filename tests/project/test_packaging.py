"""The wheel, and what the repository promises about itself."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from ptdiff.machine import libraries

ROOT = Path(__file__).parents[2]
SOURCES = [p for folder in ("ptdiff", "plugins", "datasets", "cli", "examples") for p in (ROOT / folder).rglob("*.py")]


@pytest.mark.slow
def test_a_wheel_holds_only_names_that_start_with_ptdiff(tmp_path: Path) -> None:
    # built from a copy: a build folder left in the checkout would be packed too
    copy = tmp_path / "source"
    left = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("ptdiff", "plugins", "datasets", "cli"):
        shutil.copytree(ROOT / name, copy / name, ignore=left)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(copy),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {"ptdiff", "ptdiff_cli", "ptdiff_datasets", "ptdiff_images", "ptdiff_pointcloud", "ptdiff_points2d"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert all(any(name == f"{package}/py.typed" for name in names) for package in packages)
    in_wheel = {name for name in names if name.endswith(".py")}
    in_tree = {
        str(path.relative_to(ROOT if path.is_relative_to(ROOT / "ptdiff") else ROOT / path.relative_to(ROOT).parts[0]))
        for path in SOURCES
        if "examples" not in path.parts
    }
    assert in_wheel == in_tree
    recipes = {str(path.relative_to(ROOT / "plugins")) for path in (ROOT / "plugins").glob("*/recipes/*.yaml")}
    models = {
        str(path.relative_to(ROOT / "plugins")) for path in (ROOT / "plugins").glob("*/models/**/*") if path.is_file()
    }
    assert {name for name in names if name.endswith(".yaml")} == recipes | {m for m in models if m.endswith(".yaml")}
    assert {name for name in names if "/models/" in name} == models
    assert len({name.split("/")[2] for name in models}) == 3
    # in the wheel, which is compressed
    sizes = [info.compress_size for info in zipfile.ZipFile(wheel).infolist() if "/models/" in info.filename]
    assert sum(sizes) <= 3 * 10**6
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        held = {name.partition("/")[2] for name in packed.getnames()}
    assert {f"plugins/{name}" for name in models} <= held


LONG = 250


def long_files(paths: Iterable[Path]) -> dict[str, int]:
    """Files of more than LONG lines with their lengths, longest first."""
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return {name: length for name, length in sorted(lengths.items(), key=lambda item: -item[1]) if length > LONG}


# a list for the next reviewer: a limit that fails is met by cutting text
@pytest.mark.filterwarnings("default:files of more than:UserWarning")
def test_long_files_are_listed_in_a_warning() -> None:
    found = long_files(SOURCES)
    if found:
        rows = "".join(f"\n  {length:5}  {Path(name).relative_to(ROOT)}" for name, length in found.items())
        warnings.warn(f"files of more than {LONG} lines; is there a part that stands on its own?{rows}", stacklevel=1)


def test_a_file_counts_as_long_from_the_first_line_beyond_the_limit(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("short.py", "just.py", "long.py", "longer.py")}
    for path, lines in zip(files.values(), (1, LONG, LONG + 1, LONG + 2), strict=True):
        path.write_text("pass\n" * lines)
    assert list(long_files(files.values())) == [str(files["longer.py"]), str(files["long.py"])]


def test_versions_agree() -> None:
    import tomllib

    import ptdiff

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ptdiff.__version__
    assert f"## {ptdiff.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_every_target_with_a_line_about_it() -> None:
    targets = re.findall(r"^([a-zA-Z][\w.-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    # inside make, which runs the tests, another one would print the folder it enters
    plain = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=plain)
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == targets
    assert all(len(row) == 2 for row in rows)


def test_every_target_of_make_is_phony_for_none_is_a_file() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony.split() == re.findall(r"^([a-zA-Z][\w.-]*):(?!=)", text, re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="for the shell")
def test_a_machine_without_python_or_venv_is_told_so_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\ncase "$2" in *exit*) exit 1;; *) echo 3.9;; esac\n')
    # a user, whose Python is Debian's without python3-venv
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac\n')
    user = tmp_path / "id"
    user.write_text("#!/bin/sh\necho 1000\n")
    for file in (old, bare, user):
        file.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    for python, said in (
        ("python-of-nowhere", "python-of-nowhere was not found"),
        (str(old), f"{old} is 3.9"),
        (str(bare), f"sudo apt-get install python3.{sys.version_info.minor}-venv"),
    ):
        command = ["sh", str(ROOT / "tools/machine.sh"), python]
        done = subprocess.run(command, capture_output=True, text=True, env=path, check=False)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done
    # what Open3D needs stops nothing
    command = ["sh", str(ROOT / "tools/machine.sh"), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, env=path, check=True)
    assert bool(done.stderr) == bool(libraries.missing())
    assert all(libraries.OPEN3D[name] in done.stderr for name in libraries.missing())
