"""Floating-point operations of a computation, from torch's counter."""

from __future__ import annotations

from collections.abc import Callable

import torch
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
