"""The structure of the house, measured from its imports: imports inside functions and under TYPE_CHECKING count."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "ptdiff": ROOT,
    "ptdiff_cli": ROOT / "cli",
    "ptdiff_datasets": ROOT / "datasets",
    "ptdiff_images": ROOT / "plugins",
    "ptdiff_pointcloud": ROOT / "plugins",
    "ptdiff_points2d": ROOT / "plugins",
}
MOST_ENTRIES = 28
"""Modules and packages directly in ptdiff/; a new one belongs into a package unless the noun is new.  The last new
nouns are ``plugins``, on which the catalogs of every other package are built, and ``flow_map``."""

UNLISTED = {
    "ptdiff": "ARCHITECTURE.md has the tree",
    "ptdiff_cli": "a module has the name of its command",
}
"""Packages of more than three modules whose docstring need not list them, with the reason."""

SHARED_NAMES = {
    "the same meaning for another kind of data": "Attention Augmentation Augmented Block DiT Modulation Points",
    "the same meaning for another format or kind of files": "DataError Header Index Layout Summary",
    "the field's name, in another catalog": "Average Cosine EDM Exponential Gaussian Uniform",
    "the outcome of one check": "Finding",
    "two meanings, which should get two names": "Draw Model Part Posterior Recipe Scene Shape Stage Surface",
}
"""Names of several classes, by the reason why they may be shared; a new one needs a name of its own."""

Arrows = Mapping[str, set[str]]


def module_files() -> dict[str, Path]:
    """Every module and package of ours by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted((folder / package).rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(tree: ast.Module, package: str) -> Iterator[str]:
    """The dotted names that a module imports anywhere in it, with those of ``from a import b`` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                parents = package.split(".")
                start = ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def arrows(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Each module's imports among ``files``; a name inside a module counts as that module."""
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        found[name] = set()
        for target in imported(ast.parse(file.read_text(encoding="utf-8")), package):
            while target and target not in files:
                target = target.rpartition(".")[0]
            if target and target != name:
                found[name].add(target)
    return found


def loops(graph: Arrows) -> list[frozenset[str]]:
    """Groups of nodes that reach each other."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for target in graph[ahead.pop()] - seen:
                seen.add(target)
                ahead.append(target)
        return seen

    ends = {node: reached(node) for node in graph}
    groups = {frozenset({node, *(n for n in ends[node] if node in ends[n])}) for node in graph if node in ends[node]}
    return sorted(groups, key=sorted)


def wing(module: str) -> str:
    """The entry of ptdiff/ that a module of the core belongs to."""
    return ".".join(module.split(".")[:2])


@pytest.fixture(scope="module")
def files() -> dict[str, Path]:
    return module_files()


@pytest.fixture(scope="module")
def graph(files: dict[str, Path]) -> dict[str, set[str]]:
    return arrows(files)


def test_a_loop_is_found_wherever_its_imports_stand(tmp_path: Path) -> None:
    texts = {
        "p": "",
        "p.a": "import p.b\n",
        "p.b": "def f():\n    from p import c\n",
        "p.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A\n",
        "p.d": "from p.a import A\n",
    }
    files = {}
    for name, text in texts.items():
        files[name] = tmp_path / (f"{name}.py" if name != "p" else "__init__.py")
        files[name].write_text(text)
    assert loops(arrows(files)) == [frozenset({"p.a", "p.b", "p.c"})]


def test_no_modules_name_each_other_in_a_loop(graph: dict[str, set[str]]) -> None:
    assert [sorted(loop) for loop in loops(graph)] == []


def test_no_packages_of_the_core_name_each_other_in_a_loop(graph: dict[str, set[str]]) -> None:
    between: dict[str, set[str]] = {}
    for module, targets in graph.items():
        # the package itself is the front door, which may name everything
        if module.startswith("ptdiff."):
            ends = {wing(target) for target in targets if target.startswith("ptdiff.")}
            between.setdefault(wing(module), set()).update(ends - {wing(module)})
    assert [sorted(loop) for loop in loops(between)] == []


def test_the_core_has_few_entries(files: dict[str, Path]) -> None:
    entries = {wing(module) for module in files if module.startswith("ptdiff.")}
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_the_core_imports_nothing_that_is_built_on_it(graph: dict[str, set[str]]) -> None:
    # the front door, ptdiff/__init__.py, hands out the metrics of the plugin that is installed with it
    upward = {
        module: outside
        for module, targets in graph.items()
        if module.startswith("ptdiff.") and (outside := {t for t in targets if t.split(".")[0] != "ptdiff"})
    }
    assert upward == {}


def test_imports_are_absolute(files: dict[str, Path]) -> None:
    relative = [
        name
        for name, file in files.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_paths_of_users_are_expanded_by_the_function_that_accepts_any(files: dict[str, Path]) -> None:
    # Path.expanduser raises RuntimeError for ~name without a user of that name, wherever a path is read
    assert [name for name, path in files.items() if ".expanduser()" in path.read_text(encoding="utf-8")] == []


def test_an_option_of_several_commands_is_written_once(files: dict[str, Path]) -> None:
    places: dict[str, set[str]] = {}
    for name, file in files.items():
        if not name.startswith("ptdiff_cli."):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            written = (
                node.annotation if isinstance(node, ast.arg) else node.value if isinstance(node, ast.Assign) else None
            )
            if written is not None and "typer.Option" in (text := ast.unparse(written)):
                places.setdefault(text, set()).add(f"{name}:{node.lineno}")
    assert {text: sorted(found) for text, found in places.items() if len(found) > 1} == {}


def test_a_class_has_a_name_of_its_own(files: dict[str, Path]) -> None:
    places: dict[str, list[str]] = {}
    for module, file in files.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    shared = {name for names in SHARED_NAMES.values() for name in names.split()}
    several = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in several.items() if name not in shared} == {}
    assert sorted(shared - set(several)) == []


def test_the_list_of_modules_in_a_package_is_complete(files: dict[str, Path]) -> None:
    wrong = {}
    for name, file in files.items():
        if file.name != "__init__.py":
            continue
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        listed = set(re.findall(r"\b\w+\.py\b", text))
        there = {other.name for other in file.parent.glob("*.py")} - {"__init__.py"}
        if listed != there and (listed or (len(there) > 3 and name not in UNLISTED)):
            wrong[name] = {"missing": sorted(there - listed), "not there": sorted(listed - there)}
    assert wrong == {}


def test_the_architecture_names_every_entry_of_the_core(files: dict[str, Path]) -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = tree[tree.index("```\nptdiff/") : tree.index("```", tree.index("```\nptdiff/") + 3)]
    entries = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "ptdiff").iterdir()
        if (path / "__init__.py").exists() or (path.suffix == ".py" and path.name != "__init__.py")
    }
    named = set(re.findall(r"(?<![\w/])\w+(?:/|\.py)", tree))
    assert sorted(entries - named) == []


def test_the_layers_in_the_architecture_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    checked = [", ".join(name.strip().removeprefix("ptdiff.") for name in layer.split("|")) for layer in layers]
    assert "\n".join(checked) in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
