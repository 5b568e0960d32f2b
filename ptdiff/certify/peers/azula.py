"""azula (Rozet 2024): samplers with their own schedule over t from 1 to 0."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ptdiff.certify.peers import Noise, Sampler
from ptdiff.certify.peers.loading import drawing, part
from ptdiff.denoiser.network import Denoiser
from ptdiff.process import Level

PACKAGE = "azula"


def sampler(name: str, **options: Any) -> Sampler:
    """``<name>Sampler`` with these options."""

    def run(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
        steps = len(levels.alpha) - 1

        def schedule(t: Tensor) -> tuple[Tensor, Tensor]:
            # the grid points have t = 1, 1 - 1/n, …, 0 and can be mapped to any levels
            index = torch.round((1 - t) * steps).long()
            return levels.alpha[index], levels.sigma[index]

        class Posterior:
            """A denoiser in azula's terms."""

            def __init__(self) -> None:
                self.schedule = schedule

            def __call__(self, point: Tensor, t: Tensor) -> SimpleNamespace:
                return SimpleNamespace(mean=denoiser(point, Level(*schedule(t)), {}))

        cls = getattr(part(PACKAGE, "sample"), f"{name}Sampler")
        made = cls(Posterior(), start=1.0, stop=0.0, steps=steps, silent=True, dtype=torch.float64, **options)
        with drawing(noise):
            return [made(x)]

    return run
