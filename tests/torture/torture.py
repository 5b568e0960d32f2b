"""Kills, damage and failing disks: ``make torture``.

    python tests/torture/torture.py [--kills 1000] [--damage 2000] [--minutes 30] [--only KIND]… [--json FILE]

Each kind prints one line and ends with the number of promises that were broken, which must be 0.  The suite
runs a tenth of it or less (tests/ptdiff/test_torture.py).
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from failing import failing
from whole_runs import NUMBERS, faults, kills

from ptdiff.documents.atomic import write_atomic
from ptdiff.errors import CheckpointError, RunError
from ptdiff.experiments.compare_runs import summary
from ptdiff.machine import host
from ptdiff.modality import Data
from ptdiff.run.checkpoint import Checkpoint, latest, problem, save
from ptdiff.run.config import validate
from ptdiff.run.folder import Run, Start
from ptdiff.training.backends import MetricsTable

SHARES = {
    ("points2d", False): 0.3,
    ("points2d", True): 0.2,
    ("images", False): 0.2,
    ("pointcloud", False): 0.15,
}
"""Shares of the kills by modality, and whether TMPDIR is on tmpfs; the rest kills a process that only saves."""

EVERY = {"points2d": 1, "images": 11, "pointcloud": 13}
"""Distance between the operations of a whole run that fail; those of one modality are tried one by one."""

Result = dict[str, Any]

SAVING = """
import os, sys, tempfile
from pathlib import Path
import torch
from ptdiff.run.checkpoint import latest, save
folder = Path(sys.argv[1])
import safetensors.torch
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        found = latest(folder, repair=True)
        step = 0 if found is None else found.step
        while True:
            step += 1
            os.write(1, b"begin\\n")
            save(folder, step, {"model": {"w": torch.full((20_000,), float(step))}}, {"step": step})
            os.write(1, f"{step}\\n".encode())
    os.write(1, f"pid {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


def environment(temporary: Path | None = None) -> dict[str, str]:
    """Variables for another process; ``temporary``: its TMPDIR."""
    path = os.pathsep.join(part for part in sys.path if part)
    more = {} if temporary is None else {"TMPDIR": str(temporary)}
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **more}


