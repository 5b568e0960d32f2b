"""Floating-point operations and calls of operators in a computation, counted by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in ``work()``."""
    # torch counts attention only on accelerators; its formulas take shapes
    attention = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),  # type: ignore[no-untyped-call]
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda g, q, k, v, *_, **__: (
            sdpa_backward_flop_count(g, q, k, v)  # type: ignore[no-untyped-call]
        ),
    }
    with FlopCounterMode(display=False, custom_mapping=attention) as counter:
        work()
    return int(counter.get_total_flops())


def operator_calls(work: Callable[[], object]) -> int:
    """Calls of torch's operators in ``work()`` that compute something, each at least one kernel on a GPU."""
    counter = _Calls()  # type: ignore[no-untyped-call]
    with counter:
        work()
    return int(counter.count)


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    count: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))
