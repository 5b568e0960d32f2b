"""``ptdiff train --dry-run``: the cost of training, measured on one batch, without writing anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ptdiff_cli.shared.terminal import show

if TYPE_CHECKING:
    import torch

    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config


def dry_run(config: Config, kind: Modality, data: Data, device: str = "auto") -> None:
    """Build the model, time training steps, and print shapes, parameters, operations, memory and time."""
    import torch

    from ptdiff.denoiser.building import TRAIN, built
    from ptdiff.machine import host
    from ptdiff.training.autotune import settle
    from ptdiff.training.flops import operations
    from ptdiff.training.module import DiffusionModule

    torch.manual_seed(config.seed)
    denoiser = built(kind, data, config.prediction, TRAIN)
    where = host.device(device)
    module = DiffusionModule(denoiser, data, config).to(where)
    module.begin()
    parameters = sum(p.numel() for p in denoiser.parameters())
    random = next(module.randomness(range(1)))
    flop = operations(lambda: torch.autograd.backward(module.losses(0, random)[0].mean()))
    found = settle(config, kind, data, where)
    config = found.config
    plan = config.training
    # weights, gradients, two moments and the averages
    state = (4 + len(module.averages)) * parameters * 4
    show(config.to_yaml())
    show(f"one sample       {data.shape}, {len(data.classes)} classes")
    show(f"training samples {len(data.train) if data.train is not None else 0:,}")
    show(f"batch            {plan.batch}")
    show(f"parameters       {parameters:,}")
    show(f"operations       {flop / 1e9:.2f} GFLOP per step, forward and backward")
    show(f"memory           {state / 2**20:.1f} MiB for weights, gradients, moments, averages; {_peak(where)} in total")
    show(f"chosen           {found.line()}")
    each = found.seconds[found.way]
    show(f"one step         {each * 1e3:.0f} ms on {_where(where, found.way.threads)}")
    if plan.minutes is not None:
        show(f"training         at most {plan.minutes:g} min, about {plan.minutes * 60 / each:,.0f} steps")
    if plan.steps is not None:
        show(f"training         at most {plan.steps:,} steps, about {plan.steps * each / 60:.1f} min")


def _where(device: torch.device, threads: int) -> str:

    from ptdiff.machine import host

    return f"{threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else host.name_of(device)


def _peak(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"
    try:
        import resource
    except ImportError:
        return "an unknown amount"
    # in bytes on macOS, in KiB elsewhere
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit:.1f} GiB"
