"""Kills and failing disks during whole runs of ``ptdiff train`` and ``ptdiff resume``.

A run without disturbance keeps a checkpoint of every step.  Every checkpoint that a disturbed run ever has must be one
of these, bit for bit: the files of weights, averages and optimizer by their SHA-256, and state.json but for the times.
At the end metrics.jsonl must be the same as well, but for the times, and so must the snapshots in averages/.
"""

from __future__ import annotations

import errno
import json
import math
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ptdiff.experiments.compare_runs import history
from ptdiff.run.checkpoint import MANIFEST, STATE, latest, problem

MODALITIES: dict[str, list[str]] = {
    "points2d": ["-o", "count=256", "-o", "width=16", "-o", "blocks=1"],
    "images": ["-o", "data=digits", "-o", "network=dit", "-o", "width=16", "-o", "layers=1", "-o", "heads=1"],
    "pointcloud": [
        "-o",
        "points=16",
        "-o",
        "dense=64",
        "-o",
        "classes=[chair,table]",
        "-o",
        "shapes_per_class=4",
        *["-o", "width=16", "-o", "layers=1", "-o", "inducers=4", "-o", "heads=1"],
    ],
}
"""Modalities with options that make training small."""

TIMES = ("elapsed", "seconds")
LIMIT = 300.0
"""Seconds that a command may take before it counts as hanging."""

Result = dict[str, Any]


