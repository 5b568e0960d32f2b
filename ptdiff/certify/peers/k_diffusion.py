"""k-diffusion (Crowson et al. 2022): functions of x and sigma, alpha = 1."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ptdiff.certify.peers import Noise, Sampler
from ptdiff.certify.peers.loading import drawing, part
from ptdiff.denoiser.network import Denoiser
from ptdiff.process import Level

PACKAGE = "k_diffusion"
_UNUSED = ("torchvision", "torchvision.transforms", "torchdiffeq", "torchsde")


def sampling() -> Any:
    """The module k_diffusion.sampling."""
    return part(PACKAGE, "sampling", _UNUSED)


def _increments(noise: Noise) -> Callable[[Tensor, Tensor], Tensor]:
    """Increments of a Brownian path over SNR = 1 / sigma^2, for whole intervals or for two that divide one."""
    last: list[tuple[Tensor, Tensor, Tensor]] = []

    def increment(start: Tensor, end: Tensor) -> Tensor:
        z = noise()
        if last and torch.isclose(last[-1][0], start, rtol=1e-9):
            _, between, before = last[-1]
            spans = between**-2 - start**-2, end**-2 - between**-2
            return (torch.sqrt(spans[0]) * before + torch.sqrt(spans[1]) * z) / torch.sqrt(spans[0] + spans[1])
        last.append((start, end, z))
        return z

    return increment


def independent(name: str, **options: Any) -> Sampler:
    """``sample_<name>`` with new numbers for every interval, as if it were given no path."""
    return sampler(name, path=False, **options)


def sampler(name: str, path: bool = True, **options: Any) -> Sampler:
    """``sample_<name>`` with these options; its noise comes from one Brownian path."""

    def run(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
        function, visited = getattr(sampling(), f"sample_{name}"), list[Tensor]()

        def model(point: Tensor, sigma: Tensor) -> Tensor:
            return denoiser(point, Level(torch.ones_like(sigma[0]), sigma[0]), {})

        given = dict(options)
        if "noise_sampler" in inspect.signature(function).parameters:
            given["noise_sampler"] = _increments(noise) if path else lambda *_: noise()
        with drawing(noise):
            end = function(
                model, x, levels.sigma, disable=True, callback=lambda seen: visited.append(seen["x"]), **given
            )
        # with churn the exposed states already contain its noise
        return [end] if options.get("s_churn") else [*visited[1:], end]

    return run
