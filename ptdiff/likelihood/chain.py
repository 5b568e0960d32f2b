"""The variational bound of a discrete diffusion chain (Ho et al. 2020, eq. 5; Nichol and Dhariwal 2021).

    -log p(x_0) <= L_T + sum_{t > 1} L_{t-1} + L_0                                             in nats

    L_T      KL(q(x_T | x_0) || N(0, r_T^2))                   the cost of the mismatch of the prior
    L_{t-1}  KL(q(x_t | x_s, x_0) || N(mu(x_s, D), v))         for each step s -> t between noisy levels
    L_0      -log p(x_0 | x_1)                                 the decoder, at the last noisy level

q(x_s | x_0) = N(alpha_s x_0, sigma_s^2), D = E[x_0 | x_s] the denoiser, r = hypot(alpha, sigma), and with

    b = sigma_s^2 - (alpha_s / alpha_t)^2 sigma_t^2            beta of the step
    mu(x_s, x_0) = keep x_s + c x_0,   c = alpha_t b / sigma_s^2      mean of the posterior q(x_t | x_s, x_0)
    lower = sigma_t^2 b / sigma_s^2                            its variance, beta tilde: optimal for data without spread
    upper = r_t^2 b / r_s^2                                    optimal for data of unit variance; equals beta if r = 1

All terms depend on D only through x_0 - D:  L_{t-1} = ((lower / v - 1 - log(lower / v)) d + c^2 |x_0 - D|^2 / v) / 2.
With v = upper the bound converges to -log p(x_0) with more steps, on any grid; with v = lower only if sigma_t is close
to sigma_s at every step (log-snr).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ptdiff.denoiser import cost
from ptdiff.denoiser.latent_code import refuse
from ptdiff.denoiser.network import Denoiser
from ptdiff.likelihood.divergence import mean_and_error
from ptdiff.machine.host import double
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import refuse_padding
from ptdiff.noise import Stream, mix, normal
from ptdiff.process import Level

Variance = Literal["lower", "upper"]

_DRAWS = 2  # separates these draws from other noise of the same seed


def prior_term(x: Tensor, level: Level) -> Tensor:
    """KL(q(x_T | x_0 = x) || N(0, r_T^2)) in nats, float64 (b,), for data x (b, …) at the noisiest level ().

    Its mean bounds the contribution of the mismatched prior to a negative log-likelihood.
    """
    d, square = x[0].numel(), double(x).square().reshape(len(x), -1).sum(dim=1)
    cos, sin = (float(v) / float(level.scale) for v in (level.alpha, level.sigma))
    gap: Tensor = 0.5 * cos**2 * (square - d) - d * math.log(sin)
    return gap


@dataclass(frozen=True)
class Decoder:
    """p(x_0 | x_1): the normal density around D, or with ``width`` its integral over the bin around x_0.

    ``std``: standard deviation; None means that of v = upper of the last step.
    ``width``: of a bin in model units, for quantized data (Ho et al. 2020, eq. 13).  The outermost bins do not reach to
    infinity here, which loosens the bound slightly.
    """

    std: float | None = None
    width: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("std", self.std), ("width", self.width)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, not {value}")

    def negative_log(self, error: Tensor, upper: float) -> Tensor:
        """L_0 elementwise, float64, for ``error`` = x_0 - D; ``upper`` is v = upper of the last step."""
        std = math.sqrt(upper) if self.std is None else self.std
        # by symmetry the lower tail serves both signs, where no digits are lost
        gap = double(error).abs() / std
        if self.width is None:
            return gap.square() / 2 + math.log(std * math.sqrt(2 * math.pi))
        half = 0.5 * self.width / std
        near: Tensor = torch.special.log_ndtr(half - gap)
        far = torch.special.log_ndtr(-half - gap)
        return -near - torch.log(-torch.expm1(far - near))


@dataclass(frozen=True)
class VariationalBound:
    """An upper bound of -log p(x), in nats, float64 (b,) but for ``steps``.

    ``prior``, ``decoder``: L_T and L_0.  ``steps``: L_{T-1} … L_1, (T - 1, b), noisiest first.
    ``standard_error``: of ``nats``, over the noise draws.  ``calls``: network evaluations per sample.
    """

    prior: Tensor
    steps: Tensor
    decoder: Tensor
    standard_error: Tensor
    calls: int

    @property
    def nats(self) -> Tensor:
        """The bound in nats, (b,)."""
        return self.prior + self.steps.sum(dim=0) + self.decoder


@torch.no_grad()
def variational_bound(
    denoiser: Denoiser,
    x: Tensor,
    levels: Level,
    cond: Condition | None = None,
    *,
    variance: Variance = "lower",
    decoder: Decoder | None = None,
    draws: int = 4,
    seed: int = 0,
    ids: Tensor | None = None,
) -> VariationalBound:
    """Compute the bound for data x (b, …) in model units under the chain ``levels`` (T + 1,), noisiest level first.

    ``variance``: of the reverse steps.  ``decoder``: default: the density, :class:`Decoder`.
    ``draws``: number of noise draws at each level, addressed by (seed, ids); at least 2, for the standard error.
    ``ids``: (b,), default 0 … b - 1.

    Raises ValueError for fewer draws, an unknown variance, and levels that do not fall strictly to sigma = 0.
    """
    refuse(denoiser)
    if draws < 2:
        raise ValueError(f"draws must be at least 2 for a standard error, not {draws}")
    if variance not in ("lower", "upper"):
        raise ValueError(f"variance must be lower or upper, not {variance!r}")
    found = list(zip(levels.alpha.tolist(), levels.sigma.tolist(), strict=True))
    if len(found) < 2 or found[-1][1] != 0 or not all(s[1] * t[0] > t[1] * s[0] for s, t in pairwise(found)):
        raise ValueError("levels must fall strictly, from the noisiest to the clean level (alpha, 0)")
    cond = {} if cond is None else cond
    refuse_padding(cond)
    ids = torch.arange(len(x), device=x.device) if ids is None else ids
    decoder = Decoder() if decoder is None else decoder
    shape, terms = tuple(x.shape[1:]), []
    for place, (s, t) in enumerate(pairwise(found)):
        level = Level(x.new_tensor(s[0]), x.new_tensor(s[1]))
        each = []
        for draw in range(draws):
            eps = normal(mix(seed, _DRAWS), Stream.SOLVER, ids, draw * len(found) + place, shape).to(x)
            error = x - denoiser(x * level.alpha + eps * level.sigma, level, cond)
            value = _step(error, s, t, variance) if t[1] > 0 else decoder.negative_log(error, _beta(s, t)[2])
            each.append(value.reshape(len(x), -1).sum(dim=1))
        terms.append(torch.stack(each, dim=1))
    drawn = torch.stack(terms)
    first = Level(levels.alpha[0], levels.sigma[0])
    means = drawn.mean(dim=2)
    return VariationalBound(
        prior=prior_term(x, first),
        steps=means[:-1],
        decoder=means[-1],
        standard_error=mean_and_error(drawn.sum(dim=0))[1],
        calls=draws * cost.planned(denoiser, found[:-1]),
    )


def _beta(s: tuple[float, float], t: tuple[float, float]) -> tuple[float, float, float]:
    """b, lower and upper of the step s -> t."""
    # 1 - q^2 with q = (alpha_s sigma_t) / (alpha_t sigma_s), factored to keep the digits of close levels
    q = (s[0] * t[1]) / (t[0] * s[1])
    b = s[1] ** 2 * (1 - q) * (1 + q)
    scale = (t[0] ** 2 + t[1] ** 2) / (s[0] ** 2 + s[1] ** 2)
    return b, t[1] ** 2 * b / s[1] ** 2, scale * b


def _step(error: Tensor, s: tuple[float, float], t: tuple[float, float], variance: Variance) -> Tensor:
    """L_{t-1} elementwise, float64, for ``error`` = x_0 - D."""
    b, lower, upper = _beta(s, t)
    reverse = lower if variance == "lower" else upper
    ratio, c = lower / reverse, t[0] * b / s[1] ** 2
    return 0.5 * (ratio - 1 - math.log(ratio) + double(error).square() * (c**2 / reverse))
