"""Small files that ask for much are refused in two seconds and half a GiB, in one line; see bombs.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("bombs.py")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited and measured on Linux")

HARMLESS = {
    "run: deep metrics.jsonl": "a line that is no JSON is left out, as after a crash",
    "run: env.json of a tebibyte": "a finished run is resumed without reading it",
    "obj: a polygon of many corners": "it is large, and read in half a second",
}
"""Bombs that do not go off: the command ends well, within the limits."""

BY_MEMORY = {
    "option: as large as it may be": "a machine with more memory trains it",
    "render: a cloud of a tebibyte": "a cloud in text is read whole, as large as the memory allows",
}
"""Bombs that the limit on memory ends; every other one is refused before it needs any."""


def names() -> list[str]:
    spec = spec_from_file_location("bombs", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.BOMBS)


def met(some: list[str]) -> list[dict[str, Any]]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PTDIFF_CACHE": "none"}
    done = subprocess.run([sys.executable, SCRIPT, *some], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [result["bomb"] for result in found] == some
    return found


def check(found: list[dict[str, Any]]) -> None:
    for result in found:
        # two seconds of a core of its own; one whose other half works takes up to half as long again
        assert result["seconds"] <= 3, result
        assert 0 <= result["MiB"] <= 512, result
        assert not result["left"], result
        assert "Traceback" not in result["said"] and "a bug of ptdiff" not in result["said"], result
        if result["bomb"] in HARMLESS:
            assert result["code"] == 0, result
        else:
            assert result["code"] in (1, 2, 3), result
            assert ("not enough memory" in result["said"]) == (result["bomb"] in BY_MEMORY), result
            assert result["said"].splitlines()[-1].startswith("error: ") or len(result["said"]) == 400, result
            # at most a word about reading the data, or about a checkpoint, before the error
            assert result["lines"] <= 3, result


def test_there_are_at_least_thirty() -> None:
    assert len(names()) >= 30 and set(HARMLESS) | set(BY_MEMORY) <= set(names())


def test_some_of_the_bombs_do_not_go_off() -> None:
    check(met(names()[::6]))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_bomb_goes_off() -> None:
    check(met(names()))
