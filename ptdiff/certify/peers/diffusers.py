"""diffusers (von Platen et al. 2022): schedulers that receive the same levels through their tables.

Their tables are float32, and some cast the sample to float32 within a step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ptdiff.certify.peers import Noise, Sampler
from ptdiff.certify.peers.loading import drawing
from ptdiff.denoiser.network import Denoiser
from ptdiff.process import Level

PACKAGE = "diffusers"


def scheduler(name: str, **options: Any) -> Any:
    """``<name>Scheduler`` with these options."""
    with warnings.catch_warnings():
        # readers of certificates do not care about planned renamings
        warnings.simplefilter("ignore", FutureWarning)
        return getattr(import_module(PACKAGE), f"{name}Scheduler")(**options)


def _x0(x: Tensor, level: Level, d: Tensor) -> Tensor:
    return d


def _eps(x: Tensor, level: Level, d: Tensor) -> Tensor:
    return (x - level.alpha * d) / level.sigma


def _velocity(x: Tensor, level: Level, d: Tensor) -> Tensor:
    return level.alpha * _eps(x, level, d) - level.sigma * d


def _flow(x: Tensor, level: Level, d: Tensor) -> Tensor:
    return _eps(x, level, d) - d


def _walk(
    made: Any,
    denoiser: Denoiser,
    x: Tensor,
    called: list[Level],
    output: Callable[[Tensor, Level, Tensor], Tensor],
    noise: Noise,
    **given: Any,
) -> list[Tensor]:
    states = []
    with drawing(noise):
        for t, level in zip(made.timesteps, called, strict=True):
            x = made.step(output(x, level, denoiser(x, level, {})), t, x, **given).prev_sample
            states.append(x)
    return states


def _each(levels: Level, repeats: int = 1) -> list[Level]:
    """The levels without the last, as single levels; inner ones repeated if called repeatedly."""
    found = [Level(alpha, sigma) for alpha, sigma in zip(levels.alpha, levels.sigma, strict=True)]
    return [found[0], *(level for level in found[1:-1] for _ in range(repeats))]


def by_sigma(name: str, **options: Any) -> Sampler:
    """Schedulers with a table of sigma / alpha, in the space alpha^2 + sigma^2 = 1, that receive x_0."""

    def run(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
        made = scheduler(name, prediction_type="sample", **options)
        made.set_timesteps(len(levels.alpha) - 1)
        made.sigmas = levels.sigma / levels.alpha
        return _walk(made, denoiser, x, _each(levels), _x0, noise)

    return run


def by_chain(name: str, **options: Any) -> Sampler:
    """Schedulers with a table of alpha^2 over the steps of a chain: here a chain with one step per sampling step."""

    def run(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
        steps, eta = len(levels.alpha) - 1, options.get("eta")
        kept = {key: value for key, value in options.items() if key != "eta"}
        made = scheduler(name, num_train_timesteps=steps, prediction_type="epsilon", **kept)
        made.set_timesteps(steps)
        squares = levels.alpha.square()
        made.alphas_cumprod, made.final_alpha_cumprod = squares[:-1].flip(0), squares[-1]
        given = {} if eta is None else {"eta": eta}
        called = _each(levels)
        if name == "PNDM":
            # it starts with a trial step and calls again at its end
            return _walk(made, denoiser, x, [*called[:2], *called[1:]], _eps, noise)[1:]
        return _walk(made, denoiser, x, called, _eps, noise, **given)

    return run


def exploding(name: str, **options: Any) -> Sampler:
    """Schedulers with a table of sigma and alpha = 1, or of flow matching.

    Some call twice per step, the second time at the next level or at the geometric mean.
    """

    def run(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
        made = scheduler(name, **options)
        made.set_timesteps(len(levels.alpha) - 1)
        made.is_scale_input_called = True
        called, made.sigmas = _each(levels), levels.sigma
        twice = name.startswith(("Heun", "KDPM2", "FlowMatchHeun"))
        if twice:
            made.sigmas = _twice(levels.sigma)
            called = _each(levels, 2)
        if name.startswith("KDPM2"):
            between = torch.sqrt(levels.sigma[:-2] * levels.sigma[1:-1])
            made.sigmas_interpol = torch.cat(
                [levels.sigma[:1], between.repeat_interleave(2), levels.sigma.new_zeros(3)]
            )
            seconds = [Level(levels.alpha[0], sigma) for sigma in between]
            called = [level for pair in zip(_each(levels), seconds, strict=False) for level in pair] + called[-1:]
        output = _flow if name.startswith("FlowMatch") else _eps
        states = _walk(made, denoiser, x, called[: len(made.timesteps)], output, noise)
        return states[-1:] if twice else states

    return run


def _twice(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])


def pseudo(denoiser: Denoiser, x: Tensor, levels: Level, noise: Noise) -> list[Tensor]:
    """IPNDMScheduler, whose tables are alpha and sigma."""
    made = scheduler("IPNDM")
    made.set_timesteps(len(levels.alpha) - 1)
    made.alphas, made.betas = levels.alpha, levels.sigma
    return _walk(made, denoiser, x, _each(levels), _velocity, noise)
