"""Code of others, tried in processes of its own: whatever it does there harms nobody.

A process may raise, exit, call os._exit, crash or hang.  What it prints is thrown away.  It counts as good only if it
comes to its end and says so, in a file that nothing else writes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LIMIT = 10.0
"""Seconds that the code of a plugin may take to be imported."""

START = 120.0
"""Seconds that Python and ptdiff may take to start on a busy machine, before the limit counts."""

_CODE = """
import sys
from pathlib import Path
said = Path(sys.argv[1])
said.write_text("started")
try:
    use(*sys.argv[2:])
except BaseException as error:
    ours = type(error).__name__ == "PluginError"
    line = str(error) if ours else f"{type(error).__name__}: {error}"
    said.write_text("failed" + " ".join(line.split()).removesuffix(":"))
else:
    said.write_text("good")
"""


def tried(calls: Sequence[Sequence[str]]) -> Iterator[str | None]:
    """The problem of each call, None if there is none, in order; as many processes at a time as there are cores.

    A call is an import of ours that defines ``use``, as code, and the arguments of ``use``.  The processes find modules
    in the same folders as this one, but not in the current folder.
    """
    if not calls:
        return iter(())
    # os.cpu_count is the machine's, which a container may not use whole
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(min(cores, len(calls))) as pool:
        return iter(list(pool.map(lambda call: _tried(call, LIMIT), calls)))


def _tried(call: Sequence[str], limit: float) -> str | None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        said = Path(folder) / "said"
        # -P: without it, Python puts the current folder on the path
        command = [sys.executable, "-P", "-c", call[0] + _CODE, str(said), *call[1:]]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": _path()},
            # with a group of its own, what it starts ends with it
            start_new_session=True,
        )
        try:
            code = _ended(process, said, limit)
        finally:
            _kill(process)
        line = _read(said)
    if line == "good" and code == 0:
        return None
    if line.startswith("failed"):
        return line.removeprefix("failed")
    when = "after" if line == "good" else "while"
    if code is None:
        late = f"took longer than {limit:g} s to import"
        return late if line != "good" else "keeps Python running after it was imported"
    end = f"signal {_signal(-code)}" if code < 0 else f"exit code {code}"
    return f"ended Python with {end} {when} it was imported"


def _ended(process: subprocess.Popen[bytes], said: Path, limit: float) -> int | None:
    """Wait for the process; its exit code, None if it did not end in time."""
    began, since = time.monotonic(), None
    while True:
        try:
            return process.wait(0.05)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if since is None and said.exists():
            since = now
        if now - began > START or (since is not None and now - since > limit):
            return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


def _path() -> str:
    """The folders in which this process finds modules, without the current one unless the user put it there."""
    asked = [Path(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    folders = [folder for folder in map(Path, sys.path) if folder.exists()]
    return os.pathsep.join(str(folder) for folder in folders if folder in asked or not folder.samefile("."))


def _read(said: Path) -> str:
    try:
        return said.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
