"""The discrete chain of DDPM (Ho et al. 2020) as a process.

    x_i = sqrt(1 - beta_i) x_{i-1} + sqrt(beta_i) eps,   i = 1 … T;   abar_i = prod_{j <= i} (1 - beta_j)
    alpha_i = sqrt(abar_i),   sigma_i = sqrt(1 - abar_i)

Indices count from 0: index k is step k + 1 of the paper, and the least noisy level, index 0, is not clean.  Time t in
[0, 1] is index t (T - 1).  Between integers the log-SNR is linear, except into a step without any signal (zero terminal
SNR), where the angle is linear.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptdiff.process.level import Level, Process

Schedule = Literal["linear", "scaled-linear", "cosine", "sigmoid", "sigmoid-abar", "sigmoid-alpha", "given"]
MOST_STEPS = 1_000_000
"""Largest number of steps of a chain: published ones have up to 4,000, and a level for each is held in float64."""

SPANS = {"sigmoid": 6.0, "sigmoid-abar": 3.0, "sigmoid-alpha": 5.0}


@dataclass(frozen=True)
class Chain(Process):
    """Discrete DDPM chain with a schedule of betas and optional zero terminal SNR (Ho et al. 2020).

    A schedule gives beta_i, or abar and with it beta_i = 1 - abar_i / abar_{i-1}, abar_0 = 1:

        linear         from beta_start to beta_end (Ho et al. 2020)
        scaled-linear  sqrt(beta) linear (Song et al. 2021, DDIM; latent diffusion); also known as quadratic
        cosine         abar = cos^2(pi/2 (t + s) / (1 + s)), s = ``offset`` (Nichol and Dhariwal 2021, eq. 17)
        sigmoid        from beta_start to beta_end along a sigmoid (Xu et al. 2022, GeoDiff)
        sigmoid-abar   abar a falling sigmoid, rescaled to 1 … 0 (Jabri et al. 2022; Chen 2023, algorithm 1)
        sigmoid-alpha  sqrt(abar) a falling sigmoid, divided by its first value
        given          ``betas``, one per step

    ``offset``: s of the cosine schedule, at least 0.
    ``span``: the sigmoids run over (-span, span); by default 6, 3 and 5.
    ``clip``: range to which betas derived from abar are clipped.
    ``zero_terminal_snr``: shift and scale sqrt(abar) so that the last is 0 and the first is unchanged (Lin et al. 2023,
    algorithm 1).  Without it, :attr:`terminal_snr` is above 0.

    Raises ValueError for betas outside (0, 1); the last one may be 1.
    """

    steps: int = 1000
    schedule: Schedule = "linear"
    beta_start: float = 1e-4
    beta_end: float = 0.02
    offset: float = 0.008
    span: float | None = None
    clip: tuple[float, float] = (0.0, 0.999)
    betas: tuple[float, ...] = ()
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= MOST_STEPS:
            raise ValueError(f"steps must be from 2 to {MOST_STEPS:,} in a chain, not {self.steps:,}")
        if self.schedule not in _BETAS:
            raise ValueError(f"schedule must be one of {', '.join(_BETAS)}, not {self.schedule!r}")
        if (self.schedule == "given") != bool(self.betas):
            raise ValueError(
                f"schedule given needs betas and others take none: {self.schedule} has {len(self.betas)} betas"
            )
        if self.betas and len(self.betas) != self.steps:
            raise ValueError(f"schedule given needs one beta for each of {self.steps} steps, not {len(self.betas)}")
        if not (0 < self.beta_start < 1 and 0 < self.beta_end < 1):
            raise ValueError(f"beta_start and beta_end must lie in (0, 1), not {self.beta_start} and {self.beta_end}")
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise ValueError(f"offset must be finite and at least 0, not {self.offset}")
        if self.span is not None and not 0 < self.span < math.inf:
            raise ValueError(f"span must be positive and finite, not {self.span}")
        if not 0 <= self.clip[0] < self.clip[1] <= 1:
            raise ValueError(f"clip must be a range within [0, 1], not {self.clip}")
        planned = _BETAS[self.schedule](self)
        wrong = ~((planned > 0) & (planned < 1))
        wrong[-1] &= planned[-1] != 1
        if wrong.any():
            k = int(wrong.nonzero()[0])
            raise ValueError(f"betas must lie in (0, 1), the last may be 1, but index {k} is {float(planned[k]):.6g}")

    @property
    def beta(self) -> Tensor:
        """beta_1 … beta_T in use, rescaled for zero terminal SNR if requested: float64 (T,)."""
        alpha = self.levels(torch.arange(self.steps)).alpha
        if not self.zero_terminal_snr:
            return _BETAS[self.schedule](self)
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha[:-1]])
        return (before - alpha) * (before + alpha) / before.square()

    @property
    def chain_steps(self) -> int | None:
        """Number of steps."""
        return self.steps

    def levels(self, indices: Tensor) -> Level:
        """Levels at integer indices in 0 … T - 1, straight from the table, float64."""
        alpha, sigma = _table(self).to(indices.device)
        return Level(alpha[indices], sigma[indices])

    def times(self, indices: Tensor) -> Tensor:
        """Times in [0, 1] of indices, float64."""
        return indices.double() / (self.steps - 1)

    def level(self, t: Tensor) -> Level:
        """Level at times in [0, 1], shaped like ``t``; times outside are clamped."""
        half_log_snr, silence = _knots(self, t.dtype, t.device)
        place = t.clamp(0, 1) * (self.steps - 1)
        below = place.detach().floor().clamp(max=self.steps - 2)
        part, k = place - below, below.long()
        # lambda is infinite at a step without signal; the value substituted here is not used
        ahead = torch.where(torch.isinf(half_log_snr[k + 1]), half_log_snr[k], half_log_snr[k + 1])
        inner = half_log_snr[k] + part * (ahead - half_log_snr[k])
        # with logsigmoid both scales are accurate even if tiny
        alpha, sigma = torch.exp(0.5 * logsigmoid(2 * inner)), torch.exp(0.5 * logsigmoid(-2 * inner))
        silent = torch.isinf(half_log_snr[k + 1])
        # the complement of the angle falls to exactly zero
        complement = silence * (1 - part)
        return Level(
            torch.where(silent, torch.sin(complement), alpha), torch.where(silent, torch.cos(complement), sigma)
        )

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale at times in [0, 1]."""
        return self.level(t).alpha

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale at times in [0, 1]."""
        return self.level(t).sigma


def _linear(chain: Chain) -> Tensor:
    return torch.linspace(chain.beta_start, chain.beta_end, chain.steps, dtype=torch.float64)


def _scaled_linear(chain: Chain) -> Tensor:
    ends = math.sqrt(chain.beta_start), math.sqrt(chain.beta_end)
    return torch.linspace(*ends, chain.steps, dtype=torch.float64).square()


def _cosine(chain: Chain) -> Tensor:
    # 1 - cos^2 a / cos^2 b = sin(a - b) sin(a + b) / cos^2 b, with cos b as the sine of the complement
    angle = torch.arange(chain.steps + 1, dtype=torch.float64) / chain.steps + chain.offset
    quarter = 0.5 * math.pi / (1 + chain.offset)
    b, a = quarter * angle[:-1], quarter * angle[1:]
    return (math.sin(quarter / chain.steps) * torch.sin(a + b) / torch.sin(0.5 * math.pi - b) ** 2).clamp(*chain.clip)


def _ramp(chain: Chain, count: int) -> Tensor:
    span = SPANS[chain.schedule] if chain.span is None else chain.span
    return torch.linspace(-span, span, count, dtype=torch.float64)


def _sigmoid(chain: Chain) -> Tensor:
    return chain.beta_start + torch.sigmoid(_ramp(chain, chain.steps)) * (chain.beta_end - chain.beta_start)


def _sigmoid_abar(chain: Chain) -> Tensor:
    value = torch.sigmoid(-_ramp(chain, chain.steps + 1))
    return (-value.diff() / (value[:-1] - value[-1])).clamp(*chain.clip)


def _sigmoid_alpha(chain: Chain) -> Tensor:
    log_abar = 2 * logsigmoid(-_ramp(chain, chain.steps + 1))
    return (-torch.expm1(log_abar.diff())).clamp(*chain.clip)


def _given(chain: Chain) -> Tensor:
    return torch.tensor(chain.betas, dtype=torch.float64)


_BETAS: dict[str, Callable[[Chain], Tensor]] = {
    "linear": _linear,
    "scaled-linear": _scaled_linear,
    "cosine": _cosine,
    "sigmoid": _sigmoid,
    "sigmoid-abar": _sigmoid_abar,
    "sigmoid-alpha": _sigmoid_alpha,
    "given": _given,
}


@functools.lru_cache(maxsize=32)
def _table(chain: Chain) -> Tensor:
    """alpha and sigma at the integer steps, float64 (2, T)."""
    # a cached inference tensor could not be used in automatic differentiation
    with torch.inference_mode(False):
        # log1p and expm1 are accurate for small beta and for abar close to 1
        log_abar = torch.log1p(-_BETAS[chain.schedule](chain)).cumsum(0)
        alpha, sigma = torch.exp(0.5 * log_abar), torch.sqrt(-torch.expm1(log_abar))
        if chain.zero_terminal_snr:
            alpha = alpha[0] * ((alpha - alpha[-1]) / (alpha[0] - alpha[-1]))
            sigma = torch.cat([sigma[:1], torch.sqrt((1 - alpha[1:]) * (1 + alpha[1:]))])
        return torch.stack([alpha, sigma])


@functools.lru_cache(maxsize=32)
def _knots(chain: Chain, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """lambda at the integer steps (T,), and pi/2 minus the angle at the second to last one, ()."""
    with torch.inference_mode(False):
        alpha, sigma = _table(chain)
        half_log_snr = torch.log(alpha) - torch.log(sigma)
        return half_log_snr.to(device, dtype), torch.atan2(alpha[-2], sigma[-2]).to(device, dtype)
