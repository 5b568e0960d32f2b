"""Broken plugins of every kind, all installed at once: no other command notices, and doctor names each in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptdiff.plugins import trial
from ptdiff_cli import doctor
from ptdiff_cli.shared.finding import Finding

GOOD = """
from dataclasses import dataclass
from ptdiff.modality import Modality

@dataclass(frozen=True)
class Theirs(Modality):
    def dataset(self): raise OSError
    def backbone(self, data): raise OSError
    def visualizer(self): raise OSError
"""
LINES = "[ptdiff.modalities.v1]\n{name} = {module}:Theirs\n"


@dataclass(frozen=True)
class Kind:
    """One kind of broken plugin.

    ``said``: in doctor's line.  ``code``: of the module.  ``lines``, ``metadata``: entry_points.txt and METADATA, None
    for no such file.  ``state``: in ``ptdiff plugin ls``.
    """

    said: str
    code: str = GOOD
    lines: str = LINES
    metadata: str | None = "Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
    state: str = "ok"


IMPORTED = {
    "raises": Kind("cannot be imported: RuntimeError: out of order", "raise RuntimeError('out of order')"),
    "many-lines": Kind("ValueError: one two", "raise ValueError('one\\n\\n two')"),
    "syntax": Kind("cannot be imported: SyntaxError: invalid syntax (broken_syntax.py, line 1)", "def f(:"),
    "exits": Kind("cannot be imported: SystemExit: 0", "import sys\nsys.exit(0)"),
    "os-exits": Kind("ended Python with exit code 0 while it was imported", "import os\nos._exit(0)"),
    "os-exits-7": Kind("ended Python with exit code 7 while it was imported", "import os\nos._exit(7)"),
    "interrupts": Kind("cannot be imported: KeyboardInterrupt", "raise KeyboardInterrupt"),
    "own-kind": Kind("cannot be imported: Odd: x", "class Odd(BaseException): pass\nraise Odd('x')"),
    "recursion": Kind("RecursionError", "def f(): f()\nf()"),
    "hangs": Kind("took longer than 3 s to import", "import time\ntime.sleep(1000)"),
    "hangs-deaf": Kind(
        "took longer than 3 s to import",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "while True: pass",
    ),
    "keeps-running": Kind(
        "keeps Python running after it was imported",
        GOOD + "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
    ),
    "crashes": Kind("ended Python with signal SIGABRT while it was imported", "import os\nos.abort()"),
    "floods": Kind("RuntimeError: full", "print('x' * 10**7, flush=True)\nraise RuntimeError('full')"),
    "closes": Kind("RuntimeError: closed", "import os\nos.close(1)\nos.close(2)\nraise RuntimeError('closed')"),
    "lacks": Kind("ModuleNotFoundError: No module named 'no_such_package'", "import no_such_package"),
    "absent": Kind(
        "No module named 'no_such_module'", lines="[ptdiff.modalities.v1]\n{name} = no_such_module:Theirs\n"
    ),
    "nothing": Kind("has no attribute 'Theirs'", "x = 1"),
    "other-class": Kind("is not a subclass of ptdiff.modality.Modality", "class Theirs: pass"),
    "no-class": Kind("is not a subclass of ptdiff.modality.Modality", "Theirs = 3"),
    "incomplete": Kind("does not define visualizer", GOOD.replace("def visualizer", "def visualiser")),
    "old": Kind("since ptdiff 0.2.0 that is compare", GOOD + "    def metrics(self): ..."),
    "lazy": Kind("cannot be imported: OSError: later", "def __getattr__(name): raise OSError('later')"),
    "solver": Kind(
        "does not define order, table", "class Theirs: pass", "[ptdiff.solvers.v1]\n{name} = {module}:Theirs\n"
    ),
}
DECLARED = {
    "next": Kind(
        "needs ptdiff with contract v2 of modalities, and this one has v1",
        lines=LINES.replace("v1", "v2"),
        state="other version",
    ),
    "replaces": Kind(
        "is claimed by ptdiff itself and by broken-replaces 1.2: uninstall broken-replaces 1.2, or set PTDIFF_PLUGINS "
        "to the distributions to use",
        lines="[ptdiff.modalities.v1]\nimages = {module}:Theirs\n",
        state="clash",
    ),
    "replaces-ddim": Kind(
        "is claimed by ptdiff itself and by broken-replaces-ddim 1.2: uninstall broken-replaces-ddim 1.2, or set "
        "PTDIFF_PLUGINS to the distributions to use",
        lines="[ptdiff.solvers.v1]\nddim = {module}:Theirs\n",
        state="clash",
    ),
    "no-target": Kind("is not of the form module:Class", lines="[ptdiff.modalities.v1]\n{name} =\n", state="broken"),
    "path": Kind(
        "'../x.py:Theirs' is not of the form module:Class",
        lines="[ptdiff.modalities.v1]\n{name} = ../x.py:Theirs\n",
        state="broken",
    ),
    "escapes": Kind(
        "its name is not made of letters, digits and . _ + -",
        lines="[ptdiff.modalities.v1]\n\x1b[2J = {module}:Theirs\n",
        state="broken",
    ),
    "nameless": Kind("its METADATA has no valid name", metadata=None, state="broken"),
    "spoofs": Kind("its METADATA is that of ptdiff", metadata="Name: ptdiff\nVersion: 0.2.0\n", state="broken"),
    "no-door": Kind(
        "there is no door windows", lines="[ptdiff.windows.v1]\n{name} = {module}:Theirs\n", state="broken"
    ),
    "no-version": Kind(
        "group ptdiff.modalities is not of the form ptdiff.DOOR.v1",
        lines="[ptdiff.modalities]\n{name} = {module}:Theirs\n",
        state="broken",
    ),
}
KINDS = IMPORTED | DECLARED


def install(folder: Path, kind: str, broken: Kind) -> None:
    """A distribution as pip leaves it, with one module."""
    words = {"distribution": f"broken-{kind}", "module": f"broken_{kind}".replace("-", "_"), "name": f"b-{kind}"}
    (folder / f"{words['module']}.py").write_text(broken.code)
    info = folder / f"{words['module']}-1.2.dist-info"
    info.mkdir()
    if broken.metadata is not None:
        (info / "METADATA").write_text(broken.metadata.format(**words))
    (info / "entry_points.txt").write_text(broken.lines.format(**words))


@pytest.fixture(scope="module")
def _all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All broken plugins, and a good one, on the path of this process."""
    folder = tmp_path_factory.mktemp("installed")
    for kind, broken in KINDS.items():
        install(folder, kind, broken)
    install(folder, "good", Kind(""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        yield folder


@pytest.fixture(scope="module")
def findings(_all: Path) -> dict[str, Finding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "LIMIT", 3.0)
        found = doctor._plugins()
    return {kind: next(f for f in found if f"broken-{kind} " in f.detail) for kind in [*KINDS, "good"]}


@pytest.mark.parametrize("kind", KINDS)
def test_doctor_names_the_plugin_and_its_fault_in_one_line(findings: dict[str, Finding], kind: str) -> None:
    finding = findings[kind]
    assert finding.state == "broken" and KINDS[kind].said in finding.detail
    assert "\n" not in finding.detail and len(finding.detail) < 400


@pytest.mark.usefixtures("_all")
def test_doctor_finds_the_good_ones_among_them(findings: dict[str, Finding]) -> None:
    assert findings["good"].state == "ok"


@pytest.mark.parametrize("kind", KINDS)
def test_plugin_ls_has_a_line_for_it(listed: dict[str, list[dict[str, str]]], kind: str) -> None:
    (row,) = listed[f"broken-{kind}"]
    assert row["state"] == KINDS[kind].state
    assert (row["detail"] == "") == (row["state"] == "ok")
    assert row["state"] == "ok" or KINDS[kind].said in row["detail"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"[ptdiff.modalities.v1]\n\xff = x:Theirs\n", "entry_points.txt is not UTF-8"),
        (b"[ptdiff.modalities.v1]\nx\n", "'x' is not of the form module:Class"),
        (None, "entry_points.txt cannot be read: Is a directory"),
    ],
)
def test_metadata_that_python_itself_cannot_read_is_listed(
    tmp_path: Path,
    ptdiff,
    monkeypatch: pytest.MonkeyPatch,
    lines: bytes | None,
    said: str,  # type: ignore[no-untyped-def]
) -> None:
    """Torch reads the metadata of all distributions when it is imported, so not every command can go on."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: odd\nVersion: 1.0\n")
    if lines is None:
        (info / "entry_points.txt").mkdir()
    else:
        (info / "entry_points.txt").write_bytes(lines)
    assert ptdiff("modalities").returncode == 0
    (row,) = (row for row in json.loads(ptdiff("plugin", "ls", "--json").stdout) if row["distribution"] == "odd")
    assert row["state"] == "broken" and said in row["detail"]


@pytest.fixture(scope="module")
def listed(_all: Path, ptdiff) -> dict[str, list[dict[str, str]]]:  # type: ignore[no-untyped-def]
    done = ptdiff("plugin", "ls", "--json")
    assert done.returncode == 0, done.stderr
    rows: dict[str, list[dict[str, str]]] = {}
    for row in json.loads(done.stdout):
        rows.setdefault(row["distribution"], []).append(row)
    return rows


@pytest.mark.usefixtures("_all")
@pytest.mark.parametrize(
    "command",
    [
        ["plugin", "ls"],
        ["modalities"],
        ["modalities", "pointcloud"],
        ["list"],
        ["list", "model"],
        ["list", "recipe"],
        ["solvers"],
        ["processes"],
        ["config", "show", "half-hour"],
        ["train", "-m", "pointcloud", "-o", "shapes_per_class=4", "-o", "points=16", "-o", "dense=64", "--dry-run"],
    ],
    ids=" ".join,
)
def test_no_other_command_notices(ptdiff, command: list[str]) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*command)
    assert done.returncode == 0, done.stderr
    # one that is imported in this process would end or stop it
    assert not [name for name in sys.modules if name.startswith("broken_")]
    if command == ["modalities"]:
        names = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
        assert {"images", "pointcloud", "b-good", "b-raises"} <= names and "b-next" not in names
        bad = sum(kind.state != "ok" and "modalities" in str(kind.lines) for kind in DECLARED.values())
        assert "declared modalities cannot be used: ptdiff plugin ls" in done.stderr and bad > 5


@pytest.mark.usefixtures("_all")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("images", "modality 'images' is claimed by ptdiff itself and by broken-replaces 1.2: uninstall"),
        ("b-next", "modality 'b-next' of broken-next 1.2 needs ptdiff with contract v2 of modalities"),
        ("b-path", "modality 'b-path' of broken-path 1.2 cannot be used: '../x.py:Theirs' is not of the form"),
        ("b-raises", "(broken_raises:Theirs) of broken-raises 1.2 cannot be imported: RuntimeError: out of order"),
        ("b-exits", "(broken_exits:Theirs) of broken-exits 1.2 cannot be imported: SystemExit: 0"),
        ("b-interrupts", "of broken-interrupts 1.2 cannot be imported: KeyboardInterrupt"),
        ("b-own-kind", "(broken_own_kind:Theirs) of broken-own-kind 1.2 cannot be imported: Odd: x"),
        ("b-lacks", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
        ("b-spoofs", "of broken-spoofs 0.2.0 cannot be used: its METADATA is that of ptdiff"),
        ("b-raisez", "unknown modality 'b-raisez': did you mean 'b-raises'?"),
    ],
)
def test_a_broken_one_that_is_named_ends_the_command_with_one_line(ptdiff, name: str, said: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "-m", name, "--dry-run")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and said in line


@pytest.mark.usefixtures("_all")
def test_the_safe_mode_uses_what_ships_with_ptdiff(ptdiff, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PTDIFF_PLUGINS", "none")
    done = ptdiff("modalities")
    assert "b-good" not in done.stdout and "images" in done.stdout and done.stderr == ""
    assert ptdiff("modalities", "images").returncode == 0
    refused = ptdiff("modalities", "b-good")
    assert refused.returncode == 2
    assert refused.stderr == "error: modality 'b-good' of broken-good 1.2 is disabled by PTDIFF_PLUGINS=none\n"
    rows = json.loads(ptdiff("plugin", "ls", "--json").stdout)
    assert {row["state"] for row in rows} == {"ok", "disabled"}
    assert {row["distribution"] for row in rows if row["state"] == "ok"} == {"ptdiff"}


@pytest.mark.usefixtures("_all")
def test_the_safe_mode_uses_the_distributions_that_it_lists(ptdiff, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PTDIFF_PLUGINS", "Broken_Good, broken-old")
    assert ptdiff("modalities", "b-good").returncode == 0
    assert ptdiff("modalities", "images").returncode == 0
    assert "is disabled by PTDIFF_PLUGINS" in ptdiff("modalities", "b-raises").stderr
    monkeypatch.setenv("PTDIFF_PLUGINS", "broken-goodd")
    done = ptdiff("modalities")
    assert done.returncode == 2
    said = "error: PTDIFF_PLUGINS lists 'broken-goodd', which is not installed or has no plugins: did you mean "
    assert done.stderr == f"{said}'broken-good'?\n"


@pytest.mark.usefixtures("_all")
def test_the_shell_gets_the_same_line() -> None:
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "ptdiff_cli.main", "modalities", "b-exits"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "300"},
        check=False,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "broken-exits 1.2 cannot be imported: SystemExit: 0" in done.stderr
