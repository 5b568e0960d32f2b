"""Exponential moving average of the weights.

    ema <- d ema + (1 - d) weights,        d = min(decay, (1 + n) / (10 + n)) after n updates

so that the first, useless weights are forgotten quickly (the warm-up of TensorFlow's ExponentialMovingAverage).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class EMA:
    """Averaged copies of a module's parameters and buffers; integer buffers are copied as they are.

    Make it after the module is on its device: it keeps references to the module's tensors.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of an EMA must lie in [0, 1), not {decay}")
        self.decay = decay
        self.updates = 0
        live = {name: value.detach() for name, value in module.state_dict().items()}
        self.average = {name: value.clone() for name, value in live.items()}
        floating = [name for name, value in live.items() if value.is_floating_point()]
        self._floats = [self.average[name] for name in floating], [live[name] for name in floating]
        self._others = [(self.average[name], live[name]) for name in live if name not in set(floating)]

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present weights into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(*self._floats, 1 - decay)
        for average, value in self._others:
            average.copy_(value)

    @torch.no_grad()
    def load(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, value in average.items():
            self.average[name].copy_(value)
        self.updates = updates
