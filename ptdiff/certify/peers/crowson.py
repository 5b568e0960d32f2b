"""k-diffusion (Crowson et al. 2022): functions of x and sigma, alpha = 1."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from ptdiff.certify.peers import Noise, Sampler
from ptdiff.certify.peers.loading import drawing, part
from ptdiff.denoiser import Denoiser
from ptdiff.process import Level

PACKAGE = "k_diffusion"
_UNUSED = ("torchvision", "torchvision.transforms", "torchdiffeq", "torchsde")


def sampling() -> Any:
    """The module k_diffusion.sampling."""
    return part(PACKAGE, "sampling", _UNUSED)


def sampler(name: str, **options: Any) -> Sampler:
    """``sample_<name>`` with these options."""

    def run(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
        function, visited = getattr(sampling(), f"sample_{name}"), list[Tensor]()

        def model(point: Tensor, sigma: Tensor) -> Tensor:
            return denoiser(point, Level(torch.ones_like(sigma[0]), sigma[0]), {})

        given = dict(options)
        if "noise_sampler" in inspect.signature(function).parameters:
            given["noise_sampler"] = lambda *_: noise()
        with drawing(noise):
            if "sigmas" in inspect.signature(function).parameters:
                end = function(
                    model, x, levels.sigma, disable=True, callback=lambda seen: visited.append(seen["x"]), **given
                )
            else:
                ends = float(levels.sigma[-1]), float(levels.sigma[0])
                end = function(model, x, *ends, disable=True, **given)
        return [*visited[1:], end]

    return run
