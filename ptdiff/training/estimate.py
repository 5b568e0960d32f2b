"""The cost of training, measured by the trial that precedes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ptdiff.denoiser.building import TRAIN, built
from ptdiff.machine import host
from ptdiff.machine.cost import Workload, about
from ptdiff.machine.flops import operations, operator_calls
from ptdiff.training.autotune import Settled, settle
from ptdiff.training.memory import kept_bytes
from ptdiff.training.module import DiffusionModule

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config

COPIES = 4
"""Float32 copies of the weights in training, without averages: weights, gradients and two moments."""
KEPT = 2
"""Checkpoints that a run keeps."""
ROWS = 4
"""Samples of a batch on which operations and memory are counted."""


@dataclass(frozen=True)
class TrainingEstimate:
    """The cost of a training run.

    ``settled``: the result of the trial.
    ``parameters``: of the network.  ``flop``: of a step, forward and backward.
    ``state``: bytes of weights, gradients, moments and averages.
    ``steps``: of the run; with a time limit, as many as this machine takes in that time.
    """

    settled: Settled
    parameters: int
    flop: float
    state: int
    steps: int
    work: Workload


def training_estimate(config: Config, kind: Modality, data: Data, device: torch.device) -> TrainingEstimate:
    """Measure the cost of training with ``config``, in a few seconds; nothing is written."""
    torch.manual_seed(config.seed)
    denoiser = built(kind, data, config.prediction, TRAIN, flow_map=config.is_flow_map)
    rows = min(ROWS, config.training.batch)
    plan = config.training.model_copy(update={"batch": rows})
    module = DiffusionModule(denoiser, data, config.model_copy(update={"training": plan})).to(device)
    module.begin()
    random = next(module.randomness(range(1)))

    def step() -> None:
        torch.autograd.backward(module.losses(0, random)[0].mean())

    share = config.training.batch / rows
    flop, operators = operations(step) * share, operator_calls(step)
    parameters = sum(p.numel() for p in denoiser.parameters())
    averages = len(module.averages)
    state = (COPIES + averages) * parameters * 4
    few, more = (kept_bytes(module, module.first_losses, count) for count in (max(1, rows // 2), rows))
    found = settle(config, kind, data, device)
    plan = found.config.training
    at_once = plan.micro_batch if isinstance(plan.micro_batch, int) else plan.batch
    kept = more + max(0.0, (more - few) / max(1, rows - rows // 2)) * max(0, at_once - rows)
    steps, each = found.steps or 0, found.seconds[found.way]
    # a checkpoint has weights, two moments and the averages
    checkpoint = (COPIES - 1 + averages) * parameters * 4
    work = Workload(
        name=f"train {steps:,}",
        key="train",
        seconds=about(steps * each),
        memory=max(host.peak_memory(device) or 0, state + kept),
        disk=KEPT * checkpoint + plan.snapshots * averages * parameters * 4,
        flop=flop * steps,
        calls=float(operators * steps),
        pieces=None,
        basis=(
            f"{steps:,} steps of {each * 1e3:.3g} ms, timed on real batches: {found.line()}; without validations and "
            f"previews; memory: the peak of this trial or, if more, {(state + kept) / 2**20:,.0f} MiB of weights, "
            f"gradients, moments, averages and activations; disk: {KEPT} checkpoints"
            + (" and the snapshots" if plan.snapshots else "")
        ),
    )
    return TrainingEstimate(found, parameters, flop, state, steps, work)
