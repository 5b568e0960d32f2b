"""The state that a run needs to resume bit for bit: weights, averaged weights, optimizer moments and a few numbers.

If the run has them, also the learned log-variance, the losses by noise level and the best averaged weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ptdiff.errors import CheckpointError
from ptdiff.run.checkpoint import Checkpoint, save
from ptdiff.training.arithmetic import circumstances
from ptdiff.training.ema import profiles
from ptdiff.training.module import DiffusionModule
from ptdiff.training.sharded import gathered, like, spread


def save_state(module: DiffusionModule, optimizer: torch.optim.Optimizer, folder: Path) -> Checkpoint | None:
    """Write the module's current state as a checkpoint, which is the same for every strategy.

    All ranks must call this together.  The first one gathers what is sharded and writes it; the others return None.
    """
    assert module.averages
    moments = {
        f"{index}.{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    state = {
        "step": module.done,
        "elapsed": module.elapsed,
        "rate": module.rate,
        "ema_updates": module.averages[0].updates,
        "profiles": profiles(module.averages),
        "skipped": float(module.skipped),
        "micro_batch": module.gradients.most,
        "past": module.past.facts(),
        "circumstances": circumstances(module.plan, module.device, module.world),
        "gradient_noise": module.gradients.noise_scale.sums.tolist(),
    }
    parts = {"model": module.denoiser.state_dict(), "optimizer": moments}
    parts |= {name: average.average for name, average in module.averages_by_name().items()}
    if module.log_variance is not None:
        parts["log_variance"] = module.log_variance.state_dict()
    if module.history is not None:
        parts["loss_history"] = {"sums": module.history.sums}
    if module.best is not None:
        state["best"] = module.best.facts()
        if module.best.weights:
            parts["best"] = module.best.weights
    parts = {name: gathered(tensors) for name, tensors in parts.items()}
    if module.rank > 0:
        return None
    return save(folder, module.done, parts, state, keep=module.plan.keep)


def load_state(module: DiffusionModule, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Load a checkpoint into the module (after ``on_fit_start`` created its averages) and the optimizer.

    Raises CheckpointError if it is intact but does not fit the run.
    """
    assert module.averages
    try:
        _load(module, optimizer, checkpoint)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "state_dict" not in str(error):
            # of the device, not of the file
            raise
        said = f"{type(error).__name__}: {str(error).splitlines()[-1].strip() if str(error) else ''}"
        raise CheckpointError(f"{checkpoint.path} does not fit the run: {said}") from error


def _load(module: DiffusionModule, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    module.denoiser.load_state_dict(spread(checkpoint.tensors("model"), module.denoiser.state_dict()))
    for name, average in module.averages_by_name().items():
        average.load(checkpoint.tensors(name), int(checkpoint.state["ema_updates"]))
    if module.log_variance is not None:
        found = spread(checkpoint.tensors("log_variance"), module.log_variance.state_dict())
        module.log_variance.load_state_dict(found)
    if module.history is not None:
        module.history.sums.copy_(checkpoint.tensors("loss_history")["sums"])
    if module.best is not None and "best" in checkpoint.state:
        facts = checkpoint.state["best"]
        best = {} if facts["loss"] is None else checkpoint.tensors("best")
        module.best.load(facts, spread(best, module.averages[0].average))
    moments: dict[int, dict[str, Tensor]] = {}
    parameters = dict(enumerate(each for group in optimizer.param_groups for each in group["params"]))
    for name, value in checkpoint.tensors("optimizer").items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = like(value, parameters[int(index)])
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    module.done, module.elapsed = checkpoint.step, checkpoint.elapsed
    module.rate = float(checkpoint.state["rate"])
    # the parts measured, or found by running out of memory, at that time: with other parts the sums differ by rounding
    module.gradients.most = checkpoint.state.get("micro_batch")
    module.skipped.fill_(checkpoint.state["skipped"])
    if "gradient_noise" in checkpoint.state:
        module.gradients.noise_scale.sums = torch.tensor(checkpoint.state["gradient_noise"], dtype=torch.float64)
    module.in_a_row.zero_()
    module.past.load(checkpoint.state.get("past"))
    module.recent.clear()
