"""Networks of other libraries as denoisers: networks that were trained on the levels of a discrete chain.

Such a network takes x with alpha^2 + sigma^2 = 1 and a timestep in 0 … T - 1, and predicts eps, v or x_0.  A level
between two timesteps gets a fractional timestep; a network that needs integers must round it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from ptdiff.denoiser.convert import convert
from ptdiff.modality.data import Condition
from ptdiff.process import Chain, Level


@dataclass(frozen=True)
class ExternalDenoiser:
    """``network(x, timestep) -> y`` as a denoiser for any solver and any process.

    ``network``: takes x (b, …) with alpha^2 + sigma^2 = 1 and timestep (b,), float32; y has the shape of x.
    ``chain``: the levels it was trained on; the default is DDPM's linear schedule of 1,000 steps (Ho et al. 2020).
    ``predicts``: "eps", "velocity" (v-prediction; Salimans and Ho 2022) or "x0".
    """

    network: Callable[[Tensor, Tensor], Tensor]
    chain: Chain = field(default_factory=Chain)
    predicts: str = "eps"

    def __call__(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x], (b, …), for x (b, …) and ``level`` of shape () or (b,)."""
        scale = level.scale
        unit = Level(level.alpha / scale, level.sigma / scale).like(x)
        z = x / level.like(x).scale
        timestep = self.chain.time(level.angle) * (self.chain.steps - 1)
        y = self.network(z, timestep.to(x.dtype).expand(len(x)))
        return convert(y, z, unit, self.predicts, "x0")
