"""The gradient of a step, from the whole batch or from parts, which become smaller if memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.machine import host
from ptdiff.noise import Stream, mix
from ptdiff.training.memory import out_of_memory
from ptdiff.training.noise_scale import EVERY
from ptdiff.training.shards import Shards

if TYPE_CHECKING:
    from ptdiff.training.draws import Randomness
    from ptdiff.training.module import DiffusionModule


def gradients(module: DiffusionModule, step: int, random: Randomness) -> Tensor:
    """Store the gradient of the mean loss of a step in the parameters; return the losses of this rank's samples.

    If memory runs out, the step is repeated with half as many samples at a time, as are all later ones.
    """
    most = module.most
    while True:
        # random numbers drawn by the network itself (dropout) are addressed like all others
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
        # not in the except block: the error keeps the tensors of the step alive
        if module.device.type == "cuda":
            torch.cuda.empty_cache()
    if module.most != most:
        module.observer.say(
            f"out of memory at step {step}: continuing with {module.most} samples at a time, same batch"
        )
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
    """Process half as many samples at a time from now on; False if that is impossible."""
    if module.ranks is not None:
        # the other ranks already wait to exchange gradients with the failed one: they cannot start over
        return False
    rows, least = len(module.rows()), module.shards.count if module.shards else 1
    most = min(rows, module.most or rows)
    module.most = max(least, most // 2)
    return most > least
