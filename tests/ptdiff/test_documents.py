"""YAML and JSON from strangers: bounded before they are expanded, one line for every fault, read back as written."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ptdiff.documents.files import opened, read_text
from ptdiff.documents.jsons import MOST_JSON, MOST_LINE, MOST_LINES, json_lines, parse_json, read_json
from ptdiff.documents.yamls import MOST_DEPTH, MOST_YAML, parse_yaml, read_yaml, yaml_text
from ptdiff.run.links import appending

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

WRONG = {
    LAUGHS: "aliases are not read, line 2",
    "a: &a [*a]": "aliases are not read",
    "base: &b {x: 1}\nother:\n  <<: *b": "aliases are not read",
    "[" * 100_000: f"nested more than {MOST_DEPTH} levels",
    "a:\n" + "\n".join(" " * n + "a:" for n in range(1, 300)): "nested more than",
    "- " * 5000 + "1": "nested more than",
    "lr: 1\nlr: 2": "the key 'lr' appears twice, again in line 2",
    "x: " + "9" * 5000: "digits",
    "!!python/object/apply:os.system [ls]": "tags are not read",
    "a: !!timestamp x": "tags are not read",
    "a: !!int ''": "tags are not read",
    "a: 2020-99-99": "month",
    "\0": "not YAML",
    "[1": "not YAML",
    "? [1]\n: 2": "not YAML",
    "k: " + "x" * MOST_YAML: "at most",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=list(WRONG.values()))
def test_yaml_that_is_not_read_is_refused_in_one_line_at_once(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ValueError, match=message) as caught:
        read_yaml(path)
    assert time.process_time() - began < 1
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["1e-3", "1E3", ".5e2", "-2.e+1", "1.5e3"])
def test_a_number_with_an_exponent_is_a_number(text: str) -> None:
    assert parse_yaml(text) == float(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("1e5"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_written_is_read_back_equal(value: Any) -> None:
    assert parse_yaml(yaml_text(value)) == value
    # another reader of YAML finds no tags and no aliases either
    assert "!!" not in yaml_text(["x", "x"]) and yaml.safe_load(yaml_text([[1]] * 2)) == [[1], [1]]


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, "1" * 5000, "{", "", "\ud800"])
def test_json_that_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        parse_json(text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
@pytest.mark.timeout(10)
def test_a_pipe_a_device_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="not a file"):
            opened(path)


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    for read in (read_yaml, read_json, lambda path: list(json_lines(path)), lambda path: read_text(path, 10)):
        with pytest.raises(ValueError, match=r"large has 1,099,511,627,776 bytes; at most"):
            read(path)
    assert max(MOST_YAML, MOST_JSON, MOST_LINES) < 1 << 30


def test_lines_that_are_no_objects_are_left_out_but_a_huge_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    assert list(json_lines(path)) == []
    path.write_bytes(b'{"step": 1}\n[1]\n7\n{"a": \n' + b"[" * 10**5 + b'\n\xff\n{"step": 2}\n{"st')
    assert list(json_lines(path)) == [{"step": 1}, {"step": 2}]
    path.write_bytes(b"1" * (MOST_LINE + 2))
    with pytest.raises(ValueError, match="a line of more than"):
        list(json_lines(path))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
@pytest.mark.timeout(10)
def test_appending_to_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    with appending(tmp_path / "new") as file:
        file.write("é\n")
    with appending(tmp_path / "new") as file:
        file.write("2\n")
    assert (tmp_path / "new").read_text(encoding="utf-8") == "é\n2\n"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):  # noqa: PT011
        appending(tmp_path / "pipe")
