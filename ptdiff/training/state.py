"""What a run must keep to go on bit for bit: weights, averaged weights, optimiser moments and a few numbers; where
there are such, the learned log-variance and the losses by noise level."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ptdiff.checkpoint import Checkpoint, save
from ptdiff.training.module import DiffusionModule


def save_state(module: DiffusionModule, optimizer: torch.optim.Optimizer, folder: Path) -> Checkpoint:
    """Write the module's present state as a checkpoint."""
    average = module.average
    assert average is not None
    moments = {
        f"{index}.{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    state = {
        "step": module.done,
        "elapsed": module.elapsed,
        "rate": module.rate,
        "ema_updates": average.updates,
        "skipped": float(module.skipped),
    }
    parts = {"model": module.denoiser.state_dict(), "ema": average.average, "optimizer": moments}
    if module.log_variance is not None:
        parts["log_variance"] = module.log_variance.state_dict()
    if module.history is not None:
        parts["loss_history"] = {"sums": module.history.sums}
    return save(folder, module.done, parts, state, keep=module.plan.keep)


def load_state(module: DiffusionModule, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's state into the module (after ``on_fit_start`` made its average) and the optimiser."""
    average = module.average
    assert average is not None
    module.denoiser.load_state_dict(checkpoint.tensors("model"))
    average.load(checkpoint.tensors("ema"), int(checkpoint.state["ema_updates"]))
    if module.log_variance is not None:
        module.log_variance.load_state_dict(checkpoint.tensors("log_variance"))
    if module.history is not None:
        module.history.sums.copy_(checkpoint.tensors("loss_history")["sums"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in checkpoint.tensors("optimizer").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    module.done = int(checkpoint.state["step"])
    module.elapsed = float(checkpoint.state["elapsed"])
    module.rate = float(checkpoint.state["rate"])
    module.skipped.fill_(checkpoint.state["skipped"])
    module.in_a_row.zero_()
