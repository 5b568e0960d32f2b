"""A hundred installed plugins cost next to nothing, because listing imports none of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

MOST = 0.05
"""Processor seconds that 100 plugins may add to ``ptdiff modalities``."""

CODE = """
import json, resource, sys
sys.argv = ["ptdiff", "modalities", "--json"]
from ptdiff_cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
used = resource.getrusage(resource.RUSAGE_SELF)
dummies = [name for name in sys.modules if name.startswith("dummy")]
print(json.dumps([used.ru_utime + used.ru_stime, dummies, sorted(sys.modules)]), file=sys.stderr)
"""


def install(folder: Path, number: int) -> None:
    """One of 80 good and 20 broken distributions."""
    info = folder / f"dummy_{number}-1.0.dist-info"
    info.mkdir()
    (folder / f"dummy_{number}.py").write_text("raise RuntimeError('imported')\n")
    description = "A long description, as most distributions have.\n" * 50
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dummy-{number}\nVersion: 1.0\n\n{description}")
    lines = f"[ptdiff.modalities.v1]\ndummy{number} = dummy_{number}:Dummy\n"
    broken = {
        0: lines.replace("v1", "v2"),
        1: lines.replace(f"dummy{number} ", "images "),
        2: lines.replace(":", "/"),
        3: lines.replace("modalities", "windows"),
    }
    (info / "entry_points.txt").write_text(broken[number % 4] if number < 20 else lines)


def measured(path: list[str]) -> tuple[float, list[str], list[str], list[dict[str, str]]]:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
    )
    seconds, dummies, modules = json.loads(done.stderr.splitlines()[-1])
    return seconds, dummies, modules, json.loads(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="measures processor time with the module resource")
def test_a_hundred_plugins_add_little_time_and_are_not_imported(tmp_path: Path) -> None:
    for number in range(100):
        install(tmp_path, number)
    here = list(filter(None, sys.path))
    without, with_them = [], []
    for _ in range(9):
        # in turn, because the speed of a machine changes
        seconds, _, before, few = measured(here)
        without.append(seconds)
        seconds, dummies, after, many = measured([*here, str(tmp_path)])
        with_them.append(seconds)
        assert dummies == [] and set(after) == set(before)
    assert len(many) == len(few) + 80
    more = median(with_them) - median(without)
    assert more <= MOST, f"{more:.3f} s more: {median(without):.3f} and {median(with_them):.3f}"
