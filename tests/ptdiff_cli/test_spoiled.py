"""Spoiled calls of every command end with one line and a documented exit code, never with a traceback; see spoil.py."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("spoil.py")
SEED = 1


@pytest.fixture(scope="module")
def spoil() -> ModuleType:
    spec = spec_from_file_location("spoil", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["spoil"] = module  # for its dataclass
    spec.loader.exec_module(module)
    return module


def results(count: int, seed: int, tmp_path: Path) -> list[dict[str, Any]]:
    env = {**os.environ, "PTDIFF_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--count", str(count), "--seed", str(seed)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(found: list[dict[str, Any]], count: int) -> None:
    assert len(found) == count
    assert [result for result in found if result["fault"] is not None] == []
    # most calls are refused, and not all of them for an unknown option
    refused = [result for result in found if result["code"]]
    assert len(refused) > 0.6 * count
    assert sum("--help'" not in result["said"] for result in refused) > 0.25 * count


def test_spoiled_calls_end_in_one_line(tmp_path: Path) -> None:
    check(results(100, SEED, tmp_path), 100)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_hundred_spoiled_calls_end_in_one_line(tmp_path: Path) -> None:
    check(results(500, SEED + 1, tmp_path), 500)


def test_every_command_is_called_with_its_own_options(spoil: ModuleType) -> None:
    from ptdiff_cli.main import COMMANDS

    found = {verb.name: verb for verb in spoil.verbs()}
    assert {name.partition(" ")[0] for name in found} == set(COMMANDS)
    assert "--json" in dict(found["runs list"].options) and "--points" in found["upsample"].required
    assert [name for name, _ in found["sample"].arguments] == ["run"]


def test_every_command_is_among_the_five_hundred_and_meets_spoiled_files(
    spoil: ModuleType, run: Path, tmp_path: Path
) -> None:
    whole, known = spoil.materials(tmp_path, run), spoil.verbs()
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    called, spoiled = Counter(), set()
    for number in range(500):
        verb, place = known[number % len(known)], tmp_path / "here"
        shutil.copytree(whole, place)
        arguments = spoil.call(verb, place, random.Random(f"{SEED + 1} {number}"))
        assert arguments[: len(verb.words)] == verb.words
        called[verb.name] += 1
        kept = {whole / path.relative_to(place): path for path in place.rglob("*")}
        if any(
            path not in kept or not kept[path].is_file() or kept[path].read_bytes() != before[path] for path in before
        ):
            spoiled.add(verb.name)
        shutil.rmtree(place)
    assert len(called) == len(known) and min(called.values()) >= 500 // len(known) >= 15
    # those whose arguments name files, except the long ones, of which only the options are spoiled
    short = {verb.name for verb in known if verb.arguments} - set(spoil.LONG)
    assert short - {"list", "modalities", "solvers", "processes"} <= spoiled


def test_what_counts_as_a_fault_is_found(spoil: ModuleType) -> None:
    whole = {"arguments": [], "code": 2, "said": "error: no\n"}
    assert spoil.fault(whole) is None and spoil.fault({**whole, "code": 0, "said": "done"}) is None
    for change in (
        {"code": 0},
        {"code": 139},
        {"said": ""},
        {"said": "error: a\nerror: b"} | {"code": 0},
        {"said": "Traceback (most recent call last)\nerror: x"},
        {"said": "error: a bug of ptdiff"},
        {"said": "error: \x1b[2J"},
    ):
        assert spoil.fault(whole | change) is not None, change


@pytest.mark.parametrize("number", range(3))
def test_a_spoiled_call_ends_in_the_same_way_in_a_process_of_its_own(
    spoil: ModuleType, number: int, run: Path, tmp_path: Path
) -> None:
    whole = spoil.materials(tmp_path, run)
    rng = random.Random(f"apart {number}")
    place = tmp_path / "here"
    shutil.copytree(whole, place)
    verb = next(verb for verb in spoil.verbs() if verb.name == ("sample", "render", "runs list")[number])
    arguments = spoil.call(verb, place, rng)
    done = subprocess.run(
        [sys.executable, "-m", "ptdiff_cli.main", *arguments], capture_output=True, text=True, cwd=place
    )
    assert spoil.fault({"arguments": arguments, "code": done.returncode, "said": done.stderr}) is None