class Server:
    """The process of server.py."""

    def __init__(self, folder: Path, temporary: Path | None = None) -> None:
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
        more = {} if temporary is None else {"TMPDIR": str(temporary)}
        self.output = folder / "output.txt"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more},
        )
        self.rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def start(self, *arguments: str, fault: tuple[int, int, str] | None = None) -> Command:
        """Start ``ptdiff`` with these arguments."""
        assert self.process.stdin is not None
        asked = {"arguments": arguments, "output": str(self.output), "fault": fault}
        self.process.stdin.write((json.dumps(asked) + "\n").encode())
        return Command(self)

    def line(self, until: float) -> str | None:
        """The next line that the server writes, or None if there is none until then (time.monotonic)."""
        assert self.process.stdout is not None
        while b"\n" not in self.rest:
            left = max(0.0, until - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return None
            read = os.read(self.process.stdout.fileno(), 65536)
            if not read:
                raise RuntimeError("the server ended")
            self.rest += read
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()


class Command:
    """A command that runs in a fork of the server.

    ``saved``: the checkpoints that it has said to be complete.  ``saving``: True inside a save.
    """

    def __init__(self, server: Server) -> None:
        self.server, self.saved, self.saving, self.operations = server, [], False, 0
        self.saves: int = 0
        self.code: int | None = None
        first = server.line(time.monotonic() + LIMIT)
        assert first is not None and first.startswith("pid"), first
        self.pid = int(first.split()[1])

    saved: list[Path]

    def wait(self, seconds: float, saves: int | None = None) -> bool:
        """Follow the command for some seconds, or until it begins its save number ``saves``; False if it has ended."""
        until = time.monotonic() + seconds
        while self.code is None and (saves is None or self.saves < saves):
            line = self.server.line(until)
            if line is None:
                return True
            word, _, value = line.partition(" ")
            if word == "begin":
                self.saves, self.saving = self.saves + 1, True
            elif word == "saved":
                self.saved.append(Path(value))
                self.saving = False
            elif word == "operations":
                self.operations = int(value)
            else:
                self.code = int(value)
        return self.code is None

    def kill(self) -> None:
        """End it by SIGKILL, unless it has just ended by itself."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.wait(LIMIT)

    def output(self) -> str:
        """What the command printed."""
        return self.server.output.read_text(encoding="utf-8", errors="replace")


class Trial:
    """One modality: its server, the undisturbed run, and a disturbed one."""

    def __init__(self, server: Server, folder: Path, modality: str, steps: int, snapshots: int = 3) -> None:
        self.server, self.whole, self.run = server, folder / "whole", folder / "disturbed"
        self.settings = ["train", "-m", modality, *MODALITIES[modality], "--steps", str(steps), "--precision", "32"]
        plain = {"batch": 4, "inner_steps": 1, "threads": 1, "shards": 1, "micro_batch": "null", "compile": "false"}
        plain |= {"snapshots": snapshots, "validations": 2, "averages": "[{name: fixed}, {name: power}]"}
        for name, value in plain.items():
            self.settings += ["--set", f"training.{name}={value}"]
        every = ["--set", "training.save_minutes=1e-9", "--set", "training.keep=100000"]
        command = server.start(*self.settings, *every, "--out", str(self.whole))
        command.wait(LIMIT)
        if command.code != 0:
            raise RuntimeError(command.output())
        self.expected = {path.name: facts(path) for path in (self.whole / "checkpoints").iterdir()}
        self.averages = {path.name: facts(path) for path in (self.whole / "averages").iterdir()}
        self.steps = steps

    def start(self, minutes: float = 0.0, fault: tuple[int, int] | None = None) -> Command:
        """Continue the disturbed run, or begin it if it does not exist; ``minutes`` between saves."""
        at = None if fault is None else (*fault, str(self.run))
        if (self.run / "config.yaml").exists():
            return self.server.start("resume", str(self.run), fault=at)
        often = ["--set", f"training.save_minutes={max(minutes, 1e-9)}"]
        return self.server.start(*self.settings, *often, "--out", str(self.run), fault=at)

    def wrong(self, promised: int) -> str | None:
        """A reason why a checkpoint of the disturbed run is wrong, or None; ``promised``: the last step said."""
        found = latest(self.run / "checkpoints")
        step = 0 if found is None else found.step
        if step < promised:
            return f"step {promised} was promised, and {step} is there"
        if found is not None and facts(found.path) != self.expected[found.path.name]:
            return f"the checkpoint of step {step} is another"
        if (self.run / "checkpoints").is_dir():
            for path in (self.run / "checkpoints").iterdir():
                if path.name.endswith("damaged") and (path / "COMMITTED").exists():
                    return f"{path.name} was committed"
        return None

    def end(self, logs: bool = True) -> str | None:
        """A reason why the finished run differs from the undisturbed one, or None."""
        found = latest(self.run / "checkpoints")
        if found is None or found.step != self.steps or facts(found.path) != self.expected[str(self.steps)]:
            return f"the last checkpoint is another: {found and found.path}"
        averages = {path.name: facts(path) for path in (self.run / "averages").glob("*") if problem(path) is None}
        if logs and averages != self.averages:
            return f"the snapshots are others: {sorted(averages)}"
        if logs and timeless(history(self.run)) != timeless(history(self.whole)):
            return "metrics.jsonl is another"
        return None

    def restart(self) -> None:
        """Delete the disturbed run."""
        shutil.rmtree(self.run, ignore_errors=True)


def facts(checkpoint: Path) -> Any:
    """The contents of a checkpoint: hashes of its tensors, and its state without times."""
    lines = (checkpoint / MANIFEST).read_text().splitlines()
    state = json.loads((checkpoint / STATE).read_text())
    return [line for line in lines if not line.endswith(STATE)], timeless([state])


def timeless(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mappings without their times."""
    return [{key: each for key, each in value.items() if key not in TIMES} for value in values]


def promised(command: Command, run: Path, before: int) -> int:
    """The last step that a run has promised to have."""
    steps = [int(path.name) for path in command.saved if path.parent == run / "checkpoints"]
    return max([before, *steps])


def complaint(command: Command) -> str | None:
    """A reason why a command that was not killed did not end well, or None."""
    if command.code is None:
        command.kill()
        return "it hangs"
    if command.code != 0:
        return " | ".join(command.output().strip().splitlines()[-3:])
    return None


def kills(
    folder: Path, modality: str, count: int, *, temporary: Path | None = None, minutes: float = math.inf
) -> Result:
    """SIGKILL a run ``count`` times anywhere, half of them aimed inside a save.

    ``minutes``: time after which no further kill is made.
    """
    end = time.monotonic() + 60 * minutes
    chance, done, hits, finished, broken = random.Random(modality), 0, 0, 0, []
    with Server(folder, temporary) as server:
        trial = Trial(server, folder, modality, 30)
        # the second command has everything imported: its length is that of the next ones
        began = time.monotonic()
        first = trial.start(0.001)
        first.wait(LIMIT)
        length, last, save = time.monotonic() - began, 0, 0.03
        broken += [reason for reason in (complaint(first), trial.end()) if reason]
        trial.restart()
        while done < count and len(broken) < 20 and time.monotonic() < end:
            command = trial.start(length / 60 / 12)
            if chance.random() < 0.5:
                if command.wait(LIMIT, saves=chance.randrange(1, 4)):
                    began = time.monotonic()
                    command.wait(chance.uniform(0.0, save), saves=None)
                    # later in a save than it is long: earlier the next time
                    save = min(1.0, 1.1 * save) if command.saving else max(0.005, 0.7 * save)
            else:
                command.wait(chance.uniform(0.0, 0.7 * length))
            if command.code is None:
                # what was written between the look and the kill counts
                command.kill()
            last = promised(command, trial.run, last)
            if command.code == -signal.SIGKILL:
                done, hits = done + 1, hits + command.saving
                reason = trial.wrong(last)
            else:
                finished, last = finished + 1, 0
                reason = complaint(command) or trial.end()
                trial.restart()
            broken += [reason] if reason else []
        if trial.run.exists():
            command = trial.start()
            command.wait(LIMIT)
            broken += [reason for reason in (complaint(command), trial.end()) if reason]
            finished += 1
    result: Result = {"kills": done, "inside_a_save": hits, "finished": finished, "broken": len(broken)}
    return result | ({"reasons": broken[:5]} if broken else {})


NUMBERS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.ESTALE)


