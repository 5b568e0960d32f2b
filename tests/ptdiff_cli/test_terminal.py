"""Nothing that a stranger named controls the terminal, and every error is one line that says whose it is."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest

from ptdiff_cli.shared.errors import explained
from ptdiff_cli.shared.terminal import counter, printable, progress

ROOT = Path(__file__).parents[2]
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e[bold][/]:smile:\r"


def harmless(text: str) -> bool:
    return not any(c in text for c in "\x1b\x07\r\u202e\x9b\u2066")


def test_only_one_module_prints() -> None:
    """Every line to the terminal goes through the functions that make it harmless."""
    found = []
    for file in sorted((ROOT / "cli" / "ptdiff_cli").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("print", "typer.echo", "Console", "sys.stdout.write", "sys.stderr.write", "csv.writer"):
                found.append(f"{file.name}: {ast.unparse(node)}")
    allowed = ("terminal.py: ", "main.py: typer.echo(f'ptdiff {ptdiff.__version__}')", "runs.py: csv.writer(text")
    assert [line for line in found if not line.startswith(allowed)] == []


@pytest.mark.parametrize("text", [EVIL, "\x9b31m", "a\u2066b", "\udcff", "\x00", "\x7f", "\u2028"])
def test_a_control_character_becomes_visible(text: str) -> None:
    assert harmless(printable(text)) and printable(text).isprintable()


def test_names_in_every_writing_are_left_alone() -> None:
    for text in ("Stühle, кресло, 椅子, कुर्सी, 👩\u200d🔬, α² ≤ 1 …", "two\nlines\tand a tab"):
        assert printable(text) == text


def test_names_from_a_run_and_a_file_do_not_reach_the_terminal(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = tmp_path / f"r{EVIL.replace('/', '')}"
    shutil.copytree(run, place)
    facts = json.loads((place / "data.json").read_text())
    (place / "data.json").write_text(json.dumps(facts | {"classes": [EVIL, "b"]}))
    np.savez(
        place / "x.npz",
        samples=np.zeros((1, 2), np.float32),
        modality=np.array(EVIL),
        label=np.zeros(1, int),
        classes=np.array([EVIL]),
    )
    calls = [
        ("sample", place, "--label", "none-such"),
        ("sample", place, "-n", 1, "--steps", 1),
        ("render", place / "x.npz"),
        ("runs", "list", tmp_path),
        ("runs", "compare", place, run),
        ("runs", "compare", place, run, "--csv"),
        ("eval", place, "--protocol", EVIL),
        ("resume", place),
        (EVIL,),
        ("list", EVIL),
        ("train", "-m", EVIL),
        ("train", "-m", "points2d", "-o", f"{EVIL}=1"),
        ("train", "-m", "points2d", "-c", tmp_path / EVIL.replace("/", "")),
        ("gallery", EVIL),
    ]
    for call in calls:
        done = ptdiff(*call, cwd=tmp_path)
        assert harmless(done.stdout + done.stderr), (call, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr and "bug" not in done.stderr, (call, done.stderr)
        if done.returncode:
            assert len(done.stderr.strip().splitlines()) == 1 or call[0] in ("resume", "eval"), (call, done.stderr)


PLUGIN = """
from dataclasses import dataclass
from ptdiff.modality import Modality

@dataclass(frozen=True)
class Broken(Modality):
    '''Broken.'''
    data: str = "x"
    def dataset(self):
        return HOW
    def backbone(self, data):
        return None
    def visualizer(self):
        return None
"""


@pytest.mark.parametrize(
    ("how", "message", "code"),
    [
        ("{}['missing']", "plugin broken_plugin_0:Broken: KeyError: 'missing'; --debug shows the traceback", 1),
        ("1 / 0", "plugin broken_plugin_1:Broken: ZeroDivisionError: division by zero", 1),
        ("self.dataset()", "plugin broken_plugin_2:Broken: RecursionError: maximum recursion depth", 1),
        ("exit(0)", "plugin broken_plugin_3:Broken: SystemExit: 0", 1),
        ("(_ for _ in ()).throw(RuntimeError('two\\nlines'))", "broken_plugin_4:Broken: RuntimeError: two lines", 1),
    ],
)
def test_an_exception_of_a_plugin_is_one_line_with_its_name(  # type: ignore[no-untyped-def]
    ptdiff, how: str, message: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request
) -> None:
    name = message[message.index("broken_plugin") :].partition(":")[0]
    (tmp_path / f"{name}.py").write_text(PLUGIN.replace("HOW", how))
    monkeypatch.syspath_prepend(str(tmp_path))
    done = ptdiff("train", "-m", f"{name}:Broken", cwd=tmp_path)
    assert message in done.stderr and done.returncode == code
    assert "Traceback" not in done.stderr
    shown = ptdiff("train", "-m", f"{name}:Broken", "--debug", cwd=tmp_path)
    assert "Traceback" in shown.stderr and shown.returncode == code


def test_a_bug_says_that_it_is_one_and_where(ptdiff, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from ptdiff.run import config

    # raised by ptdiff's own code, because this module may belong to a plugin that another test defined
    monkeypatch.setattr(config, "validate", itemgetter("no such key"))
    done = ptdiff("sample", run)
    assert done.returncode == 1
    assert "a bug of ptdiff, please report it: KeyError: 'no such key' (tests" not in done.stderr
    assert "error: a bug of ptdiff, please report it: KeyError: 'no such key' (ptdiff." in done.stderr
    assert done.stderr.strip().endswith("--debug shows the traceback") and len(done.stderr.splitlines()) == 1
    assert "Traceback" in ptdiff("sample", run, "--debug").stderr


def test_lack_of_memory_is_no_bug() -> None:
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")):
        line, code = explained(error)
        assert (line.startswith("not enough memory: "), code) == (True, 1)


def test_wrong_usage_is_one_line_that_names_the_help(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ptdiff_cli.main", "sample", EVIL, "--setps", "3"], capture_output=True, cwd=tmp_path
    )
    text = done.stderr.decode()
    assert done.returncode == 2 and len(text.splitlines()) == 1
    assert "--steps" in text and "sample --help" in text and harmless(text)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are Unicode there")
def test_a_file_name_that_is_not_text_does_not_end_with_a_traceback(tmp_path: Path) -> None:
    name = b"\xff\x1b[2J.npz"
    (tmp_path / "\udcff\x1b[2J.npz").write_bytes(b"no archive")
    done = subprocess.run([sys.executable, "-m", "ptdiff_cli.main", "render", name], capture_output=True, cwd=tmp_path)
    assert done.returncode == 3 and harmless(done.stderr.decode()) and rb"\udcff\x1b[2J.npz" in done.stderr


def test_names_on_progress_bars_do_not_reach_the_terminal() -> None:
    with progress("files") as bar:
        counter(bar, EVIL)
        assert harmless(bar.tasks[0].description)
