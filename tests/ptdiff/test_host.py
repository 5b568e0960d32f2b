"""Freed memory: the system is asked for it once, and not for every tensor."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from ptdiff.machine.host import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(40):  # the heap grows to what they need
    torch.ones(2**24)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_large_tensors_that_come_and_go_find_their_pages_again() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    # 64 MiB are 32 pages even where they are of 2 MiB
    assert faults("as it is") >= 20 * 32
    assert faults("kept") < 20
