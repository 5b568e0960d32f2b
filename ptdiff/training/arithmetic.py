"""The circumstances that decide the order of floating-point sums, so that a resumed run is bit for bit the same.

They are saved with every checkpoint.  Under others a run continues in its own precision, but its numbers differ by
rounding, and a line says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ptdiff.machine import host
from ptdiff.run.config import Training


def circumstances(plan: Training, device: torch.device, ranks: int) -> dict[str, Any]:
    """Return the circumstances of this process as JSON values; threads and instruction set only on a CPU."""
    found: dict[str, Any] = {"device": device.type, "ranks": ranks, "torch": str(torch.__version__)}
    if device.type == "cpu":
        threads = torch.get_num_threads() if plan.threads == "auto" else plan.threads
        found |= {"threads": threads, "instruction_set": host.instruction_set()}
    return found


def changed(before: Mapping[str, Any], now: Mapping[str, Any], precision: str) -> str | None:
    """Return a line about what differs since a checkpoint; None if nothing does.

    >>> changed({"threads": 2, "ranks": 1}, {"threads": 1, "ranks": 1}, "bf16")
    'resumed with threads 1 (was 2): results differ by rounding; precision stays bf16'
    """
    different = [name for name in before if name in now and before[name] != now[name]]
    if not different:
        return None
    words = ", ".join(f"{name.replace('_', ' ')} {now[name]} (was {before[name]})" for name in different)
    return f"resumed with {words}: results differ by rounding; precision stays {precision}"
