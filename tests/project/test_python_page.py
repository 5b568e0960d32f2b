"""Every Python block of docs/python.md runs, in order and in one namespace, as a reader would try them."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import ptdiff
from ptdiff.sampling.options import Options

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_script_has_at_most_fifteen_lines() -> None:
    assert len(BLOCKS[0].splitlines()) <= 15


def test_every_block_runs_and_writes_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    written = set(re.findall(r"\.(?:save|render)\(\"([\w.]+)\"", "".join(BLOCKS)))
    assert {name for name in written if not (tmp_path / name).exists()} == set()
    assert names["estimate"].shape == names["early"].shape == (100, 2)
    assert names["points"].isfinite().all()


def test_the_blocks_on_flow_maps_run() -> None:
    text = (Path(__file__).parents[2] / "docs" / "few-step.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/few-step.md", "exec"), names)
    assert (names["one_call"] - names["two_calls"]).abs().max() < 1e-3


def test_the_table_names_every_option() -> None:
    (table,) = re.findall(r"\| argument .*?\n\n", PAGE, re.DOTALL)
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    own = {name for name, p in inspect.signature(ptdiff.Model.sample).parameters.items() if p.kind != p.VAR_KEYWORD}
    assert named == (own - {"self"}) | set(Options.__annotations__)
