"""``--workers`` and ``--engine``: the same results as without them, and nothing is left."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_workers_evaluate_to_the_same_scores(ptdiff: Callable, run: Path) -> None:  # type: ignore[type-arg]
    command = ("eval", run, "-n", 20, "--steps", 2, "--batch", 8, "--json")
    plain, found = ptdiff(*command), ptdiff(*command, "--workers", 1)
    assert found.returncode == 0, found.stderr
    one, other = json.loads(plain.stdout), json.loads(found.stdout)
    assert one["metrics"] == other["metrics"] and one["sets"] == other["sets"]
    assert not list(run.glob("samples/shards-*"))


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_an_engine_without_workers_is_refused(ptdiff: Callable, run: Path, command: str) -> None:  # type: ignore[type-arg]
    done = ptdiff(command, run, "--engine", "ray")
    assert done.returncode == 2 and "--workers N" in done.stderr
