"""Spoiled calls of every command: its options by introspection, with values, files and folders that do not fit.

    python tests/ptdiff_cli/spoil.py --count 500 [--seed 0]

prints one line of JSON for each call, which is a function of the seed and its number.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import inspect
import io
import json
import os
import random
import shutil
import sys
import tempfile
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

CODES = {0, 1, 2, 3, 4}
"""The exit codes of a command that is not stopped by a signal."""

STUCK = 120
"""Seconds after which a call hangs, and the process ends with the stack."""

WORDS = [
    "",
    " ",
    "x",
    "-1",
    "0",
    "nan",
    "inf",
    "1e999",
    "9" * 40,
    "[1",
    "{a: b}",
    "a=b",
    "=",
    "a.b.c=1",
    "é\x1b[31m",
    "../..",
    "/",
    "~no-such-user/x",
    "none",
    "label=7",
    "solver.eta=x",
    "*",
]
"""Values of options."""

UNKNOWN = ["--no-such-option", "--sede", "\x1b[31m"]

LONG = {
    "certify": ["--only=x", "--only=\x1b[31m", "--solver=huen", "--workers=0", "--workers=nan", "--out=."],
    "doctor": ["--json=x", "x"],
    "plan": ["--samples=0", "--count=1", "--machines=x", "--gpu=h2o", "--peak=nan", "--price=-1", "--device=x"],
    "bench solvers": ["--rounds=0", "--rounds=1e999", "--out=."],
    "bench train": ["--modality=imges", "--device=x", "--seconds=nan", "--seconds=inf", "--threads=0", "--threads=x"],
}
"""Commands that measure for long, with options that they refuse before they do."""


@dataclass
class Verb:
    """A command: its words, arguments and options with their types."""

    words: list[str]
    arguments: list[tuple[str, Any]] = field(default_factory=list)
    options: list[tuple[str, Any]] = field(default_factory=list)
    required: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The command as it is typed."""
        return " ".join(self.words)


def verbs() -> list[Verb]:
    """Every command of the Typer app with what it takes."""
    from ptdiff_cli.main import app

    found = []

    def walk(typed: Any, words: list[str]) -> None:
        for command in typed.registered_commands:
            name = command.name or command.callback.__name__.replace("_", "-")
            verb = Verb([*words, name])
            for key, hint in typing.get_type_hints(command.callback, include_extras=True).items():
                if key == "return":
                    continue
                inner, *marks = typing.get_args(hint)
                mark = marks[0]
                if "Argument" in type(mark).__name__:
                    verb.arguments.append((key, inner))
                    continue
                # in an annotation, Typer keeps the first name of an option as its default
                given = [str(word) for word in (mark.default, *(mark.param_decls or ())) if str(word).startswith("--")]
                name = (given or [f"--{key.strip('_').replace('_', '-')}"])[0].partition("/")[0]
                if name == "--compile":
                    # takes minutes
                    continue
                verb.options.append((name, inner))
                if inspect.signature(command.callback).parameters[key].default is inspect.Parameter.empty:
                    verb.required.append(name)
            found.append(verb)
        for group in typed.registered_groups:
            walk(group.typer_instance, [*words, group.name])

    walk(app(), [])
    return sorted(found, key=lambda verb: verb.name)


