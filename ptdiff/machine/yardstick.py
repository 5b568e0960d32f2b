"""The present speed of the machine, recorded with every measurement."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ptdiff.machine import host

if TYPE_CHECKING:
    import torch


def had(threads: int, seconds: float = 0.15) -> float:
    """Processor time that ``threads`` threads get at this moment, in cores, from 0 to ``threads``.

    The threads keep busy for ``seconds``; their processor time is divided by the elapsed time.  Two threads that get
    1.0 either share a core or compete with equally busy programs.
    """
    block, end = bytes(2**20), time.perf_counter() + seconds

    def spin(_: int) -> None:
        while time.perf_counter() < end:
            # large blocks are hashed without the interpreter's lock
            hashlib.sha256(block)

    began, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(spin, range(threads)))
    return min(float(threads), (time.process_time() - used) / (time.perf_counter() - began))


def yardstick(where: torch.device | None = None, seconds: float = 0.3) -> dict[str, Any]:
    """Facts about the machine and its present speed as JSON values, recorded with every measurement.

    Contains :func:`ptdiff.machine.host.facts`, and:
    ``device``: the device ``where``, by default the one that ``host.device()`` chooses.
    ``gemm_gflops``: :func:`ptdiff.machine.host.gemm_peak` in float32 and in bfloat16, each for ``seconds``.
    ``cores_had``: :func:`had` for all cores.
    """
    import torch

    where = host.device() if where is None else where
    peaks = {
        str(kind).removeprefix("torch."): host.gemm_peak(kind, where, seconds)
        for kind in (torch.float32, torch.bfloat16)
    }
    return {
        **host.facts(),
        "device": str(where),
        "gemm_gflops": {name: round(peak, 1) for name, peak in peaks.items()},
        "cores_had": round(had(host.cores()), 2),
    }
