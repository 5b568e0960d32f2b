"""Kills, damage and failing disks: ``make torture``.

    python tests/torture/torture.py [--kills 1000] [--damage 2000] [--minutes 30] [--only KIND]… [--json FILE]

Each kind prints one line and ends with the number of promises that were broken, which must be 0.  The suite
runs a tenth of it or less (tests/ptdiff/test_torture.py).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ptdiff.errors import CheckpointError, RunError
from ptdiff.modality import Data
from ptdiff.run.checkpoint import latest, problem, save
from ptdiff.run.config import validate
from ptdiff.run.folder import Run

MODALITIES: dict[str, list[str]] = {
    "points2d": ["-o", "count=256"],
    "images": ["-o", "data=digits"],
    "pointcloud": ["-o", "points=64", "-o", "shapes_per_class=4"],
}
"""Modalities with options that make training small."""

INSIDE = 0.3
"""Share of the kills that are aimed inside the save."""

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


def kills_in_training(folder: Path, modality: str, count: int) -> Result:
    """SIGKILL ``ptdiff`` ``count`` times anywhere; the end must be bit-equal to that of a run without kills."""
    settings = ["--steps", "400", "--set", "training.save_minutes=0.002", "--set", "training.batch=8"]
    settings += ["--set", "training.threads=1", "--set", "training.shards=1", "--precision", "32"]
    settings += ["--set", "training.micro_batch=null", "--set", "training.compile=false", *MODALITIES[modality]]
    begin = ["train", "-m", modality, *settings, "--out"]
    whole, run = folder / "whole", folder / "killed"
    ran = command(*begin, str(whole))
    text, _ = ran.communicate()
    if ran.returncode != 0:
        return {"kills": 0, "broken": 1, "error": text.strip().splitlines()[-1]}
    chance, broken, done = random.Random(modality), 0, 0
    process = command(*begin, str(run))
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(2.0, 12.0) if done < count else None)
        if process.poll() is None:
            process.kill()
            done += 1
        elif process.returncode not in (0, -signal.SIGKILL):
            output = process.stdout.read() if process.stdout is not None else ""
            return {"kills": done, "broken": broken + 1, "error": output.strip().splitlines()[-1]}
        elif done >= count:
            break
        else:
            # finished too early for all kills: again from the beginning
            broken += not same(whole, run)
            shutil.rmtree(run)
        process.communicate()
        there = (run / "config.yaml").exists()
        process = command("resume", str(run)) if there else command(*begin, str(run))
    broken += not same(whole, run)
    return {"kills": done, "broken": broken}


def command(*arguments: str) -> subprocess.Popen[str]:
    """Start ``ptdiff``."""
    return subprocess.Popen(
        [sys.executable, "-m", "ptdiff_cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )


def same(one: Path, other: Path) -> bool:
    """True if the newest checkpoints of two runs have equal tensors, bit for bit."""
    mine, theirs = latest(one / "checkpoints"), latest(other / "checkpoints")
    if mine is None or theirs is None or mine.step != theirs.step or set(mine.parts) != set(theirs.parts):
        return False
    return all(
        torch.equal(value, theirs.tensors(part)[name])
        for part in mine.parts
        for name, value in mine.tensors(part).items()
    )


def example(folder: Path) -> Run:
    """A run with two checkpoints."""
    config = validate(
        {"modality": "points2d", "options": {"data": "moons"}, "training": {"lr": 0.00123, "steps": 4321}}
    )
    run = Run.create(folder, config, Data((2,), mean=(0.123456, -1.5), scale=1.75, summary={"text": "two moons"}))
    for step in (1, 2):
        keep_state(run.checkpoints, step)
    return run


def keep_state(folder: Path, step: int) -> None:
    """Save a small checkpoint."""
    tensors = {"w": torch.full((200,), float(step))}
    save(folder, step, {"model": tensors, "ema": tensors}, {"step": step, "elapsed": 1.5})


def damage(folder: Path, count: int) -> Result:
    """Flip a bit of, or cut, one file of a run ``count`` times; nothing else may be read than what was written."""
    run, chance, broken = example(folder / "run"), random.Random(0), 0
    facts = (run.path / "data.json").read_bytes()
    files = [run.path / name for name in ("config.yaml", "data.json", "seal.json")]
    files += sorted(path for path in run.checkpoints.rglob("*") if path.is_file())
    found: dict[str, int] = {}
    for number in range(count):
        file = files[number % len(files)]
        data = file.read_bytes()
        place = chance.randrange(len(data))
        flipped = bytes([data[place] ^ 1 << chance.randrange(8)])
        file.write_bytes(data[:place] if chance.random() < 0.5 else data[:place] + flipped + data[place + 1 :])
        outcome = look(run, facts)
        if file.parent.parent == run.checkpoints and problem(file.parent) is None:
            outcome = "silent"
        found[outcome] = found.get(outcome, 0) + 1
        broken += outcome == "silent"
        file.write_bytes(data)
    return {"damages": count, "files": len(files), **found, "broken": broken}


def look(run: Run, facts: bytes) -> str:
    """The outcome of opening a damaged run: refused, named, equal, or silent if other values are taken."""
    lines: list[str] = []
    try:
        again = Run.open(run.path, lines.append)
        checkpoint = again.checkpoint(lines.append)
    except (RunError, CheckpointError, ValueError, OSError):
        return "refused"
    if lines:
        return "named"
    equal = again.config == run.config and json.loads((run.path / "data.json").read_text()) == json.loads(facts)
    weights = checkpoint.tensors("model")["w"]
    return "equal" if equal and torch.equal(weights, torch.full((200,), float(checkpoint.step))) else "silent"


@contextlib.contextmanager
def failing(at: int, number: int) -> Iterator[list[int]]:
    """Let the ``at``-th operation on the disk fail with an error number; yields a list with the operations so far."""
    import safetensors.torch

    count = [0]
    places: list[tuple[Any, str]] = [
        *((os, name) for name in ("mkdir", "open", "fsync", "rename", "replace", "unlink", "rmdir", "listdir")),
        *((os, name) for name in ("scandir", "chmod")),
        (io, "open"),
        (shutil, "disk_usage"),
        (safetensors.torch, "serialize_file"),
    ]
    before = [(module, name, getattr(module, name)) for module, name in places]

    def faulty(operation: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] == at:
                raise OSError(number, os.strerror(number))
            return operation(*args, **kwargs)

        return replacement

    for module, name, operation in before:
        setattr(module, name, faulty(operation))
    try:
        yield count
    finally:
        for module, name, operation in before:
            setattr(module, name, operation)


def faults(folder: Path, numbers: tuple[int, ...] = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.ESTALE)) -> Result:
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
    parser.add_argument("--only", action="append", help="a kind; repeatable")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    inside = round(INSIDE * given.kills)
    each = (given.kills - inside) // len(MODALITIES)
    memory = Path("/dev/shm")
    kinds: dict[str, Callable[[Path], Result]] = {
        "kills inside the save": lambda folder: kills_in_save(folder / "c", inside - inside // 2),
        "kills inside the save, TMPDIR on tmpfs": lambda folder: kills_in_save(
            folder / "c", inside // 2, memory if memory.is_dir() else None
        ),
        **{
            f"kills of {name}": lambda folder, name=name: kills_in_training(folder, name, each)  # type: ignore[misc]
            for name in MODALITIES
        },
        "damage": lambda folder: damage(folder, given.damage),
        "faults": faults,
        "full disk": full_disk,
        "soak": lambda folder: soak(folder, given.minutes),
    }
    unknown = set(given.only or []) - set(kinds)
    if unknown:
        parser.error(f"unknown kind {', '.join(sorted(unknown))}; there are: {', '.join(kinds)}")
    results: dict[str, Result] = {}
    for name in given.only or kinds:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            results[name] = kinds[name](Path(place)) | {"seconds": 0.0}
        results[name]["seconds"] = round(time.monotonic() - began, 1)
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in results[name].items()), flush=True)
        if given.json is not None:
            given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(result["broken"] for result in results.values()))


if __name__ == "__main__":
    main()
