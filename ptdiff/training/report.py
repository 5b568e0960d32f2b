"""The report of a run every few seconds: a line of metrics.jsonl."""

from __future__ import annotations

import math
from typing import Any

from ptdiff.training.module import DiffusionModule


def report(module: DiffusionModule) -> dict[str, Any]:
    """Loss by noise band and in total since the last report, which is reset; all ranks must call it together.

    The loss is the objective: weighted, in the units of y for the weighting ``prediction``, and before the importances
    of a density that learns.  ``gradient_norm`` belongs to the last step, before clipping; ``ema_decay`` to the first
    average at that step.
    """
    totals = module.bands.take()
    if module.trainer.world_size > 1:
        totals = module.trainer.strategy.reduce(totals, reduce_op="sum")
    sums, counts = totals.tolist()
    norm = float(module.norm)
    values: dict[str, Any] = {
        "step": module.done,
        "seconds": round(module.elapsed, 3),
        "loss": sum(sums) / sum(counts) if sum(counts) else None,
        "loss_by_band": [s / c if c else None for s, c in zip(sums, counts, strict=True)],
        "learning_rate": module.learning_rate(),
        "skipped_steps": int(module.skipped),
    }
    if module.gradients.compares_parts(len(module.rows())):
        values["gradient_noise_scale"] = module.gradients.noise_scale.value
    values["gradient_norm"] = norm if math.isfinite(norm) else None
    values["ema_decay"] = module.averages[0].decay
    return values
