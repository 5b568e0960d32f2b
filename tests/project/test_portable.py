"""Calls that some systems lack stand behind a branch, and what they do is done there too."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ptdiff.documents.atomic import write_atomic
from ptdiff.run.checkpoint import latest, save
from ptdiff.run.lock import held

ROOT = Path(__file__).parents[2]
SOURCES = [p for folder in ("ptdiff", "plugins", "datasets", "cli") for p in (ROOT / folder).rglob("*.py")]

# not on Windows, and some not on macOS
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios"}
CALLS = {
    "os": "chown fchmod fork forkpty getloadavg getpgid getuid killpg link mkfifo nice posix_spawn sched_getaffinity "
    "sched_setaffinity setsid symlink sysconf uname wait waitpid",
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm pause setitimer sigwait",
    "time": "tzset",
    "socket": "AF_UNIX",
}
FOLDERS = ("/dev/", "/etc/", "/home/", "/proc/", "/tmp", "/usr/", "/var/")

BRANCHES = {
    ("ptdiff/machine/host.py", "resource"): "except ImportError",
    ("ptdiff/machine/host.py", "os.sched_getaffinity"): 'hasattr(os, "sched_getaffinity")',
    ("ptdiff/machine/host.py", "os.sysconf"): "except (AttributeError",
    ("ptdiff/machine/host.py", "os.getloadavg"): "except (AttributeError",
    ("ptdiff/machine/host.py", "/proc/cpuinfo"): "except OSError",
    ("ptdiff/machine/host.py", "/proc/meminfo"): "except OSError",
    ("ptdiff/testing/probe.py", "/dev/"): '.startswith("/dev/")',
    ("ptdiff/plugins/trial.py", "os.sched_getaffinity"): 'hasattr(os, "sched_getaffinity")',
    ("ptdiff/plugins/trial.py", "os.killpg"): 'hasattr(os, "killpg")',
    ("ptdiff/plugins/trial.py", "signal.SIGKILL"): 'hasattr(os, "killpg")',
    ("ptdiff/run/lock.py", "fcntl"): 'sys.platform == "win32"',
}
"""Where they stand, and the words in the same function that are their branch."""


def found(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from [node.module] if node.module in MODULES else []
            yield from (
                f"{node.module}.{name.name}"
                for name in node.names
                if name.name in CALLS.get(str(node.module), "").split()
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield from [f"{node.value.id}.{node.attr}"] if node.attr in CALLS.get(node.value.id, "").split() else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            yield from [node.value] if node.value.startswith(FOLDERS) else []


def test_every_call_that_a_system_lacks_has_a_branch() -> None:
    seen = set()
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        place = path.relative_to(ROOT).as_posix()
        whole = ast.parse(text)
        functions = [node for node in ast.walk(whole) if isinstance(node, ast.FunctionDef)]
        inside = [(name, ast.get_source_segment(text, node) or "") for node in functions for name in found(node)]
        assert {name for name, _ in inside} == set(found(whole)), f"{place}: at the top of a module there is no branch"
        for name, source in inside:
            assert (place, name) in BRANCHES, f"{place}: {name} does not exist everywhere; give it a branch"
            assert BRANCHES[place, name] in source, f"{place}: {name}"
            seen.add((place, name))
    assert seen == set(BRANCHES)


def test_checkpoints_are_kept_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(path: str, flags: int, *mode: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *mode)

    opened = os.open
    monkeypatch.setattr(os, "open", windows)
    with pytest.raises(PermissionError):
        write_atomic(tmp_path / "a.json", "{}")
    monkeypatch.setattr(sys, "platform", "win32")
    save(tmp_path, 1, {"model": {"w": torch.ones(3)}}, {"step": 1})
    kept = latest(tmp_path)
    assert kept is not None and kept.step == 1
    write_atomic(tmp_path / "a.json", "{}")


def test_a_file_is_held_until_it_is_closed(tmp_path: Path) -> None:
    with held(tmp_path / "lock"), pytest.raises(BlockingIOError):
        held(tmp_path / "lock")
    held(tmp_path / "lock").close()
