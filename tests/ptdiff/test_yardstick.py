"""The machine beside what was measured on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from ptdiff.machine.yardstick import had, yardstick

ON_ONE_CORE = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
from ptdiff.machine.yardstick import had
print(had(4, 0.5))
"""


def test_threads_get_no_more_than_one_core_each() -> None:
    assert 0 < had(1, 0.05) <= 1
    assert 0 < had(2, 0.05) <= 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen on this system")
def test_four_threads_that_share_a_core_get_no_more_than_that_core() -> None:
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_CORE, str(core)], capture_output=True, text=True, check=True, timeout=100
    )
    assert 0 < float(done.stdout) < 1.1


def test_the_machine_is_plain_values_with_both_speeds() -> None:
    found = yardstick(torch.device("cpu"), 0.02)
    assert json.loads(json.dumps(found)) == found
    assert set(found["gemm_gflops"]) == {"float32", "bfloat16"}
    assert all(speed > 0 for speed in found["gemm_gflops"].values())
    assert {"processor", "instruction_set", "cores", "gpu", "device", "cores_had"} <= set(found)
