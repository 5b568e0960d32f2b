"""The files around the code: workflow, issue forms, hooks, changelog, citation and checklists say what is true."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import ptdiff

ROOT = Path(__file__).parents[2]
FORMS = sorted(path.name for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
TARGETS = re.findall(r"^([a-zA-Z][\w.-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SECTIONS = ["Added", "Changed", "Fixed", "Breaking"]


def parsed(name: str) -> Any:
    """A YAML file of the repository."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_workflow_calls_targets_that_exist_on_every_python_that_is_promised() -> None:
    job = parsed(".github/workflows/test.yml")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    rows = matrix["include"]
    runs = " ; ".join(step["run"] for step in job["steps"] if "run" in step)
    assert "make ${{ matrix.target }}" in runs
    called = {*matrix["target"], *(row["target"] for row in rows), *re.findall(r"make ([a-z-]+)", runs)}
    assert called <= set(TARGETS)
    # 'make test' and 'make test-slow' are all of 'make test-all'
    assert {"test", "test-slow"} <= called
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", project)
    assert {row["os"] for row in rows} >= {"macos-latest"}
    for step in job["steps"]:
        # the major version is pinned
        assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


@pytest.mark.parametrize("name", FORMS)
def test_issue_forms_are_forms(name: str) -> None:
    form = parsed(f".github/ISSUE_TEMPLATE/{name}")
    assert form["name"] and form["description"]
    fields = [item for item in form["body"] if item["type"] != "markdown"]
    assert {item["type"] for item in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(item["attributes"]["label"] for item in fields)
    assert len({item["id"] for item in fields}) == len(fields)
    assert any(item.get("validations", {}).get("required") for item in fields)


def test_a_bug_report_asks_for_the_output_of_doctor() -> None:
    doctor = [item for item in parsed(".github/ISSUE_TEMPLATE/bug.yml")["body"] if item["id"] == "doctor"]
    assert "ptdiff doctor --json" in doctor[0]["attributes"]["label"]


def test_local_hooks_run_the_tools_of_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (local,) = (repo for repo in parsed(".pre-commit-config.yaml")["repos"] if repo["repo"] == "local")
    tools = {hook["entry"].split()[0] for hook in local["hooks"]}
    assert tools
    for tool in tools:
        assert tool.replace(".venv/bin/", "$(BIN)/") in makefile


def test_the_citation_is_of_this_version() -> None:
    citation = parsed("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == ptdiff.__version__
    assert f"## {ptdiff.__version__} ({citation['date-released']})" in CHANGES


def test_the_changelog_lists_the_latest_version_first_in_sections_that_are_in_order() -> None:
    versions = re.split(r"^## ", CHANGES, flags=re.MULTILINE)[1:]
    assert versions[0].startswith("Unreleased\n")
    numbers = [tuple(map(int, text.split()[0].split("."))) for text in versions[1:]]
    assert all(a > b for a, b in pairwise(numbers))
    # the first release has nothing to compare with
    for text in versions[:-1]:
        found = re.findall(r"^### (.+)$", text, re.MULTILINE)
        assert found == [section for section in SECTIONS if section in found]


def test_the_checklists_name_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    roots = "|".join(("ptdiff", "plugins", "datasets", "cli", "tests", "docs", "benchmarks", "examples"))
    paths = re.findall(rf"`((?:{roots})/[\w./-]*)`", text)
    assert len(paths) > 40
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []


def test_the_checklists_name_things_that_the_files_define() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for file, names in {
        "ptdiff/solvers/catalog.py": ("SOLVERS", "ADAPTIVE"),
        "ptdiff/certify/orders.py": ("PUBLISHED",),
        "ptdiff/certify/choices.py": ("NESTED",),
        "tests/ptdiff/solvers/test_table.py": ("CALLS",),
        "ptdiff/process/__init__.py": ("PROCESSES",),
        "tests/ptdiff/test_process.py": ("MORE",),
        "plugins/ptdiff_pointcloud/metrics/distances.py": ("DISTANCES",),
        "plugins/ptdiff_pointcloud/metrics/protocols.py": ("PROTOCOLS",),
        "plugins/ptdiff_pointcloud/networks/catalog.py": ("Network", "SIZES", "NUMBERS"),
        "tests/ptdiff_pointcloud/test_backbones.py": ("SMALL",),
        "tests/ptdiff_pointcloud/test_tokens.py": ("SMALL",),
        "datasets/ptdiff_datasets/formats/catalog.py": ("READERS", "WRITERS"),
        "datasets/ptdiff_datasets/clouds/files.py": ("PREFERRED",),
        "datasets/ptdiff_datasets/clouds/lists.py": ("_SUFFIXES",),
        "tests/ptdiff_datasets/file_examples.py": ("CLOUDS",),
    }.items():
        source = (ROOT / file).read_text(encoding="utf-8")
        assert f"`{file}`" in text, file
        for name in names:
            assert f"`{name}`" in text, name
            assert re.search(rf"^{name}\b.*=", source, re.MULTILINE), f"{file}: {name}"
