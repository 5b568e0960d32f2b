"""The bare loop: a hand-written training loop for the same network on the same batches.

It has forward, loss, backward, clipping and the same optimizer, but no averages, reports, checkpoints or Lightning;
random numbers come from torch's own generator, and a few batches are loaded beforehand.  Any extra time of real
training is overhead (ptdiff.training.speed).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle

import torch
from torch import Tensor

from ptdiff.denoiser.building import TRAIN, built
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.run.config import Config
from ptdiff.training.module import DiffusionModule

BATCHES = 4


class Bare:
    """A separate network with an optimizer and a few batches on ``device``; :meth:`step` is one training step."""

    def __init__(self, kind: Modality, data: Data, config: Config, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.plan = config.training
        self.module = DiffusionModule(
            built(kind, data, config.prediction, TRAIN, flow_map=config.is_flow_map), data, config
        ).to(device)
        self.optimizer = self.module.configure_optimizers()
        self.objective = self.module.objective.at(0)
        self.weights = [p for p in self.module.parameters() if p.requires_grad]
        draws = enumerate(self.module.randomness(range(BATCHES)))
        batches = [(*self.module.batch(step, random.hidden), random) for step, random in draws]
        self.batches = cycle(batches)

    def loss(self) -> Tensor:
        """Mean loss of the next batch, with new noise."""
        x, cond, random = next(self.batches)
        random = replace(random, eps=torch.randn_like(x)).masked(cond.get("mask"))
        half = self.plan.precision == "bf16"
        with torch.autocast(x.device.type, dtype=torch.bfloat16) if half else nullcontext():
            told, penalty = random.condition(self.module.denoiser, x, cond)
            losses = self.objective(self.module.denoiser, x, random.eps, random.level, told) + penalty
        return losses.mean()

    def step(self) -> None:
        """Take one training step."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.loss())
        torch.nn.utils.clip_grad_norm_(self.weights, self.plan.clip)
        self.optimizer.step()
