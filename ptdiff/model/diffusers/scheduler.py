"""A process and a solver as a scheduler of diffusers, for its pipelines and its saved configurations."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from ptdiff.choices import choose
from ptdiff.denoiser.convert import convert
from ptdiff.grid import SPACINGS, grid
from ptdiff.model.diffusers.configurations import PREDICTIONS
from ptdiff.process import PROCESSES, Chain, Level, Process
from ptdiff.solvers import SOLVERS, State, Table
from ptdiff.solvers.loop import Call, stages

Choice = str | Mapping[str, Any]
"""A name, or a mapping with a name and options."""


class TableScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """Any solver of ptdiff with a table, under any process, for a network trained on a chain.

    ``solver``, ``process``, ``spacing``: a name, or a mapping with a name and options; see ``ptdiff list``.
    ``chain``: options of :class:`ptdiff.process.Chain`, the levels on which the network was trained.
    ``prediction_type``: of the network, by its name in diffusers.

    ``timesteps`` has one entry for each call of the network, so a solver with two calls in a step has twice as many;
    they need not be whole numbers.  The network sees samples with alpha^2 + sigma^2 = 1, by :meth:`scale_model_input`.
    """

    order = 1

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        solver: Choice = "dpm++2m",
        process: Choice = "chain",
        spacing: Choice = "trailing",
        chain: Mapping[str, Any] | None = None,
        prediction_type: str = "epsilon",
    ) -> None:
        self._solver = choose("solver", SOLVERS, _choice(solver))
        self._process: Process = choose("process", PROCESSES, _choice(process))
        self._spacing = choose("spacing", SPACINGS, _choice(spacing))
        self._chain = Chain(**dict(chain or {}))
        self._prediction = PREDICTIONS[prediction_type]
        self.timesteps = torch.empty(0)
        self._table: Table | None = None
        self._called: list[Level] = []
        self._index = 0
        self._walk: Generator[State | Call, Tensor, None] | None = None

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Compile the solver for that many steps; ValueError if it cannot start at the noisiest level."""
        levels = grid(self._process, num_inference_steps, self._spacing)
        self._table = self._solver.table(levels)
        alpha, sigma = torch.tensor(self._table.called, dtype=torch.float64).T
        times = self._chain.time(torch.atan2(sigma, alpha))
        self.timesteps = (times * (self._chain.steps - 1)).to(device=device, dtype=torch.float32)
        self._called = [Level(a, s) for a, s in zip(alpha, sigma, strict=True)]
        self.init_noise_sigma = float(torch.hypot(levels.alpha[0], levels.sigma[0]))
        self._index, self._walk = 0, None

    def __len__(self) -> int:
        """The number of levels on which the network was trained."""
        return self._chain.steps

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """``sample`` at the level of the next call, divided by its standard deviation for unit-variance data."""
        return sample / self._called[self._index].scale.to(sample)

    def step(
        self, model_output: Tensor, timestep: Any, sample: Tensor, generator: Any = None, return_dict: bool = True
    ) -> Any:
        """Advance to the next call, or to the sample: ``prev_sample``, and ``pred_original_sample``, E[x_0 | x].

        ``timestep`` is not used: calls are taken in order.  ``generator``: of the noise of stochastic solvers.
        """
        if self._table is None or self._index >= len(self._called):
            raise ValueError("call set_timesteps before each sampling loop, and step once for each of its timesteps")
        if self._walk is None:
            self._walk = stages(sample, self._table, _numbers(sample, generator))
            found = next(self._walk)
            while isinstance(found, State):
                found = next(self._walk)
        level = self._called[self._index]
        scale = level.scale.to(sample)
        unit = Level((level.alpha / level.scale).to(sample), (level.sigma / level.scale).to(sample))
        x0 = convert(model_output, sample / scale, unit, self._prediction, "x0")
        reached = sample
        try:
            found = self._walk.send(x0)
            while isinstance(found, State):
                reached = found.x
                found = next(self._walk)
            reached = found.x
        except StopIteration:
            self._walk = None
        self._index += 1
        return SimpleNamespace(prev_sample=reached, pred_original_sample=x0) if return_dict else (reached,)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Samples at ``timesteps`` (b,) of the chain: alpha x_0 + sigma eps."""
        level = self._chain.level(timesteps.double() / (self._chain.steps - 1)).like(original_samples)
        return level.alpha.to(original_samples) * original_samples + level.sigma.to(noise) * noise


def _choice(value: Choice) -> Mapping[str, Any]:
    return {"name": value} if isinstance(value, str) else value


def _numbers(sample: Tensor, generator: Any) -> Any:
    def numbers(draw: int) -> Tensor:
        return torch.randn(sample.shape, generator=generator, dtype=sample.dtype, device=sample.device)

    return numbers
