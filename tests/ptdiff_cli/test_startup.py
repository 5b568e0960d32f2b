"""Commands start quickly, because they import little: what they may import is said here by name."""

import io
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from ptdiff_cli.main import GROUPS, app

HEAVY = ("torch", "pytorch_lightning", "torch_geometric", "open3d", "trimesh", "sklearn", "matplotlib", "scipy")

CLI = {"typer", "shellingham", "annotated_doc", "rich", "typing_extensions"}
OPTIONS = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection"}
"""What checks the types of options, and what that imports."""
MODEL = {"torch", "numpy", "yaml", "safetensors"}

RUN = """
from ptdiff_cli.main import main
try: main()
except SystemExit as end: assert not end.code, end.code
"""


def imported(folder: Path, code: str, *arguments: object) -> set[str]:
    """The modules of ptdiff and from site-packages in a process that has run ``code``."""
    file = folder / "modules.json"
    end = (
        "import json, os\n"
        "places = {n: getattr(m, '__file__', None) or '' for n, m in sys.modules.items()}\n"
        "found = [n for n, place in places.items() if n.startswith('ptdiff') or 'site-packages' in place]\n"
        "open(os.environ['FOUND'], 'w').write(json.dumps(found))"
    )
    command = [sys.executable, "-c", f"import sys\n{code}\n{end}", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FOUND": str(file)}
    subprocess.run(command, capture_output=True, check=True, env=environment)
    # what finds an editable installation or patches distutils is there from the start
    return {name for name in json.loads(file.read_text()) if not name.startswith(("__editable__", "_distutils_hack"))}


def packages(modules: set[str]) -> set[str]:
    """Whose modules they are; compiled ones with a name such as _cyutility are parts of others."""
    found = {name.partition(".")[0] for name in modules} - {"ptdiff", "ptdiff_cli", "ptdiff_datasets"}
    return {name for name in found if not name.startswith("_")}


@pytest.fixture(scope="module")
def of_torch(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What ``import torch`` brings by itself."""
    return imported(tmp_path_factory.mktemp("torch"), "import torch")


@pytest.fixture(scope="module")
def clouds(ptdiff, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """A run of point clouds that has hardly begun."""
    path = tmp_path_factory.mktemp("runs") / "clouds"
    small = ["-o", "shapes_per_class=2", "-o", "points=16", "-o", "dense=64", "-o", "width=16", "-o", "layers=1"]
    training = ["--steps", 2, "--precision", "32", "--set", "training.batch=4", "--set", "training.validations=0"]
    done = ptdiff("train", "-m", "pointcloud", *small, *training, "--out", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["modalities"], ["modalities", "--json"], ["train", "--help"]])
def test_nothing_heavy_is_imported(arguments: list[str], tmp_path: Path) -> None:
    assert not packages(imported(tmp_path, RUN, *arguments)) & set(HEAVY)


def test_sampling_imports_torch_and_what_reads_a_run(clouds: Path, of_torch: set[str], tmp_path: Path) -> None:
    found = imported(tmp_path, RUN, "sample", clouds, "-n", 2, "--steps", 2, "--out", tmp_path / "a.npz")
    assert "torch" in packages(found)
    assert packages(found - of_torch) <= CLI | OPTIONS | MODEL | {"ptdiff_pointcloud"}
    assert not {name for name in found - of_torch if name.startswith(("torch._dynamo", "torch._inductor"))}
    # no more of the command line than is needed
    assert not {f"ptdiff_cli.{name}" for name in ("train", "evaluate", "gallery")} & found


def test_pictures_of_a_file_need_neither_torch_nor_open3d(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, samples=np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32))
    found = imported(tmp_path, RUN, "render", file, "--out", tmp_path / "a.png")
    assert packages(found) <= CLI | OPTIONS | {"numpy", "PIL", "ptdiff_pointcloud"}


def test_measuring_imports_beside_that_what_builds_trees(clouds: Path, of_torch: set[str], tmp_path: Path) -> None:
    found = packages(imported(tmp_path, RUN, "eval", clouds, "-n", 2, "--steps", 2) - of_torch)
    assert "scipy" in found
    trees = {"scipy", "pykdtree", "threadpoolctl", "charset_normalizer"}
    assert found <= CLI | OPTIONS | MODEL | trees | {"ptdiff_pointcloud"}


def test_help_fits_eighty_columns(ptdiff) -> None:  # type: ignore[no-untyped-def]
    for command in ([], ["train"], ["sample"], ["eval"], ["render"], ["resume"], ["modalities"], ["doctor"]):
        done = ptdiff(*command, "--help")
        assert done.returncode == 0
        assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_help_leaves_most_of_eighty_columns_to_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    cut = []
    for command, context in commands(get_command(app()), None):
        printed = io.StringIO()
        with redirect_stdout(printed):
            print(command.get_help(context))
        text = re.sub(r"\x1b\[\d*m", "", printed.getvalue())
        assert max(map(len, text.splitlines())) <= 80, command.name
        # no type such as <list[str]>, and no summary that is cut
        assert not re.search(r"^  -.*<list|^  .*\w\.\.\.$", text, re.M), command.name
        # the beginning of each text, in whole words, stands on one line
        starts = [textwrap.wrap(option.help, 44)[0] for option in command.params if option.help]
        cut += [f"{command.name}: {start}" for start in starts if start not in text]
    assert cut == []


def commands(command: Any, above: Any) -> Iterator[tuple[Any, Any]]:
    """A command and all commands below it, with their contexts."""
    context = command.make_context(command.name, [], parent=above, resilient_parsing=True)
    yield command, context
    for below in getattr(command, "commands", {}).values():
        yield from commands(below, context)


def test_the_overview_imports_no_command(tmp_path: Path) -> None:
    for arguments in (["--help"], ["-h"]):
        found = imported(tmp_path, RUN, *arguments)
        assert packages(found) <= {"typer", "shellingham", "annotated_doc"}, arguments
        assert {name for name in found if name.startswith("ptdiff")} <= {
            "ptdiff_cli",
            "ptdiff_cli.main",
            "ptdiff_cli.shared",
            "ptdiff_cli.shared.terminal",
        }


def test_the_overview_names_every_command_on_one_line_each() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ptdiff_cli.main", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    lines = done.stdout.splitlines()
    for group in GROUPS.values():
        for name, (_, summary) in group.items():
            assert f"  {name:<11}  {summary}" in lines
    assert max(map(len, lines)) <= 80
