"""Timed training steps of a separate network, each taken in a given way."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch

from ptdiff.denoiser.building import TRAIN, built
from ptdiff.machine import host
from ptdiff.machine.timing import Way
from ptdiff.training.memory import FEW, fitting_rows
from ptdiff.training.module import DiffusionModule
from ptdiff.training.shards import Shards, has_dropout

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config

KEPT = 0.02
"""The largest relative difference allowed between the losses in bfloat16 and in float32."""


class Steps:
    """Training steps of a separate network on the first batch, or on its first ``rows`` rows."""

    def __init__(self, config: Config, kind: Modality, data: Data, device: torch.device) -> None:
        self.config, self.kind, self.data, self.device = config, kind, data, device
        self.rows, self.row, self.fitting = 0, 0.0, config.training.batch
        self.shards: dict[Way, Shards] = {}
        self.build(max(min(FEW, config.training.batch), config.training.batch // 8))

    def build(self, rows: int) -> None:
        """Make a fresh network that takes batches of ``rows`` rows."""
        self.close()
        self.rows = rows
        plan = self.config.training.model_copy(update={"batch": rows})
        torch.manual_seed(self.config.seed)
        denoiser = built(self.kind, self.data, self.config.prediction, TRAIN, flow_map=self.config.is_flow_map)
        self.module = DiffusionModule(denoiser, self.data, self.config.model_copy(update={"training": plan}))
        self.module.to(self.device)
        self.module.begin()
        self.optimizer = self.module.configure_optimizers()
        self.random = next(self.module.randomness(range(1)))
        self.module.batch(0, self.random.hidden)  # most data sets load or create their samples once and keep them

    @property
    def share(self) -> float:
        """The size of the whole batch, in units of ``rows``."""
        return self.config.training.batch / self.rows

    @property
    def divisible(self) -> bool:
        """True if parts of a batch may be processed side by side."""
        return not has_dropout(self.module)

    def explore(self, way: Way, ranks: int = 1) -> int:
        """Take the first steps, on an eighth of the batch; return the rows of the batch that fit into memory at a time.

        ``ranks``: processes that share the memory.
        """
        self.fitting = fitting_rows(self.module, self.module.first_losses, self.config.training.batch, ranks)
        # the first step includes one-time preparation
        self.time(way)
        self.row = self.time(way) / self.rows
        return self.fitting

    def lasting(self, seconds: float) -> None:
        """Take steps with as many rows as need about ``seconds``, by the measurement of :meth:`explore`."""
        self.build(max(self.rows, min(self.fitting, int(seconds / max(self.row, 1e-9)))))

    @property
    def first(self) -> float:
        """Seconds of a step of the whole batch, by the first steps."""
        return self.row * self.config.training.batch

    def time(self, way: Way) -> float:
        """Seconds of one step of ``rows`` rows; for very short steps the mean of several."""
        module, plan = self.module, self.module.plan
        torch.set_num_threads(way.threads)
        if way.shards > 1 and way not in self.shards:
            self.shards[way] = Shards(way.shards, module)
        module.plan = plan.model_copy(update={"precision": way.precision})
        module.gradients.shards = self.shards.get(way)
        if module.gradients.shards is not None:
            torch.set_num_threads(max(1, way.threads // way.shards))
        try:
            began, count = time.perf_counter(), 0
            while True:
                module.take_step(0, self.random, self.optimizer)
                count += 1
                if time.perf_counter() - began > 0.02 or count >= 10:
                    host.synchronize(self.device)
                    return (time.perf_counter() - began) / count
        finally:
            module.plan, module.gradients.shards = plan, None

    def whole(self, way: Way) -> float:
        """Seconds of a step of the whole batch, taken in one piece or, if memory is short, in several."""
        self.build(self.fitting)
        self.time(way)
        return self.time(way) * self.share

    def compiled(self, way: Way) -> tuple[float, float]:
        """Seconds that compiling the network takes, and seconds of a compiled step."""
        self.module.denoiser.net.compile()
        began = time.perf_counter()
        self.time(way)
        took = time.perf_counter() - began
        return took, min(self.time(way) for _ in range(3))

    @torch.no_grad()
    def loss_is_kept(self, way: Way) -> bool:
        """True if the network, as the steps have left it, has the same loss in this precision as in float32."""
        found = []
        plan = self.module.plan
        for precision in ("32", way.precision):
            self.module.plan = plan.model_copy(update={"precision": precision})
            # the same dropout for both
            torch.manual_seed(0)
            host.seed(self.device, 0)
            found.append(float(self.module.losses(0, self.random)[0].mean()))
        self.module.plan = plan
        return math.isfinite(found[1]) and abs(found[1] - found[0]) <= KEPT * abs(found[0])

    def close(self) -> None:
        """Release the threads."""
        for shards in self.shards.values():
            shards.close()
        self.shards = {}
