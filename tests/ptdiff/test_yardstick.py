"""The machine beside what was measured on it."""

from __future__ import annotations

import json
import subprocess
import sys

import torch

from ptdiff.yardstick import had, yardstick

BUSY = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
from ptdiff.yardstick import had
hogs = [os.fork() for _ in range(3)]
if 0 in hogs:
    while os.getppid() != 1:
        pass
print(had(1, 1.0))
for hog in hogs:
    os.kill(hog, 9)
"""


def test_threads_get_no_more_than_one_core_each() -> None:
    assert 0 < had(1, 0.05) <= 1
    assert 0 < had(2, 0.05) <= 2


def test_what_others_take_is_missing(tmp_path: object) -> None:
    """Three others on the same core leave about a quarter of it, however busy the machine is besides."""
    import os

    if not hasattr(os, "sched_setaffinity"):
        import pytest

        pytest.skip("cores cannot be chosen on this system")
    core = min(os.sched_getaffinity(0))
    done = subprocess.run([sys.executable, "-c", BUSY, str(core)], capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) < 0.45


def test_the_machine_is_plain_values_with_both_speeds() -> None:
    found = yardstick(torch.device("cpu"), 0.02)
    assert json.loads(json.dumps(found)) == found
    assert set(found["gemm_gflops"]) == {"float32", "bfloat16"}
    assert all(speed > 0 for speed in found["gemm_gflops"].values())
    assert {"processor", "instruction_set", "cores", "gpu", "device", "cores_had"} <= set(found)