def materials(folder: Path, run: Path) -> Path:
    """Whole things that calls spoil: a run, samples, clouds, images, tables, configurations."""
    place = folder / "whole"
    place.mkdir()
    shutil.copytree(run, place / "run")
    points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.savez(place / "cloud.npz", samples=points[None], modality=np.array("pointcloud"))
    np.savez(place / "points.npz", samples=points[:, :2], modality=np.array("points2d"))
    np.save(place / "cloud.npy", points)
    np.savetxt(place / "cloud.xyz", points)
    (place / "cloud.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 40\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
        + "\n".join(" ".join(map(str, row)) for row in points)
    )
    (place / "table.csv").write_text("x,y\n" + "\n".join(f"{a},{b}" for a, b, _ in points))
    (place / "c.yaml").write_text(
        "modality: points2d\noptions: {data: moons, count: 64, width: 8}\ntraining: {steps: 2, batch: 8}\n"
    )
    (place / "s.yaml").write_text("search: random\ntrials: 2\ntraining.lr: [0.001, 0.01]\n")
    from PIL import Image

    (place / "images").mkdir()
    for i in range(4):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(place / "images" / f"{i}.png")
    return place


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes cut, exchanged, or replaced."""
    way = rng.randrange(5)
    if way == 0 or not data:
        return data[: rng.randrange(len(data) + 1)]
    if way == 1:
        spot = rng.randrange(len(data))
        return data[:spot] + bytes([rng.randrange(256)]) + data[spot + 1 :]
    if way == 2:
        return rng.choice([b"", b"\0" * 64, b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b"{}", b"1e999"])
    if way == 3:
        spot = rng.randrange(len(data))
        return data[:spot] + rng.choice([b"-1", b"nan", b"1e400", b"\x1b[2J", b"null", b'"']) + data[spot:]
    spots = sorted(rng.sample(range(len(data)), 2)) if len(data) > 1 else [0, 0]
    return data[: spots[0]] + data[spots[1] :]


def spoil(path: Path, rng: random.Random) -> None:
    """Spoil a file, or one file of a folder, if it is still there."""
    if not path.exists():
        return
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.is_symlink()]
        if not files or rng.random() < 0.1:
            shutil.rmtree(path)
            if rng.random() < 0.5:
                path.mkdir()
            return
        path = rng.choice(files)
    if not path.is_file():
        return
    way = rng.randrange(8)
    if way == 0:
        path.unlink()
    elif way == 1:
        path.unlink()
        path.mkdir()
    elif way == 2 and hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
    else:
        path.write_bytes(damaged(path.read_bytes(), rng))


FITTING = {
    "--solver": ["heun", "ddim", "euler", "ddpm"],
    "--process": ["flow", "ve", "vp"],
    "--spacing": ["uniform", "karras"],
    "--device": ["cpu", "auto"],
    "--weights": ["raw", "ema"],
    "--split": ["val", "train"],
    "--label": ["0", "upper", "none"],
    "--set": ["solver.eta=0.5", "guidance.scale=1", "training.lr=0.01", "spacing=karras"],
    "--option": ["width=8", "points=64", "gray=true"],
    "--at": ["0,0.5,1"],
    "--color": ["position", "label"],
    "--prediction": ["velocity", "x0"],
    "--modality": ["points2d", "images", "pointcloud"],
    "--data": ["table.csv", "images", "moons", "cloud.ply"],
    "--config": ["c.yaml"],
    "--sweep": ["s.yaml"],
    "--weak": ["run"],
    # more would wait for one another
    "--nodes": ["1"],
    "--devices": ["1"],
    "--format": ["npz", "csv"],
    "kind": ["solver", "recipe", "models"],
    "name": ["points2d", "training", "schedules", "reverse"],
    "of": ["run", "c.yaml", "two-gaussians"],
    "run": ["run"],
    "runs": ["run"],
    "folder": ["."],
    "partial": ["cloud.ply", "cloud.npz", "points.npz"],
    "file": ["points.npz", "cloud.npz", "cloud.ply", "c.yaml"],
    "source": ["cloud.ply", "images", "table.csv"],
    "target": ["new"],
}
"""Values that may fit, by argument or option."""

NEW = ("--out", "--report", "--plot", "--to", "target")


def fitting(name: str, kind: Any, verb: Verb, rng: random.Random) -> str:
    """A value of an argument or option that may fit."""
    if name == "--from" and verb.name == "train":
        return "run"
    if name in FITTING:
        return rng.choice(FITTING[name])
    if name in NEW:
        return rng.choice(["new.npz", "new", "new.png", "new.ply", "new.html", "new.yaml"])
    text = str(kind)
    if "Path" in text:
        return rng.choice(
            ["run", "points.npz", "cloud.npz", "cloud.ply", "cloud.xyz", "cloud.npy", "images", "table.csv"]
        )
    if "Literal" in text:
        found = [kind, *typing.get_args(kind)]
        return str(
            rng.choice(next(typing.get_args(part) for part in found if typing.get_origin(part) is typing.Literal))
        )
    if "int" in text:
        return rng.choice(["1", "2", "3"])
    return rng.choice(["1", "0.5", "2"]) if "float" in text else rng.choice(["moons", "digits", "loss", "x"])


def call(verb: Verb, place: Path, rng: random.Random) -> list[str]:
    """A call of a command with at least one fault; spoils files under ``place``."""
    given: list[str] = []
    for name, kind in verb.arguments:
        if rng.random() < 0.93:
            given.append(fitting(name, kind, verb, rng))
    typed: list[str] = []
    for name, kind in rng.sample(verb.options, k=min(len(verb.options), rng.randrange(4))):
        typed.append(name)
        if kind is not bool and "bool |" not in str(kind):
            typed.append(fitting(name, kind, verb, rng))
    for name, _ in verb.options:
        # short, and where nothing is drawn
        if name in ("--steps", "--count") and name not in typed and rng.random() < 0.9:
            typed += [name, "2"]
    if verb.name == "train" and "--dry-run" not in typed and rng.random() < 0.5:
        typed.append("--dry-run")
    for name, kind in verb.options:
        if name in verb.required and name not in typed:
            typed += [name, fitting(name, kind, verb, rng)]
    words = given + typed
    files = [word for word in words if word and (place / word).exists() and word != "."] or ["run"]
    way = rng.randrange(6)
    if verb.name in LONG:
        return [*verb.words, *words, rng.choice([*UNKNOWN, *LONG[verb.name]])]
    if way == 0 and words:
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    elif way == 1:
        words.insert(rng.randrange(len(words) + 1), rng.choice([*WORDS, "--no-such-option", "--setps"]))
    elif way == 2 and verb.options:
        words += [rng.choice(verb.options)[0], rng.choice(WORDS)]
    else:
        for _ in range(rng.randrange(1, 3)):
            spoil(place / rng.choice(files), rng)
    return [*verb.words, *words]


@contextlib.contextmanager
def quiet() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Catch what a command prints."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def called(arguments: list[str], place: Path) -> dict[str, Any]:
    """Call the command line in this process; exit code, and what it says on stderr."""
    from ptdiff_cli.main import main

    code: Any = 0
    faulthandler.dump_traceback_later(STUCK, exit=True, file=sys.__stderr__)
    with quiet() as (_, err), contextlib.chdir(place), mock.patch.object(sys, "argv", ["ptdiff", *arguments]):
        try:
            main()
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
    faulthandler.cancel_dump_traceback_later()
    return {"arguments": arguments, "code": code, "said": err.getvalue()}


def fault(result: dict[str, Any]) -> str | None:
    """A reason why a result is not as it must be, or None."""
    said, code = result["said"], result["code"]
    if code not in CODES:
        return f"exit code {code}"
    if "Traceback" in said:
        return "a traceback"
    if "a bug of ptdiff" in said:
        return "a bug"
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    if (code == 0) != (not errors):
        return f"{len(errors)} errors with exit code {code}"
    if any(c in said for c in "\x1b\x07\r"):
        return "an escape sequence"
    return None


def attack(number: int, seed: int, whole: Path) -> dict[str, Any]:
    """Make and run call ``number``, in a copy of the whole things."""
    known = verbs()
    rng = random.Random(f"{seed} {number}")
    with tempfile.TemporaryDirectory(prefix="spoil-") as folder:
        place = Path(folder) / "here"
        shutil.copytree(whole, place)
        arguments = call(known[number % len(known)], place, rng)
        result = called(arguments, place)
    return {"number": number, **result, "fault": fault(result)}


def train(folder: Path) -> Path:
    """Train a small run."""
    from ptdiff.training.train import train_run

    values = {
        "modality": "points2d",
        "options": {"count": 64, "width": 8, "blocks": 1},
        "training": {
            "steps": 4,
            "batch": 8,
            "precision": "32",
            "threads": 1,
            "shards": 1,
            "micro_batch": None,
            "compile": False,
        },
    }
    train_run(folder / "trained", values, device="cpu")
    return folder / "trained"


def main(count: int, seed: int) -> None:
    """Print one line for each call."""
    with tempfile.TemporaryDirectory(prefix="spoil-") as name:
        folder = Path(name)
        whole = materials(folder, train(folder))
        for number in range(count):
            print(json.dumps(attack(number, seed, whole)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    main(given.count, given.seed)
