"""The fixtures of the tests of the command line: a trained run, and a way to call it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

_SPEC = spec_from_file_location("command_fixtures", Path(__file__).parents[1] / "ptdiff_cli" / "conftest.py")
assert _SPEC is not None and _SPEC.loader is not None
_COMMANDS = module_from_spec(_SPEC)
_SPEC.loader.exec_module(_COMMANDS)
ptdiff, run = _COMMANDS.ptdiff, _COMMANDS.run

Edit = Callable[[Path, Callable[[Any], Any]], None]


@pytest.fixture
def theirs(run: Path, tmp_path: Path) -> Path:
    """A run of a stranger, without a seal, beside the reader's home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "notes.txt").write_text("mine\n")
    made = shutil.copytree(run, tmp_path / "runs" / "theirs")
    (made / "seal.json").unlink()
    return made


@pytest.fixture
def edit() -> Edit:
    """Change the value of a JSON file: a function changes it in place, or returns another."""

    def change(path: Path, how: Callable[[Any], Any]) -> None:
        value = json.loads(path.read_text())
        other = how(value)
        path.write_text(json.dumps(value if other is None else other))

    return change
