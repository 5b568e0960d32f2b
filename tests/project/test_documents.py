"""The documents say what is true: links lead somewhere, examples run, tests they name exist."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def test_links_lead_to_files_that_exist() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]:
        targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        files = [target for target in targets if "://" not in target]
        broken += [f"{page.relative_to(ROOT)}: {file}" for file in files if not (page.parent / file).exists()]
    assert broken == []


def test_the_code_of_the_readme_runs_and_does_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["table"].calls == 20  # type: ignore[attr-defined]
    assert names["x"].shape == (5, 2)
    assert torch.cdist(names["x"], names["points"]).amin(dim=1).max() < 1e-3


def test_tests_named_in_the_parity_list_exist() -> None:
    named = set(re.findall(r"tests/[\w./]+", (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_commands_named_in_the_documents_exist() -> None:
    from ptdiff_cli.main import app

    known = {command.name for command in app.registered_commands}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    used = {
        name for page in pages for name in re.findall(r"^ptdiff (\w+)|`ptdiff (\w+)", page.read_text(), re.MULTILINE)
    }
    assert {a or b for a, b in used} <= known | {"NAME"}


@pytest.mark.parametrize("name", ["demo", "processes_and_solvers"])
def test_figures_in_the_documents_are_those_of_the_files(name: str) -> None:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "benchmarks" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    page, text = figures.filled(name)
    assert page.read_text(encoding="utf-8") == text
