"""A plugin observed in a process of its own: ``python -m ptdiff.testing.probe MODULE:CLASS OPTIONS``.

OPTIONS are a JSON object.  Prints one JSON object: what importing the module, building the modality and reading its
data took, loaded, printed, wrote and connected to, and hashes of samples and initial weights, which another process
must find too.  Python's audit hooks report files and connections; what compiled code does by itself is not seen.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONNECTIONS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request")
"""Audit events of the network."""

WRITES = {
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.truncate": 0,
    "shutil.rmtree": 0,
}
"""Audit events that change files, with the position of the path among their arguments."""


class Audit:
    """What happens in the process while a part of the plugin runs."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.written: list[str] = []
        sys.addaudithook(self.see)

    def see(self, event: str, values: tuple[Any, ...]) -> None:
        """Record an audit event."""
        if event in CONNECTIONS:
            self.connected.append(str(values[1] if event == "socket.connect" else values[0])[:200])
        elif event == "open" and self._writes(*values):
            self.written.append(os.fsdecode(values[0]))
        elif event in WRITES and isinstance(values[WRITES[event]], str | bytes | os.PathLike):
            self.written.append(os.fsdecode(values[WRITES[event]]))

    @staticmethod
    def _writes(path: Any, mode: Any, flags: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike) or os.fsdecode(path).startswith("/dev/"):
            return False
        written = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else 0
        return bool(written) or (isinstance(mode, str) and any(c in mode for c in "wax+"))

    def during(self, work: Callable[[], Any], printed: Callable[[], str]) -> tuple[Any, dict[str, Any]]:
        """The result of ``work`` and what happened meanwhile; an exception is part of the report."""
        before, self.connected, self.written = set(sys.modules), [], []
        began, made, problem = time.process_time(), None, None
        try:
            made = work()
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        seconds = time.process_time() - began
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - {
            name for name in before if "." not in name
        }
        report = {
            "seconds": seconds,
            "loaded": sorted(loaded),
            "printed": printed(),
            "connected": self.connected,
            "written": [path for path in dict.fromkeys(self.written) if not _is_bytecode(path)],
            "problem": problem,
        }
        return made, report


def _is_bytecode(path: str) -> bool:
    return "__pycache__" in Path(path).parts


def observed(name: str, options: dict[str, Any], printed: Callable[[], str]) -> dict[str, Any]:
    """The report on ``module:Class`` with its options; ``printed``: returns what was printed since the last call."""
    from ptdiff.choices import build

    audit = Audit()
    module, _, qualname = name.partition(":")
    cls, imported = audit.during(lambda: getattr(importlib.import_module(module), qualname), printed)
    report: dict[str, Any] = {"imported": imported}
    if cls is None:
        return report
    modality, report["built"] = audit.during(lambda: build(qualname, cls, options), printed)
    if modality is not None:
        report["hashes"], report["read"] = audit.during(lambda: hashes(modality), printed)
    return report


def hashes(modality: Any) -> dict[str, str]:
    """Hashes of the first samples and of the initial weights of a modality."""
    import torch

    from ptdiff.testing.subject import BATCH, read

    data = modality.dataset()
    found = {}
    for name, split in (("train", data.train), ("val", data.val)):
        if split is not None and len(split):
            x, cond = read(split, torch.arange(BATCH) % len(split), 5)
            found[name] = digest({"x": x, **cond})
    torch.manual_seed(0)
    found["weights"] = digest(modality.backbone(data).state_dict())
    return found


def digest(tensors: dict[str, Any]) -> str:
    """SHA-256 of tensors and their names."""
    made = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        made.update(name.encode())
        made.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return made.hexdigest()


def main() -> None:
    """Observe the plugin that the arguments name; its own output does not mix with the report."""
    # before anything is watched, so that the plugin is not blamed for it
    import ptdiff.modality  # noqa: F401

    report_to = os.dup(1)
    with tempfile.TemporaryFile() as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        read = 0

        def printed() -> str:
            nonlocal read
            sys.stdout.flush()
            sys.stderr.flush()
            end = os.lseek(output.fileno(), 0, os.SEEK_END)
            text = os.pread(output.fileno(), end - read, read).decode(errors="replace")
            read = end
            return text

        report = observed(sys.argv[1], json.loads(sys.argv[2]), printed)
    with os.fdopen(report_to, "w", encoding="utf-8") as out:
        json.dump(report, out)


if __name__ == "__main__":
    main()
