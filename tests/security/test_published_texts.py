"""Attacks by texts: names in a stranger's run that turn into code where the reader publishes or opens them."""

from __future__ import annotations

import ast
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.documents.cells import cell
from ptdiff.model.card import literal, plain
from ptdiff.sampling.files import plain as in_file_name

CODE = '"); __import__("os").system("touch ran") #'
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
FENCE = "x\n```\n\n# Install\n\npip install evil\u2028\x1b[2J\u202e](http://evil) | [x"
FORMULA = "=cmd|'/C calc'!A0"


@pytest.fixture
def card(ptdiff, theirs: Path, tmp_path: Path, edit) -> str:  # type: ignore[no-untyped-def]
    """The card of an export of a run in which all names are attacks."""
    edit(theirs / "data.json", lambda facts: facts.__setitem__("classes", [CODE + FENCE, MARKUP]))
    edit(theirs / "data.json", lambda facts: facts.__setitem__("samples", {FENCE + MARKUP: 3, "val": MARKUP}))
    edit(theirs / "env.json", lambda facts: facts["machine"].__setitem__("processor", FENCE + MARKUP))
    score = {"value": 1, "low": 0, "high": 2, "floor": 1}
    found = {
        "metrics": {FENCE + MARKUP: score},
        "measures": FENCE + MARKUP,
        "n": 4,
        "note": FENCE + MARKUP,
        "protocol": FENCE,
    }
    found["sampling"] = {"shape": [2], "solver": {"name": FENCE + MARKUP}, "calls": 3}
    (theirs / "eval.json").write_text("{}")
    edit(theirs / "eval.json", lambda _: found)
    config = theirs / "config.yaml"
    config.write_text(config.read_text().replace("data: moons", 'data: "moons\\n\\n# Install\\n<script>"'))
    done = ptdiff("export", theirs, "--to", tmp_path / "shared")
    assert done.returncode == 0, done.stderr
    return (tmp_path / "shared" / "README.md").read_text(encoding="utf-8")


def test_a_class_name_is_no_code_in_the_example_of_a_model_card(card: str) -> None:
    example = card.partition("```python\n")[2].partition("\n```")[0]
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Call)]
    assert sorted(calls) == ["model.sample", "ptdiff.load", "samples.save"]
    for text in (CODE, FENCE, "a\\", "Stühle", 'a"b', "\u202e"):
        assert ast.literal_eval(literal(text)) == text and literal(text).isprintable()


def test_names_on_a_model_card_are_no_markup_and_add_no_lines(card: str) -> None:
    body = card.split("---\n", 2)[2]
    assert not re.search(r"(?<!\\)<(script|img)", body) and "\x1b" not in card and "\u202e" not in body
    assert not re.search(r"(?<!\\)\]\(http", re.sub(r"^```.*?^```$", "", body, flags=re.M | re.S))
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert headings == ["# shared", "## Scores", "## Training"]
    assert card.count("\n```") == 4 and plain("chair, 1-NNA, a_b (c)") == "chair, 1-NNA, a_b (c)"


@pytest.mark.parametrize("text", [FORMULA, "+SUM(1)", "-2+3+cmd", "@SUM(1)", "\t=1", "\r=1", "=1", "-"])
def test_a_name_is_no_formula_in_a_spreadsheet(text: str, tmp_path: Path) -> None:
    from ptdiff_points2d.picture import write_table

    assert cell(text) == "'" + text.replace("\r", " ")
    write_table(
        tmp_path / "x.csv", np.zeros((1, 2), np.float32), [text], columns=[text, "y"], label=text, separator=","
    )
    rows = list(csv.reader(io.StringIO((tmp_path / "x.csv").read_bytes().decode())))
    assert all(value[:1] not in "=+-@\t\r" for row in rows for value in row)


def test_numbers_and_plain_names_stay_what_they_are_in_a_table() -> None:
    for text in ("-1", "+1", "-1e-3", "-.5", "-inf", "nan", "chair", "a=b", "", "2-3"):
        assert cell(text) == text


def test_the_name_of_a_run_is_no_formula_in_a_spreadsheet(ptdiff, run: Path, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    evil = theirs.rename(theirs.with_name("=cmd()"))
    config = evil / "config.yaml"
    config.write_text(config.read_text().replace("data: moons", f'data: "{FORMULA}"'))
    (evil / "eval.json").write_text('{"metrics": {"=a()": {"value": -1}}, "n": 4, "protocol": "@SUM(1)"}')
    for place in (evil.parent, evil.parent / "x"):
        done = ptdiff("runs", "compare", evil.relative_to(evil.parent), run, "--csv", cwd=evil.parent)
        assert done.returncode == 0, (place, done.stderr)
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert "'=cmd()" in rows[1] and f"'{FORMULA}" in rows[1] and "-1.0" in rows[1]
    assert all(value[:1] not in tuple("=+@") for row in rows for value in row)


def test_a_class_name_is_no_script_on_a_page_of_clouds() -> None:
    from ptdiff_pointcloud.render.page import page

    made = page(np.zeros((1, 1, 4, 3)), np.zeros((1, 4, 3)), [MARKUP + "</script>"])
    assert made.count("<script>") == 1 and made.count("</script>") == 1 and "<img" not in made
    assert "default-src &#x27;none&#x27;" in made


def test_a_report_shows_names_as_text(ptdiff, theirs: Path, tmp_path: Path, edit) -> None:  # type: ignore[no-untyped-def]
    edit(theirs / "env.json", lambda facts: facts["machine"].__setitem__("processor", MARKUP))
    with (theirs / "metrics.jsonl").open("a") as file:
        file.write('{"step": 61, "seconds": 1.0, "<script>": [0.5, 1.0]}\n')
    evil = theirs.rename(theirs.with_name("<script>alert(1)"))
    done = ptdiff("eval", evil, "-n", 16, "--steps", 2, "--report", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in made and "<img src=x" not in made and "&lt;script&gt;" in made


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "../../../up", "a\0b\n", "椅" * 300, "CON", "\u202egnp.exe", "/etc", "C:x"]
)
def test_a_class_name_is_a_short_plain_part_of_a_file_name(text: str, tmp_path: Path) -> None:
    name = f"0000-{in_file_name(text)}.ply"
    (tmp_path / name).write_text("")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert not set(name) & set("/\\:\0\n\u202e") and ".." not in name


def test_a_stranger_names_no_file_by_the_key_of_a_tensor(tmp_path: Path) -> None:
    """Names of weights are only compared, and a key with an escape sequence ends in an error, shown as text."""
    from ptdiff.run.checkpoint import save

    made = save(tmp_path / "c", 1, {"ema": {"../../up": torch.zeros(1), "\x1b[2J": torch.zeros(1)}}, {})
    assert set(made.tensors("ema")) == {"../../up", "\x1b[2J"}
    assert {path.name for path in tmp_path.iterdir()} == {"c"}