def faults(folder: Path, modality: str, every: int = 1, first: int = 1, minutes: float = math.inf) -> Result:
    """Let every ``every``-th operation of a whole run on its folder fail: it ends well or in one line, and resumes.

    ``first``: the first operation.  ``minutes``: time after which none fails any more.
    """
    end = time.monotonic() + 60 * minutes
    tried, stopped, went_on, broken = 0, 0, 0, []
    with Server(folder) as server:
        trial = Trial(server, folder, modality, 3, snapshots=1)
        at = first
        while len(broken) < 20 and time.monotonic() < end:
            number = NUMBERS[(at // every) % len(NUMBERS)]
            command = trial.start(fault=(at, number))
            command.wait(LIMIT)
            if command.code == 0 and command.operations < at:
                trial.restart()
                break
            tried += 1
            here = f"operation {at}, {errno.errorcode[number]}: "
            lines = command.output().strip().splitlines()
            reasons = [trial.wrong(promised(command, trial.run, 0))]
            said = any("Traceback" in line or "bug of ptdiff" in line for line in lines)
            if said or command.code is None or (command.code != 0 and not (lines and lines[-1].startswith("error: "))):
                reasons.append(" | ".join(lines[-3:]) or "it ended without a word")
            if command.code == 0:
                went_on += 1
                reasons.append(trial.end(logs=False))
            else:
                stopped += 1
                again = trial.start()
                again.wait(LIMIT)
                reasons += [complaint(again), trial.end(logs=False)]
            trial.restart()
            broken += [here + reason for reason in reasons if reason]
            at += every
    result: Result = {"faults": tried, "went_on": went_on, "stopped": stopped, "broken": len(broken)}
    return result | ({"reasons": broken[:20]} if broken else {})
