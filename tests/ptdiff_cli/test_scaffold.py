"""``ptdiff plugin new``: what it writes installs, conforms, trains and goes away again; bad names are refused."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ptdiff_cli.shared.scaffold import names, texts

Call = Callable[..., CompletedProcess[str]]

FILES = [
    ".github/workflows/test.yml",
    ".gitignore",
    "README.md",
    "ptdiff_tree_rings/__init__.py",
    "ptdiff_tree_rings/network.py",
    "ptdiff_tree_rings/py.typed",
    "ptdiff_tree_rings/recipes/tree_rings-quick.yaml",
    "pyproject.toml",
    "tests/test_tree_rings.py",
]


def test_a_new_plugin_is_a_whole_distribution(ptdiff: Call, tmp_path: Path) -> None:
    done = ptdiff("plugin", "new", "tree_rings", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "ptdiff-tree-rings"
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == FILES
    assert done.stdout.split() == [str(Path("ptdiff-tree-rings") / path) for path in texts("tree_rings")]
    assert "pip install -e ptdiff-tree-rings" in done.stderr
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "ptdiff-tree-rings"
    assert project["entry-points"]["ptdiff.modalities.v1"] == {"tree_rings": "ptdiff_tree_rings:TreeRings"}


def test_nothing_is_left_to_fill_in_but_what_the_author_must_decide() -> None:
    for path, text in texts("tree_rings").items():
        assert "${" not in text, path
        if path.endswith(".py"):
            compile(text, path, "exec")
    marks = re.findall(r"# TODO: (\w+ \w+ \w+)", "".join(texts("tree_rings").values()))
    assert marks == ["return your data", "return your network"]


def test_the_author_has_at_most_80_lines_of_code_of_their_own() -> None:
    """Lines of the package without imports, docstrings, comments and blank lines."""
    count = 0
    for path, text in texts("tree_rings").items():
        if not path.startswith("ptdiff_tree_rings/") or not path.endswith(".py"):
            continue
        lines = {i for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.strip().startswith("#")}
        for node in ast.walk(ast.parse(text)):
            text_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if isinstance(node, ast.Import | ast.ImportFrom) or text_alone:
                lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        count += len(lines)
    assert 40 < count <= 80


def test_what_is_written_is_formatted_and_typed_as_ptdiff_itself(ptdiff: Call, tmp_path: Path) -> None:
    assert ptdiff("plugin", "new", "tree_rings", "--out", tmp_path / "new").returncode == 0
    for command in (["check", "--select", "E,F,W,I,UP,B,RUF"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "120", "."],
            cwd=tmp_path / "new",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("images", "'images' is a modality of ptdiff"),
        ("points2d", "'points2d' is a modality of ptdiff"),
        ("tensors", "'tensors' is taken"),
        ("datasets", "there already is a package ptdiff_datasets"),
        ("cli", "there already is a package ptdiff_cli"),
        ("Tree Rings!", "such as 'tree_rings'"),
        ("tree-rings", "such as 'tree_rings'"),
        ("2d", "such as 'd'"),
        ("class", "be no word of Python"),
        ("../evil", "such as 'evil'"),
        ("été", "such as 't'"),
        ("_hidden", "such as 'hidden'"),
    ],
)
def test_names_that_cannot_be_are_refused_with_the_reason(ptdiff: Call, tmp_path: Path, name: str, words: str) -> None:
    done = ptdiff("plugin", "new", name, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_never_touched(ptdiff: Call, tmp_path: Path) -> None:
    (tmp_path / "ptdiff-tree-rings").mkdir()
    for arguments in ([], ["--out", tmp_path / "ptdiff-tree-rings"]):
        done = ptdiff("plugin", "new", "tree_rings", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert "already exists: choose another --out" in done.stderr
    assert list((tmp_path / "ptdiff-tree-rings").iterdir()) == []


def test_kinds_without_a_template_are_refused_by_name(ptdiff: Call, tmp_path: Path) -> None:
    done = ptdiff("plugin", "new", "bdf2", "--kind", "solver", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown kind of plugin 'solver'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["data", "image", "plot", "path", "any", "writer", "visualizer", "figure"])
def test_the_class_hides_no_name_that_its_module_uses(name: str) -> None:
    made = names(name)["class_name"]
    assert made == f"{name.capitalize()}Modality"
    assert f"class {made}(Modality)" in texts(name)[f"ptdiff_{name}/__init__.py"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that has the libraries of this one."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    shared = sysconfig.get_path("purelib")
    (Path(there) / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    return python


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_new_plugin_is_installed_checked_trained_and_removed(ptdiff: Call, fresh: Path, tmp_path: Path) -> None:
    assert ptdiff("plugin", "new", "tree_rings", cwd=tmp_path).returncode == 0

    def pip(*arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(fresh), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(*arguments: str) -> CompletedProcess[str]:
        return subprocess.run(
            [str(fresh), "-m", "ptdiff_cli.main", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def does(*arguments: str) -> str:
        done = run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip("install", "--no-index", "--no-deps", "--no-build-isolation", "./ptdiff-tree-rings")
    assert "ptdiff-tree-rings 0.1.0" in does("modalities")
    found = json.loads(does("plugin", "check", "tree_rings", "--json"))
    assert found["failed"] == 0
    # the checks of metadata apply, because it is installed
    assert [c["skipped"] for c in found["checks"][-3:]] == [None] * 3
    assert "tree_rings-quick" in does("list", "recipe")
    does("train", "-m", "tree_rings", "-o", "count=128", "--steps", "20", "--out", "run")
    does("sample", "run", "-n", "6", "--steps", "4", "--out", "samples.npz")
    does("render", "samples.npz", "--out", "samples.png")
    assert (tmp_path / "samples.png").stat().st_size > 1000
    (tmp_path / "mine.txt").write_text("\n".join(f"{i} {i * i % 7} {i % 3}" for i in range(60)))
    does("train", "-m", "tree_rings", "--data", "mine.txt", "--steps", "5", "--out", "mine")
    pip("uninstall", "--yes", "ptdiff-tree-rings")
    assert "tree_rings" not in does("modalities")
    done = run("sample", "run", "-n", "2")
    assert done.returncode == 2
    assert "pip install ptdiff-tree-rings" in done.stderr
