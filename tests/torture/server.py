"""A process that has imported everything and runs ``ptdiff`` in forks of itself, to be killed: see whole_runs.py.

It reads commands from standard input, one JSON object a line: {"arguments": […], "output": file, "fault": null or
[operation, error number, folder]}.  For each it writes "pid N", "begin" and "saved PATH" around every save, and at the
end "operations N" (with a fault) and "end CODE", which is negative for a signal.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from failing import failing

import ptdiff.training.snapshots as snapshots_file
import ptdiff.training.state as state_file
from ptdiff.training.callbacks import Reports
from ptdiff_cli import main as command_line


def serve() -> None:
    """Run commands until standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run(asked))
        mark(1, f"pid {child}")
        _, status = os.waitpid(child, 0)
        imported = Path(f"{asked['output']}.modules")
        if imported.exists():
            # what a command imports is there for the next ones
            for name in imported.read_text().split():
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
            imported.unlink()
            # collections in the forks then leave these objects, and the memory they share, alone
            gc.freeze()
        mark(1, f"end {os.waitstatus_to_exitcode(status)}")


def mark(handle: int, text: str) -> None:
    """Write a line at once."""
    os.write(handle, f"{text}\n".encode())


def run(asked: dict[str, Any]) -> int:
    """Run one command in this process; returns its exit code."""
    marks = os.dup(1)
    known = set(sys.modules)
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    state_file.save = announced(state_file.save, marks)
    snapshots_file.save = announced(snapshots_file.save, marks)
    # a report for every step: lines by the clock are never the same
    Reports.__init__.__defaults__ = (0.0,)
    sys.argv = ["ptdiff", *asked["arguments"]]
    code: Any = 0
    fault = asked.get("fault")
    place = contextlib.nullcontext([0]) if fault is None else failing(fault[0], fault[1], Path(fault[2]))
    try:
        with place as count:
            command_line.main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    new = set(sys.modules) - known
    if new and fault is None:
        Path(f"{asked['output']}.modules").write_text("\n".join(sorted(new)))
    mark(marks, f"operations {count[0]}")
    return code if isinstance(code, int) else int(code is not None)


def announced(save: Callable[..., Any], marks: int) -> Callable[..., Any]:
    """``save`` with a mark before and after it."""

    def replacement(*args: Any, **kwargs: Any) -> Any:
        mark(marks, "begin")
        made = save(*args, **kwargs)
        mark(marks, f"saved {made.path}")
        return made

    return replacement


if __name__ == "__main__":
    serve()
