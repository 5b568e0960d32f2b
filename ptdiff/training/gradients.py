"""The gradient of a step: of the batch in one piece or in parts, and in smaller ones where memory does not suffice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff import host
from ptdiff.noise import Stream, mix
from ptdiff.training.memory import out_of_memory
from ptdiff.training.noise_scale import EVERY
from ptdiff.training.shards import Shards

if TYPE_CHECKING:
    from ptdiff.training.draws import Randomness
    from ptdiff.training.module import DiffusionModule


def gradients(module: DiffusionModule, step: int, random: Randomness) -> Tensor:
    """Put the gradient of the mean loss of a step into the parameters; the losses of this rank's samples.

    Where memory does not suffice the step is done anew with half of the samples at a time, and so are those after it.
    """
    most = module.most
    while True:
        # what a network draws by itself (dropout) is addressed like the rest
        seed = mix(module.config.seed, int(Stream.TRAIN_NOISE), step, module.rank)
        torch.default_generator.manual_seed(seed)
        host.seed(module.device, seed)
        module.zero_grad(set_to_none=True)
        try:
            losses = _once(module, step, random)
            break
        except (RuntimeError, MemoryError) as error:
            if not (out_of_memory(error) and _halved(module)):
                raise
        # here and not above: the error holds on to what the step had got so far
        if module.device.type == "cuda":
            torch.cuda.empty_cache()
    if module.most != most:
        module.observer.say(f"out of memory at step {step}: from here on {module.most} samples at a time, same batch")
    return losses


def _once(module: DiffusionModule, step: int, random: Randomness) -> Tensor:
    x, cond, random = module.paired(step, random)
    scale = module.noise_scale if step % EVERY == 0 else None

    def losses_of(rows: slice) -> Tensor:
        told = {key: value[rows].contiguous() for key, value in cond.items()}
        return module.losses_of(x[rows].contiguous(), told, random.part(rows))

    if module.ranks is not None:
        return module.ranks.gradients(losses_of, len(x), module.manual_backward, scale, module.most)
    return (module.shards or Shards(1, module)).gradients(losses_of, len(x), scale, module.most)


def _halved(module: DiffusionModule) -> bool:
    """Half of the samples at a time from now on; whether that is possible."""
    if module.ranks is not None:
        # ranks that exchange gradients already wait for the one that failed: they cannot begin anew
        return False
    rows, least = len(module.rows()), module.shards.count if module.shards else 1
    most = min(rows, module.most or rows)
    module.most = max(least, most // 2)
    return most > least