def kills_in_save(folder: Path, count: int, temporary: Path | None = None) -> Result:
    """SIGKILL a process ``count`` times while it saves; the last promised checkpoint must be there each time."""
    chance, broken, step, seconds = random.Random(0), 0, 0, 0.05
    with subprocess.Popen(
        [sys.executable, "-c", SAVING, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(temporary),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(count):
            process.stdin.write("go\n")
            process.stdin.flush()
            lines = [process.stdout.readline()]
            while not lines[-1].startswith("pid"):
                lines.append(process.stdout.readline())
            child = int(lines.pop().split()[1])
            # somewhere inside one of the first saves
            saves = chance.randrange(1, 4)
            began = time.monotonic()
            while lines.count("begin\n") < saves:
                lines.append(process.stdout.readline())
                if lines[-1] == "begin\n":
                    seconds, began = max(0.01, time.monotonic() - began), time.monotonic()
            time.sleep(chance.uniform(0.0, seconds))
            os.kill(child, signal.SIGKILL)
            while (line := process.stdout.readline()) != "dead\n":
                lines.append(line)
            promised = max([int(line) for line in lines if line != "begin\n"], default=step)
            found = latest(folder)
            step = 0 if found is None else found.step
            good = found is None or torch.equal(found.tensors("model")["w"], torch.full((20_000,), float(step)))
            # one more than promised: killed between the commit and the promise
            broken += not (promised <= step <= promised + 1 and good)
        process.stdin.close()
    return {"kills": count, "checkpoints": step, "broken": broken}


def example(folder: Path) -> Run:
    """A run with every kind of file: initial weights, two checkpoints, two snapshots, reports and facts."""
    config = validate(
        {"modality": "points2d", "options": {"data": "moons"}, "training": {"lr": 0.00123, "steps": 4321}}
    )
    facts = Data((2,), mean=(0.123456, -1.5), scale=1.75, summary={"text": "two moons"})
    start = Start({"w": torch.full((200,), 0.0)}, {"name": "another", "step": 7})
    run = Run.create(folder, config, facts, start)
    for step in (1, 2):
        keep_state(run.checkpoints, step)
        keep_state(run.averages, step)
        run.log({"step": step, "seconds": 1.5, "loss": 0.5})
        MetricsTable(run.path / "metrics.csv").log_metrics({"loss": 0.5}, step)
    write_atomic(run.path / "eval.json", json.dumps({"metrics": {"energy": {"value": 0.5}}, "step": 2}) + "\n")
    return run


def keep_state(folder: Path, step: int) -> None:
    """Save a small checkpoint."""
    tensors = {"w": torch.full((200,), float(step))}
    save(folder, step, {"model": tensors, "ema": tensors}, {"step": step, "elapsed": 1.5})


def damage(folder: Path, count: int) -> Result:
    """Flip a bit of, or cut, one file of a run ``count`` times; nothing else may be read than what was written.

    ``records`` are damages of files without a checksum, of which no weight and no setting depends: the environment,
    reports and scores.  They may be read or refused, but nothing else may happen.
    """
    run, chance, broken = example(folder / "run"), random.Random(0), 0
    facts = (run.path / "data.json").read_bytes()
    files = sorted(path for path in run.path.rglob("*") if path.is_file() and path.stat().st_size)
    found: dict[str, int] = {}
    for number in range(count):
        file = files[number % len(files)]
        data = file.read_bytes()
        place = chance.randrange(len(data))
        flipped = bytes([data[place] ^ 1 << chance.randrange(8)])
        file.write_bytes(data[:place] if chance.random() < 0.5 else data[:place] + flipped + data[place + 1 :])
        outcome = look(run, facts)
        if file.name in RECORDS:
            # nothing was noticed, because nothing that was looked at depends on them
            outcome = "silent" if outcome not in ("equal", "refused") else "records"
        elif file.parent.parent in (run.checkpoints, run.averages, run.path / "start") and problem(file.parent) is None:
            outcome = "silent"
        found[outcome] = found.get(outcome, 0) + 1
        broken += outcome == "silent"
        file.write_bytes(data)
    return {"damages": count, "files": len(files), **found, "broken": broken}


RECORDS = ("env.json", "eval.json", "metrics.csv", "metrics.jsonl")
"""Files of a run without a checksum."""


def look(run: Run, facts: bytes) -> str:
    """The outcome of opening a damaged run: refused, named, equal, or silent if other values are taken."""
    lines: list[str] = []
    try:
        again = Run.open(run.path, lines.append)
        checkpoint = again.checkpoint(lines.append)
        # what 'ptdiff runs', a resumed run and averages made afterwards read
        summary(run.path, lambda line: None)
        MetricsTable(run.path / "metrics.csv")
        snapshot = latest(run.averages, lines.append)
        start = latest(run.path / "start", lines.append)
    except (RunError, CheckpointError, ValueError, OSError):
        return "refused"
    if lines:
        return "named"
    equal = again.config == run.config and json.loads((run.path / "data.json").read_text()) == json.loads(facts)
    for found in (checkpoint, snapshot):
        equal = equal and found is not None and constant(found, float(found.step))
    return "equal" if equal and start is not None and constant(start, 0.0) else "silent"


def constant(found: Checkpoint, value: float) -> bool:
    """True if the weights of a checkpoint are all ``value``."""
    return torch.equal(found.tensors("model")["w"], torch.full((200,), value))


def faults_in_save(folder: Path, numbers: tuple[int, ...] = NUMBERS) -> Result:
    """Let every operation of a save fail with each error number: the checkpoint before stays, or the save says so."""
    base, broken, tried = folder / "base", 0, 0
    keep_state(base, 1)
    for number in numbers:
        at = 0
        while True:
            at += 1
            place = folder / "trial"
            shutil.copytree(base, place)
            said = False
            with failing(at, number) as count:
                try:
                    keep_state(place, 2)
                except CheckpointError:
                    said = True
            found = latest(place)
            broken += found is None or (found.step == 1 and not said)
            # the next save works again
            keep_state(place, 3)
            again = latest(place, repair=True)
            broken += again is None or again.step != 3
            shutil.rmtree(place)
            if count[0] < at:
                break
            tried += 1
    return {"faults": tried, "errors": len(numbers), "broken": broken}


def full_disk(folder: Path) -> Result:
    """Save until a file system of 2 MiB is full: each save works or says so.  Needs the right to mount one."""
    place = folder / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        return {"skipped": "cannot mount a tmpfs here", "broken": 0}
    try:
        broken, refused, last = 0, 0, 0
        for step in range(1, 40):
            tensors = {"w": torch.full((4_000 * step,), float(step))}
            try:
                save(place / "c", step, {"model": tensors}, {"step": step})
                last = step
            except CheckpointError:
                refused += 1
            found = latest(place / "c")
            broken += (0 if found is None else found.step) != last
        return {"saves": 39, "refused": refused, "broken": broken + (refused == 0)}
    finally:
        subprocess.run(["umount", place], check=True)


def soak(folder: Path, minutes: float) -> Result:
    """Save and read for some minutes: no file handle and at most 5 % of memory more than after the first tenth."""
    step, end, begun = 0, time.monotonic() + 60 * minutes, time.monotonic()
    first: tuple[int, int] | None = None
    while time.monotonic() < end:
        step += 1
        keep_state(folder / "c", step)
        latest(folder / "c")
        if first is None and time.monotonic() - begun > 6 * minutes:
            first = held()
    before, after = first or held(), held()
    leaked, growth = after[0] - before[0], after[1] / max(1, before[1]) - 1
    return {"saves": step, "handles": leaked, "memory": round(growth, 4), "broken": int(leaked > 0 or growth > 0.05)}


def held() -> tuple[int, int]:
    """Open file handles and resident memory in pages; zeros where the system does not tell."""
    gc.collect()
    if not Path("/proc/self/statm").exists():
        return 0, 0
    return len(list(Path("/proc/self/fd").iterdir())), int(Path("/proc/self/statm").read_text().split()[1])


def main() -> None:
    """Run the kinds that were asked for; exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--damage", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak")
    parser.add_argument(
        "--limit", type=float, default=math.inf, help="minutes for each kind of kills and faults of runs"
    )
    parser.add_argument("--only", action="append", help="a kind; repeatable")
    parser.add_argument("--json", type=Path, help="file for the results; those of other kinds in it are kept")
    given = parser.parse_args()
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    saving = given.kills - sum(round(share * given.kills) for share in SHARES.values())
    kinds: dict[str, Callable[[Path], Result]] = {
        "kills of a process that only saves": lambda folder: kills_in_save(folder / "c", saving),
        **{
            f"kills of {modality} runs{', TMPDIR on tmpfs' if tmpfs else ''}": partial(
                kills,
                modality=modality,
                count=round(share * given.kills),
                temporary=memory if tmpfs else None,
                minutes=given.limit,
            )
            for (modality, tmpfs), share in SHARES.items()
        },
        "damage": lambda folder: damage(folder, given.damage),
        "faults of a save": faults_in_save,
        **{
            f"faults of {modality} runs": partial(faults, modality=modality, every=n, minutes=given.limit)
            for modality, n in EVERY.items()
        },
        "full disk": full_disk,
        "soak": lambda folder: soak(folder, given.minutes),
    }
    unknown = set(given.only or []) - set(kinds)
    if unknown:
        parser.error(f"unknown kind {', '.join(sorted(unknown))}; there are: {', '.join(kinds)}")
    broken = 0
    for name in given.only or kinds:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            result = kinds[name](Path(place))
        result["minutes"] = round((time.monotonic() - began) / 60, 1)
        broken += result["broken"]
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in result.items()), flush=True)
        if given.json is not None:
            known = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
            results = {**known.get("kinds", {}), name: result}
            # in the order of the kinds
            results = {key: results[key] for key in [*kinds, *results] if key in results}
            write_atomic(given.json, json.dumps({"machine": host.facts(), "kinds": results}, indent=1) + "\n")
    sys.exit(broken > 0)


if __name__ == "__main__":
    main()
