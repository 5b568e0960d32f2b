"""``ptdiff train --dry-run``: the cost of training, measured on one batch, without writing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptdiff_cli.shared.terminal import show

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config


def dry_run(config: Config, kind: Modality, data: Data, device: str = "auto") -> None:
    """Build the model, time training steps, and print shapes, parameters, operations and the cost."""
    from ptdiff.machine import host
    from ptdiff.machine.cost import costs
    from ptdiff.training.estimate import training_estimate
    from ptdiff_cli.shared.costs import show_costs

    where = host.device(device)
    found = training_estimate(config, kind, data, where)
    way, plan = found.settled.way, found.settled.config.training
    each = found.settled.seconds[way]
    show(found.settled.config.to_yaml())
    show(f"one sample       {data.shape}, {len(data.classes)} classes")
    show(f"training samples {len(data.train) if data.train is not None else 0:,}")
    show(f"batch            {plan.batch}")
    show(f"parameters       {found.parameters:,}")
    show(f"operations       {found.flop / 1e9:.2f} GFLOP per step, forward and backward")
    show(f"memory           {found.state / 2**20:.1f} MiB for weights, gradients, moments, averages")
    show(f"chosen           {found.settled.line()}")
    threads = f"{way.threads} thread{'s' * (way.threads > 1)}" if where.type == "cpu" else host.name_of(where)
    show(f"one step         {each * 1e3:.0f} ms on {threads}")
    if plan.minutes is not None:
        show(f"training         at most {plan.minutes:g} min, about {found.steps:,} steps")
    show_costs(costs(found.work))
