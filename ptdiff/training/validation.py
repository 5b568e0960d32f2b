"""Validation: the loss on held-out samples at fixed noise levels, and its distance from the lowest possible one.

    loss(theta) = mean over elements of (D(x) - x_0)^2 / sin^2 theta,    x = cos theta x_0 + sin theta eps

is the error of the velocity, for any prediction and weighting.  Samples and noise are the same each time, so that only
the weights change the loss.

regret(theta): the loss minus that of the optimal denoiser of the training set (ptdiff.training.regret) on the same
noisy samples.  At high noise no denoiser that knows only the training set does much better, and the regret is what the
network has yet to learn.  At low noise that denoiser returns the nearest training sample: it is no lower bound for
held-out data, and a regret below zero means that the network generalizes instead of memorizing.

A network with latent codes (ptdiff.denoiser.latent_code) reads the code from the held-out sample itself.  The
information in the code is added to the loss as in training, which makes it a bound, and there is no regret.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ptdiff.denoiser.latent_code import in_training
from ptdiff.machine.host import double
from ptdiff.modality.data import Data
from ptdiff.modality.ragged import masked, per_element
from ptdiff.noise import Stream, mix, normal
from ptdiff.process import Level
from ptdiff.run.folder import Run
from ptdiff.training.module import DiffusionModule
from ptdiff.training.observer import Observer
from ptdiff.training.regret import is_small_and_fixed, posterior_mean
from ptdiff.training.sharded import gathered

ANGLES = tuple(math.pi / 2 * (k + 0.5) / 4 for k in range(4))
"""Centers of the bands for which the training loss is reported."""
COST = 0.01
"""Approximate fraction of the training time that validation takes."""


class HeldOut:
    """Held-out samples noised to every one of ANGLES, and the loss of the training set's best denoiser on them."""

    def __init__(self, run: Run, data: Data, device: torch.device) -> None:
        assert data.val is not None
        self.run, self.plan, seed = run, run.config.training, mix(run.config.seed, int(Stream.VALIDATION))
        chosen = torch.randperm(len(data.val), generator=torch.Generator().manual_seed(seed))[: self._count(data)]
        x0, cond = data.val.batch(chosen.sort().values, seed)
        mask = cond.get("mask")
        x0, times = masked(data.normalize(x0.to(device)), None if mask is None else mask.to(device)), len(ANGLES)
        self.x0 = x0.repeat(times, *[1] * (x0.ndim - 1))
        self.cond = {key: value.to(device).repeat(times, *[1] * (value.ndim - 1)) for key, value in cond.items()}
        self.angle = torch.tensor(ANGLES, device=device).repeat_interleave(len(x0))
        self.level = Level(torch.cos(self.angle), torch.sin(self.angle))
        wide, ids = self.level.like(self.x0), torch.arange(len(self.x0), device=device)
        eps = normal(run.config.seed, Stream.VALIDATION, ids, 0, data.shape)
        self.x = wide.alpha * self.x0 + wide.sigma * masked(eps, self.cond.get("mask"))
        # a separate network: the one in training keeps its mode, its random numbers and its compiled code
        self.model = run.network().to(device).eval()
        self.likeliest = torch.zeros(len(self.x0), self.model.code, device=device)
        self.least: Tensor | None = None
        if self.model.code == 0 and data.train is not None and is_small_and_fixed(data.train, data.shape):
            self.least = self._by_angle(posterior_mean(data, self.x, self.angle, self.cond))

    def _count(self, data: Data) -> int:
        # a forward pass takes a third of a step, and two kinds of weights are validated
        rows = 1.5 * COST * self.plan.batch * (self.plan.steps or 1000) / self.plan.validations
        limit = min(rows, 2**24 / math.prod(data.shape)) / len(ANGLES)
        return int(min(256, max(4, limit)))

    def _by_angle(self, estimate: Tensor) -> Tensor:
        error = (estimate - self.x0.to(estimate.device)).square().flatten(1).mean(dim=1)
        error = per_element(error, self.cond.get("mask"))
        return double(error / torch.sin(self.angle).square().to(error.device)).reshape(len(ANGLES), -1).mean(dim=1)

    @torch.no_grad()
    def loss(self, weights: Mapping[str, Tensor]) -> Tensor:
        """loss(theta) at the angles, float64, of a network with these weights."""
        self.model.load_state_dict(weights)
        half = self.plan.precision == "bf16"
        found, worth = [], []
        with torch.autocast(self.x.device.type, dtype=torch.bfloat16) if half else nullcontext():
            for rows in torch.arange(len(self.x), device=self.x.device).chunk(-(-len(self.x) // self.plan.batch)):
                level = Level(self.level.alpha[rows], self.level.sigma[rows])
                cond = {key: value[rows] for key, value in self.cond.items()}
                # the code is read from the sample: its information is added to the loss, as in training
                told, penalty = in_training(self.model, self.x0[rows], cond, self.likeliest[rows])
                found.append(self.model(self.x[rows], level, told))
                worth.append(torch.zeros(len(rows), device=self.x.device) + penalty)
        return self._by_angle(torch.cat(found)) + double(torch.cat(worth)).reshape(len(ANGLES), -1).mean(dim=1)


class Validations(pl.Callback):
    """Measures raw and averaged weights ``training.validations`` times, each at the end of an equal part of the run.

    With ``training.patience``, the run ends after that many validations in a row that are not better than the best by
    ``min_delta``.
    """

    def __init__(self, run: Run, data: Data, observer: Observer) -> None:
        self.run, self.data, self.observer, self.passed = run, data, observer, 0
        self.held_out: HeldOut | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Skip the parts of the run that are already over."""
        assert isinstance(module, DiffusionModule)
        self.passed = module.passed(module.plan.validations)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        """Validate if a part of the run is over."""
        assert isinstance(module, DiffusionModule)
        passed = module.passed(module.plan.validations)
        if passed == self.passed:
            return
        self.passed = passed
        # all ranks gather the weights, one of them measures, and all decide by its figures
        weights = gathered(module.denoiser.state_dict()), gathered(module.averages[0].average)
        measured = self._measure(module, *weights) if trainer.is_global_zero else None
        if trainer.world_size > 1:
            measured = trainer.strategy.broadcast(measured)
        assert measured is not None
        module.notes = measured
        if module.best is not None:
            module.best.see(measured["validation_loss"], module.done, module.averages[0].average)
            if module.best.given_up:
                module.ending = True
                self.observer.say(
                    f"no improvement in {module.best.stale} validations: the best is at step {module.best.step}"
                )

    def _measure(
        self, module: DiffusionModule, weights: Mapping[str, Tensor], average: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        self.observer.begin("validation")
        if self.held_out is None:
            self.held_out = HeldOut(self.run, self.data, module.device)
        raw, averaged = (self.held_out.loss(each) for each in (weights, average))
        found: dict[str, Any] = {
            "validation_loss": _number(averaged.mean()),
            "validation_by_angle": [_number(value) for value in averaged],
            "validation_raw_by_angle": [_number(value) for value in raw],
        }
        if self.held_out.least is not None:
            found["regret_by_angle"] = [_number(value) for value in averaged - self.held_out.least]
        return found


def _number(value: Tensor) -> float | None:
    # JSON has only finite numbers
    return float(value) if torch.isfinite(value) else None
