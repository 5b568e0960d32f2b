"""The default recipes on other machines: older instruction sets, one thread, a core that something else keeps busy.

torch and oneDNN are told to use no more of the processor than they would find there.  What is asserted is that training
and sampling work and end, not how fast they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

MACHINES = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
SMALL = {
    "points2d": ["-o", "count=256", "--set", "training.batch=64"],
    "images": ["--set", "training.batch=8"],
    "pointcloud": ["-o", "shapes_per_class=4", "-o", "points=128", "--set", "training.batch=4"],
}


@pytest.fixture
def hog() -> Iterator[None]:
    """A process that keeps a core busy, and is ended whatever happens: by itself too, should this process die."""
    code = "import time\nend = time.monotonic() + 240\nwhile time.monotonic() < end: pass"
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def ptdiff(machine: str, *arguments: object) -> str:
    """What a command prints on a machine with one thread."""
    command = [sys.executable, "-m", "ptdiff_cli.main", *map(str, arguments)]
    env = {**os.environ, **MACHINES[machine], "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained_and_sampled(machine: str, kind: str, folder: Path) -> None:
    ptdiff(machine, "train", "-m", kind, "--steps", 3, "--out", folder / "run", *SMALL[kind])
    ptdiff(machine, "sample", folder / "run", "-n", 2, "--steps", 3, "--out", folder / "samples.npz")
    assert (folder / "samples.npz").stat().st_size > 0


def test_a_machine_with_less_is_what_torch_then_sees() -> None:
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    for machine, seen in (("avx2", {"AVX2", "DEFAULT"}), ("sse4.1", {"DEFAULT", "NO AVX"})):
        env = {**os.environ, **MACHINES[machine]}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
        assert done.stdout.strip() in seen


def test_the_default_recipe_of_the_plane_trains_and_samples(tmp_path: Path) -> None:
    trained_and_sampled("avx2", "points2d", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "machine"), [pair for pair in product(SMALL, MACHINES) if pair != ("points2d", "avx2")]
)
def test_every_default_recipe_trains_and_samples(kind: str, machine: str, tmp_path: Path) -> None:
    trained_and_sampled(machine, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("hog")
@pytest.mark.parametrize("kind", SMALL)
def test_beside_a_process_that_keeps_a_core_busy_too(kind: str, tmp_path: Path) -> None:
    trained_and_sampled("avx2", kind, tmp_path)
