"""The training step, as a LightningModule.

Lightning is the outer loop: devices, ranks, precision of the hardware, loggers.  The hot path is our own: several
optimizer steps inside one Lightning step, because for a small network on a CPU Lightning's overhead per step exceeds
the step itself.  The draws of a step are a function of its number (ptdiff.training.draws), and the state after it is in
the checkpoint (ptdiff.training.state), so that a stopped run resumes bit for bit.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.nn.parallel import DistributedDataParallel

from ptdiff.choices import choose
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.density import DENSITIES, LossAware
from ptdiff.errors import Diverged
from ptdiff.machine import host
from ptdiff.modality.data import Condition, Data
from ptdiff.noise import Stream, mix
from ptdiff.objective.consistency import OBJECTIVES
from ptdiff.objective.corruption import NOISES
from ptdiff.objective.coupling import COUPLINGS
from ptdiff.process import PROCESSES, Level
from ptdiff.run.config import Config
from ptdiff.training.ddp import Replicas
from ptdiff.training.divergence import History
from ptdiff.training.draws import Draws, Randomness
from ptdiff.training.early_stopping import best_of
from ptdiff.training.ema import EMA, averages_of, part_name
from ptdiff.training.fsdp import Sharded, shard
from ptdiff.training.gradients import Gradients
from ptdiff.training.loss_by_level import Bands
from ptdiff.training.loss_history import LossHistory
from ptdiff.training.memory import fitting_rows
from ptdiff.training.observer import Observer
from ptdiff.training.optimizer import OPTIMIZERS
from ptdiff.training.schedule import SCHEDULES
from ptdiff.training.sharded import whole
from ptdiff.training.shards import Shards

PATIENCE = 10
"""Number of steps in a row without a finite gradient that count as divergence."""

BLOCK = 1.0
"""Approximate limit in seconds of a Lightning step of several optimizer steps, for reports, checkpoints and stops."""


class DiffusionModule(pl.LightningModule):
    """Fits a NetworkDenoiser to data; one Lightning step is a range of optimizer steps."""

    def __init__(self, denoiser: NetworkDenoiser, data: Data, config: Config) -> None:
        super().__init__()
        if data.train is None or len(data.train) == 0:
            raise ValueError("the data has no training samples")
        self.denoiser, self.config, self.plan = denoiser, config, config.training
        self.process = choose("process", PROCESSES, config.process)
        goal, density = choose("objective", OBJECTIVES, config.objective), choose("density", DENSITIES, config.density)
        goal.check(config, denoiser)
        noise, coupling = choose("noise", NOISES, config.noise), choose("coupling", COUPLINGS, config.coupling)
        self.history = LossHistory(density) if isinstance(density, LossAware) else None
        drawn = goal.density(density, self.process)
        self.draws = Draws(
            config, data, data.train, self.process, drawn, noise, self.history, coupling, denoiser.code,
            denoiser.is_flow_map,
        )  # fmt: skip
        self.objective = goal.objective(config, self.draws.log_density)
        self.objective.check(self.draws.extremes(), denoiser.prediction)
        # its parameters, if any, are trained with the network's but are not part of the denoiser
        self.log_variance = self.objective.log_variance
        self.automatic_optimization = False
        self.schedule = choose("schedule", SCHEDULES, self.plan.schedule)
        self.kinds = averages_of(self.plan)
        self.averages: list[EMA] = []
        self.best = best_of(self.plan, data)
        self.notes: dict[str, Any] = {}  # further values of the next report
        self.done, self.elapsed, self.rate = 0, 0.0, 1.0
        self.stop_requested, self.ending = False, False
        self.observer, self.pace = Observer(), math.inf  # seconds per step in the last block
        self.gradients = Gradients(self)
        # counters of this rank; not buffers, because the first rank's buffers overwrite those of the others
        self.skipped, self.in_a_row, self.norm = torch.zeros(()), torch.zeros(()), torch.zeros(())
        self.bands = Bands()
        self.past = History()
        self.recent: deque[Tensor] = deque(maxlen=1000)  # mean losses of the steps since the last look at them

    def configure_model(self) -> None:
        """Shard the network if the strategy has a mesh of ranks for it (FSDP)."""
        mesh = self.mesh
        if mesh is not None:
            for part in (self.denoiser.net, self.log_variance):
                if part is not None:
                    shard(part, mesh)

    @property
    def mesh(self) -> DeviceMesh | None:
        """The ranks over which the weights are sharded; None if every rank has all of them."""
        return self.device_mesh["data_parallel"] if self._trainer and self.device_mesh is not None else None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer of the configuration."""
        return choose("optimizer", OPTIMIZERS, self.plan.optimizer).build(self, self.plan)

    def on_fit_start(self) -> None:
        """Create the state of training, and settle how the batch is divided."""
        self.begin()
        rows = len(self.rows())
        most = self.plan.micro_batch
        self.gradients.most = fitting_rows(self, self.first_losses, rows) if most == "auto" else most
        # an unsettled configuration (ptdiff.training.autotune) processes the batch in one piece
        shards = 1 if self.plan.shards == "auto" else self.plan.shards
        model, threads = self.trainer.strategy.model, min(shards, torch.get_num_threads(), rows)
        if self.mesh is not None:
            self.gradients.ranks = Sharded(self, self.plan.batch, self.manual_backward)
        elif isinstance(model, DistributedDataParallel) and self.trainer.world_size > 1:
            self.gradients.ranks = Replicas(model, self.plan.batch, self.manual_backward)
        else:
            self.gradients.shards = Shards(threads if self.device.type == "cpu" else 1, self)

    def begin(self) -> None:
        """Create the state that steps change, once the module is on its device."""
        self.averages = self.averages or [EMA(self.denoiser, kind) for kind in self.kinds]
        self.skipped, self.in_a_row = self.skipped.to(self.device), self.in_a_row.to(self.device)
        self.bands = Bands(self.device)

    def averages_by_name(self) -> dict[str, EMA]:
        """The averages under their names ema, ema-1, …"""
        return {part_name(index): average for index, average in enumerate(self.averages)}

    def teardown(self, stage: str) -> None:
        """Release the threads."""
        self.gradients.close()

    def transfer_batch_to_device(self, batch: range, device: torch.device, dataloader_idx: int) -> range:
        """Return the batch unchanged."""
        # a batch is a range of step numbers; samples are moved where they are loaded
        return batch

    @property
    def progress(self) -> float:
        """Fraction of the run completed, 0 to 1: by steps, or by the clock if that is further."""
        by_steps = 0.0 if self.plan.steps is None else self.done / self.plan.steps
        return by_steps if self.plan.minutes is None else max(by_steps, self.elapsed / (60 * self.plan.minutes))

    @property
    def block(self) -> int:
        """Optimizer steps in the next Lightning step: ``inner_steps``, at most a second's worth; one at first."""
        return max(1, min(self.plan.inner_steps, int(BLOCK / max(self.pace, 1e-9))))

    def passed(self, parts: int) -> int:
        """Number of ``parts`` equal parts of the run that are over; exact if the run is counted in steps."""
        by_steps = 0 if self.plan.steps is None else self.done * parts // self.plan.steps
        by_clock = 0 if self.plan.minutes is None else int(parts * self.elapsed / (60 * self.plan.minutes))
        return min(parts, max(by_steps, by_clock))

    def learning_rate(self) -> float:
        """Learning rate of the next step: linear warm-up times the schedule."""
        warm = min(1.0, (self.done + 1) / max(1, self.plan.warmup))
        return self.plan.lr * self.rate * warm * self.schedule.share(self.done, self.progress)

    def rows(self) -> Tensor:
        """Places of this rank in the global batch."""
        return torch.arange(self.plan.batch)[self.rank :: self.world]

    @property
    def rank(self) -> int:
        """Index of this process among the ``world`` that train together; 0 for a module without a Trainer."""
        return self.trainer.global_rank if self._trainer else 0

    @property
    def world(self) -> int:
        """Number of processes that train together; 1 for a module without a Trainer."""
        return self.trainer.world_size if self._trainer else 1

    def randomness(self, steps: range) -> Iterator[Randomness]:
        """Yield the draws of each step for this rank's rows; each is requested after the steps before it are done."""
        # draws are made in float64
        drawn = self.draws.randomness(steps, self.rows().to(host.exact(self.device)))
        return (each.to(self.device) for each in drawn)

    def batch(self, step: int, hidden: Tensor) -> tuple[Tensor, Condition]:
        """This rank's samples of a step in model units, with the conditions of ``hidden`` rows removed."""
        return self.draws.batch(step, hidden, self.rows())

    def losses(self, step: int, random: Randomness) -> tuple[Tensor, Level]:
        """The loss of every sample of a step, times its importance, and the sample's noise level."""
        x, cond, paired = self.paired(step, random)
        return self.losses_of(x, cond, paired), random.level

    def paired(self, step: int, random: Randomness) -> tuple[Tensor, Condition, Randomness]:
        """This rank's samples of a step, their conditions, and its draws with the noise paired to the samples."""
        x, cond = self.batch(step, random.hidden)
        return x, cond, self.draws.pair(step, x, cond, random, self.rows())

    def losses_of(self, x: Tensor, cond: Condition, random: Randomness) -> Tensor:
        """The loss of every one of these samples, times its importance, (b,)."""
        half, random = self.plan.precision == "bf16", random.masked(cond.get("mask"))
        with torch.autocast(x.device.type, dtype=torch.bfloat16) if half else nullcontext():
            told, penalty = random.condition(self.denoiser, x, cond)
            objective = self.objective.at(self.progress)
            losses = objective(self.denoiser, x, random.eps, random.level, told) + penalty
        return losses if random.importance is None else losses * random.importance

    def first_losses(self, rows: int) -> Tensor:
        """The losses of the first ``rows`` samples of the first batch, (rows,)."""
        random = next(self.randomness(range(1)))
        x, cond = self.batch(0, random.hidden)
        some = slice(0, rows)
        return self.losses_of(x[some], {key: value[some] for key, value in cond.items()}, random.part(some))

    def training_step(self, steps: range) -> None:
        """Take optimizer steps ``steps``; ends early if the run was asked to stop or its time is over."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer) and self.averages
        if self.stop_requested and self.trainer.world_size == 1:
            steps = steps[:0]
        began = last = time.perf_counter()
        for step, random in zip(steps, self.randomness(steps), strict=True):
            self.take_step(step, random, optimizer)
            self.done = step + 1
            now = time.perf_counter()
            self.elapsed, last = self.elapsed + now - last, now
            self.observer.tick(self.done, self.progress, self.elapsed)
            if self.stop_requested or self.progress >= 1 or now - began > BLOCK:
                break
        # the only wait for the device in a block; the time of pending work belongs to the steps
        sign = self._sign_of_divergence()
        self.elapsed += time.perf_counter() - last
        self.pace = (time.perf_counter() - began) / max(1, self.done - steps.start)
        stop = self.stop_requested
        if self.trainer.world_size > 1:
            # ranks decide together: ranks that end at different steps would wait for each other forever
            self.elapsed = self.trainer.strategy.broadcast(self.elapsed)
            stop = self.trainer.strategy.reduce_boolean_decision(stop, all=False)
            sign = self._agreed(sign)
        self.ending = stop or self.progress >= 1
        if sign is not None:
            raise Diverged(f"{sign}, at step {self.done}", self.rate)

    def _sign_of_divergence(self) -> str | None:
        """A reason why the last block of steps has diverged, in words, or None; waits for the device."""
        skipped = float(self.in_a_row)
        if self.recent:
            self.past.see(torch.stack(list(self.recent)).tolist())
            self.recent.clear()
        if skipped >= PATIENCE:
            return f"no finite gradient in {skipped:.0f} steps in a row"
        return self.past.problem(list(self.parameters()))

    def doubt(self, *, final: bool = False) -> str | None:
        """A reason not to save the state after this step, in words, or None: the next steps may show a divergence.

        All ranks must call this together, and none of them saves if one has a reason.
        ``final``: there are no next steps; skipped steps leave the weights as they were.
        """
        sign = self.past.problem(list(self.parameters()), steps=3)
        if not final and (skipped := float(self.in_a_row)) > 0:
            sign = f"the last {skipped:.0f} steps had no finite gradient"
        return self._agreed(sign)

    def _agreed(self, sign: str | None) -> str | None:
        """A sign of divergence on this rank or, failing that, on another; each rank has losses of its own."""
        if self.world > 1 and self.trainer.strategy.reduce_boolean_decision(sign is not None, all=False):
            return sign or "another rank has diverged"
        return sign

    def take_step(self, step: int, random: Randomness, optimizer: torch.optim.Optimizer) -> None:
        """Take one optimizer step: gradients, clipping, update of the weights and their averages."""
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate()
        losses = self._gradients_of(step, random)
        self.norm = whole(torch.nn.utils.clip_grad_norm_(self.parameters(), self.plan.clip))
        # the fused optimizer changes nothing if found_inf is set, so nothing waits for the device to decide
        optimizer.found_inf = bad = (~torch.isfinite(self.norm)).float()  # type: ignore[attr-defined]
        # the fused optimizer of mps ignores found_inf
        if self.device.type != "mps" or not bool(bad):
            with self.gradients.together():
                optimizer.step()
        self.skipped += bad
        self.in_a_row = (self.in_a_row + bad) * bad
        for average in self.averages:
            average.update()
        self._note(losses.float(), random)

    def _gradients_of(self, step: int, random: Randomness) -> Tensor:
        """Store the gradients of a step in the parameters; return the losses of this rank's samples."""
        x, cond, random = self.paired(step, random)

        def losses_of(rows: slice) -> Tensor:
            told = {key: value[rows].contiguous() for key, value in cond.items()}
            return self.losses_of(x[rows].contiguous(), told, random.part(rows))

        most = self.gradients.most
        seed = mix(self.config.seed, int(Stream.TRAIN_NOISE), step, self.rank)
        losses = self.gradients.compute(losses_of, len(x), step, seed)
        if self.gradients.most != most:
            fewer = self.gradients.most
            self.observer.say(f"out of memory at step {step}: continuing with {fewer} samples at a time, same batch")
        return losses

    def _note(self, losses: Tensor, random: Randomness) -> None:
        """Add the losses of a step to the report, and to the density if it learns from them."""
        if random.importance is not None and random.place is not None and self.history is not None:
            losses = losses / random.importance
            measured = self.history.measured(random.place, losses)
            if self.world > 1:
                # all ranks must draw the same levels in the next step
                measured = self.trainer.strategy.reduce(measured, reduce_op="sum")
            self.history.learn(measured)
        self.recent.append(losses.mean())
        self.bands.add(losses, random.level)
