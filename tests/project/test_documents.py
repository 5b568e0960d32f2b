"""The documents say what is true: links lead somewhere, examples run, tests they name exist."""

import importlib.util
import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.run.recipes import recipes
from ptdiff.training.schema import CATALOGS
from ptdiff_cli.main import app

ROOT = Path(__file__).parents[2]
COMMANDS = {str(command.name) for command in [*app().registered_commands, *app().registered_groups]}


def test_links_lead_to_files_that_exist() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]:
        targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        files = [target for target in targets if "://" not in target]
        broken += [f"{page.relative_to(ROOT)}: {file}" for file in files if not (page.parent / file).exists()]
    assert broken == []


def readme_python() -> list[str]:
    """The Python blocks of the README: the front door, then the parts used on their own."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_front_door_fits_fifteen_lines() -> None:
    front_door, _ = readme_python()
    assert len(front_door.splitlines()) <= 15


@pytest.mark.slow
def test_the_front_door_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _ = readme_python()
    monkeypatch.chdir(tmp_path)
    for said, quick in (("n=400", "n=16"), ("steps=2000", "steps=20")):
        assert said in code
        code = code.replace(said, quick)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    written = {path.name for path in tmp_path.glob("*.*") if path.stat().st_size > 1000}
    assert set(re.findall(r"\"([\w.]+\.(?:npz|png))\"", code)) == written
    assert names["model"].run.path.name == "shapes"


def test_the_parts_in_the_readme_run_on_their_own_and_do_what_it_says() -> None:
    _, code = readme_python()
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["table"].calls == 20
    assert names["x"].shape == (5, 2)
    assert torch.cdist(names["x"], names["points"]).amin(dim=1).max() < 1e-3


def test_the_two_commands_of_make_stand_at_the_top_of_the_readme() -> None:
    top = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40]
    assert {"make demo", "make test"} <= {line.split("  ")[0] for line in top}


def test_the_code_of_the_page_on_guidance_finds_the_exact_posterior() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guidance.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(compile(code, "guidance.md", "exec"), names)
    # of N(0, C) given that the second of three is 0.7: C_i2 0.7, and C_ii - C_i2^2
    assert names["x"].mean(0).tolist() == pytest.approx([0.56, 0.7, 0.35], abs=0.05)
    assert names["x"].var(0).tolist() == pytest.approx([0.36, 0, 0.75], abs=0.05)


def parity() -> list[list[str]]:
    """The rows of docs/parity.md: id, what, state, by, test."""
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]


def test_the_parity_list_has_every_row_with_a_test_or_a_reason() -> None:
    rows = [row for row in parity() if re.fullmatch(r"[A-Z]+[0-9]?-[0-9]+|[A-M][0-9]+", row[0])]
    playgrounds = Counter(row[0].split("-")[0] for row in rows if "-" in row[0])
    assert playgrounds == {"AS": 28, "L1": 15, "TD": 13, "JN": 12, "MD": 8}
    assert len({row[0] for row in rows}) == len(rows) == 76 + 157
    for name, _, state, by, test in rows:
        assert state in ("yes", "partly", "later"), name
        assert len(by) > 10, f"{name}: by what, or why later?"
        assert test or state == "later", f"{name}: no test"


def there(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, attribute = dotted.rpartition(".")
    try:
        return hasattr(import_module(module), attribute) or import_module(dotted) is not None
    except ModuleNotFoundError:
        return False


def test_what_the_parity_list_names_exists() -> None:
    missing = []
    catalogs = {**CATALOGS, "prediction": PREDICTIONS, "recipe": {recipe.name for recipe in recipes()}}
    for row in parity():
        if len(row) != 5:
            continue
        name, by = row[0], row[3]
        missing += [f"{name}: {path}" for path in re.findall(r"tests/[\w./]+", row[4]) if not (ROOT / path).exists()]
        for dotted in re.findall(r"`(ptdiff(?:\.\w+)+)`", by):
            if not there(dotted):
                missing.append(f"{name}: {dotted}")
        missing += [f"{name}: ptdiff {c}" for c in re.findall(r"`ptdiff ([a-z]+)", by) if c not in COMMANDS]
        for kind, listed in re.findall(r"(\w+?)s? (`[^`]+`(?:, `[^`]+`)*)", by):
            if kind in catalogs:
                missing += [f"{name}: {kind} {c}" for c in re.findall(r"`([^`]+)`", listed) if c not in catalogs[kind]]
    assert not missing, "\n".join(missing)


def test_commands_named_in_the_documents_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    used = {
        name for page in pages for name in re.findall(r"^ptdiff (\w+)|`ptdiff (\w+)", page.read_text(), re.MULTILINE)
    }
    assert {a or b for a, b in used} <= COMMANDS | {"NAME"}


@pytest.mark.parametrize("name", ["demo", "processes_and_solvers", "torture"])
def test_figures_in_the_documents_are_those_of_the_files(name: str) -> None:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "benchmarks" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    page, text = figures.filled(name)
    assert page.read_text(encoding="utf-8") == text
