"""Training of a flow map: the denoising loss on some samples, and a loss of the map between two levels on the others.

    t uniform in [GAP, pi/2],    s uniform in [0, t - GAP]        angles from and to which a sample walks

The residual of the map is one of :mod:`ptdiff.flow_map.objectives`, named after its paper.  The diagonal F(x, t, t)
learns from the data, with the weighting, the loss and the density of the configuration, exactly as a denoiser does.
The map learns from its own diagonal ("self-distillation": Boffi et al. 2025, "How to build a consistency model").  So
the same training makes a map from scratch and from the weights of a trained run.

Three uniform numbers for each sample, ``cond["way"]`` (b, 3), say whether it is on the diagonal, and t and s.  They are
addressed like all draws of a step (:mod:`ptdiff.training.draws`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ptdiff.choices import one_of
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.flow_map.objectives import RESIDUALS, adaptive
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import masked, per_element
from ptdiff.objective.factors import LogDensity
from ptdiff.objective.loss import Denoise, Objective
from ptdiff.process import Level
from ptdiff.run.config import Config

GAP = 0.02
"""Shortest way of a map in training, in radians: residuals divide by its sine."""


@dataclass(frozen=True)
class FlowMapTraining(Denoise):
    """A flow map: samples in one or a few steps of solver ddim, see docs/few-step.md.

    ``residual``: the loss of the map, a name in ``ptdiff.flow_map.objectives.RESIDUALS`` other than ``diagonal``;
    semigroup and alphaflow need no derivative.
    ``diagonal``: fraction of the samples that learn the velocity, in (0, 1).
    ``power``: of adaptive weights, 0 for none; biased for meanflow and improved in few dimensions.
    """

    residual: str = "lagrangian"
    diagonal: float = 0.5
    power: float = 0.0

    def __post_init__(self) -> None:
        one_of("residual", self.residual, [name for name in RESIDUALS if name != "diagonal"])
        if not 0 < self.diagonal < 1:
            raise ValueError(f"diagonal must lie between 0 and 1, not {self.diagonal}")
        if not 0 <= self.power <= 1:
            raise ValueError(f"power must lie in [0, 1], not {self.power}")

    def objective(self, config: Config, log_density: LogDensity) -> Objective:
        """The denoising objective of ``config`` on the diagonal, and the loss of the map off it."""
        plain = super().objective(config, log_density)
        return FlowMapObjective(plain.weighting, plain.loss, plain.log_density, self)

    def check(self, config: Config, denoiser: NetworkDenoiser) -> None:
        """Raise ValueError if a setting of ``config`` or the network rules out flow maps."""
        for wrong, advice in (
            (denoiser.prediction != "velocity", f"needs prediction velocity, not {denoiser.prediction}"),
            (denoiser.self_conditioning, "needs a function of x and two levels alone: turn self-conditioning off"),
            (config.weighting["name"] == "uncertainty", "cannot be combined with weighting uncertainty"),
        ):
            if wrong:
                raise ValueError(f"objective flow-map {advice}")


@dataclass(frozen=True)
class FlowMapObjective(Objective):
    """The losses of a flow map; ``training``: its settings."""

    training: FlowMapTraining = FlowMapTraining()

    def __call__(self, denoiser: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """Loss of every sample, (b,): at ``level`` on the diagonal, and at levels of its own off it."""
        u, v, w = cond["way"].to(x0).unbind(dim=1)
        cond = {name: value for name, value in cond.items() if name != "way"}
        on = u < self.training.diagonal
        t = GAP + (math.pi / 2 - GAP) * v
        s = (t - GAP) * w
        losses = x0.new_zeros(len(x0))
        if bool(on.any()):
            part = _rows(cond, on)
            losses[on] = (
                super()
                .__call__(denoiser, x0[on], eps[on], Level(level.alpha[on], level.sigma[on]), part)
                .to(losses.dtype)
            )
        if not bool(on.all()):
            off = ~on
            part = _rows(cond, off)
            mask = part.get("mask")

            def flow_map(x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
                level = Level(torch.cos(t), torch.sin(t))
                return masked(denoiser.raw(x, level, {**cond, "to": s}).to(x.dtype), mask)

            residual = RESIDUALS[self.training.residual]
            # the fused kernels have no forward derivative
            with sdpa_kernel(SDPBackend.MATH):
                error = residual(flow_map, x0[off], eps[off], t[off], s[off], part)
            squares = adaptive(error, self.training.power) / error[0].numel()
            losses[off] = per_element(squares, mask).to(losses.dtype)
        return losses


def _rows(cond: Condition, rows: Tensor) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in cond.items()}
