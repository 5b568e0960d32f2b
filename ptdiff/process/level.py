"""Noise levels, and the base class of processes.

    x_t = alpha_t x_0 + sigma_t eps,   t in [0, 1],  0 = data, 1 = noise,  eps ~ N(0, I)

alpha_t, sigma_t: signal and noise scale at time t; together a Level.
r = hypot(alpha, sigma): standard deviation of x_t for unit-variance data.
theta = atan2(sigma, alpha): the noise level as an angle in [0, pi/2], finite at both ends.
rho = sigma / alpha; SNR = 1 / rho^2; lambda = log(alpha / sigma): half the log-SNR.

E[x_0 | x] depends on (x, alpha, sigma) only up to a common factor, so a model that receives the Level instead of t can
sample under any process, whichever it was trained with.  A process is two functions; everything else is derived.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Level:
    """A noise level: ``alpha`` and ``sigma``, tensors of the same shape, () for a whole batch or (b,).

    ``host``: the same values as floats if known, so that decisions need not wait for the device.
    """

    alpha: Tensor
    sigma: Tensor
    host: tuple[float, float] | None = None

    @property
    def scale(self) -> Tensor:
        """r, the standard deviation of x at this level for unit-variance data."""
        return torch.hypot(self.alpha, self.sigma)

    @property
    def angle(self) -> Tensor:
        """theta in [0, pi/2]."""
        return torch.atan2(self.sigma, self.alpha)

    @property
    def half_log_snr(self) -> Tensor:
        """lambda: infinite at a clean level, minus infinity at pure noise."""
        return torch.log(self.alpha) - torch.log(self.sigma)

    def like(self, x: Tensor) -> Level:
        """The same level with trailing axes, so that it broadcasts against ``x`` (b, …)."""
        if self.alpha.ndim == 0:
            return self
        shape = (-1,) + (1,) * (x.ndim - 1)
        return Level(self.alpha.reshape(shape), self.sigma.reshape(shape))


class Process(ABC):
    """alpha(t) and sigma(t) for t in [0, 1]; elementwise on tensors of any float dtype, finite at both ends."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale at times ``t``, shaped like ``t``."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale at times ``t``, shaped like ``t``; sigma / alpha increases with t."""

    def level(self, t: Tensor) -> Level:
        """The noise level at times ``t``."""
        return Level(self.alpha(t), self.sigma(t))

    def time(self, angle: Tensor) -> Tensor:
        """Times whose levels have these angles, float64, by bisection; angles out of range give 0 or 1."""
        low, high = torch.zeros_like(angle, dtype=torch.float64), torch.ones_like(angle, dtype=torch.float64)
        for _ in range(60):
            middle = (low + high) / 2
            above = self.level(middle).angle < angle
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return (low + high) / 2

    def rate(self, t: Tensor) -> Tensor:
        """d lambda / dt at times in (0, 1), float64, by automatic differentiation; never positive."""
        with torch.inference_mode(False), torch.enable_grad():
            at = t.detach().to(torch.float64, copy=True).requires_grad_()
            (slope,) = torch.autograd.grad(self.level(at).half_log_snr.sum(), at)
        return slope

    @property
    def ends(self) -> tuple[float, float]:
        """The angles at t = 0 and t = 1."""
        low, high = self.level(torch.tensor([0.0, 1.0], dtype=torch.float64)).angle.tolist()
        return low, high

    @property
    def terminal_snr(self) -> float:
        """alpha^2 / sigma^2 at t = 1: zero for pure noise."""
        last = self.level(torch.ones((), dtype=torch.float64))
        return float(last.alpha / last.sigma) ** 2

    @property
    def chain_steps(self) -> int | None:
        """Number of steps of a discrete chain; None for a process in continuous time."""
        return None


def prior_error(noisiest: Level, data_std: float = 1.0) -> float:
    """Relative error in variance of starting at N(0, r^2) for data of standard deviation ``data_std``.

    r^2 = alpha^2 + sigma^2 is the variance for unit-variance data; the true one is alpha^2 data_std^2 + sigma^2.

    >>> ten = Level(torch.tensor(1.0), torch.tensor(10.0))
    >>> round(100 * prior_error(ten, 0.7), 3)
    0.508
    """
    alpha, sigma = float(noisiest.alpha) ** 2, float(noisiest.sigma) ** 2
    return (alpha + sigma) / (alpha * data_std**2 + sigma) - 1


def check_reach(noisiest: Level, data_std: float = 1.0, tolerance: float = 0.2, own: float = 0.01) -> float:
    """Raise ValueError if the noisiest level still shows the data; otherwise return :func:`prior_error`.

    Sampling starts at N(0, r^2) and so loses the data's share of the variance, alpha^2 s^2 / (alpha^2 s^2 + sigma^2),
    along a direction in which the data has standard deviation s.

    ``tolerance``: limit of the share along the widest direction, s = ``data_std``
    (:attr:`ptdiff.modality.data.Data.spread`).  Samples of normal data lose up to 1 / s^2 times that share of their
    variance there: at 0.2 their standard deviation is 10 % too small.
    ``own``: limit of the share of a single element, s = 1.
    """
    for std, most, where in (
        (data_std, tolerance, f"along the data's widest direction (standard deviation {data_std:.3g}) "),
        (1.0, own, "of a single element "),
    ):
        share = _share(noisiest, std)
        if share > most:
            alpha, sigma = float(noisiest.alpha), float(noisiest.sigma)
            snr = (alpha / sigma) ** 2 if sigma else float("inf")
            raise ValueError(
                f"the noisiest level is too clean to start from noise: at terminal SNR {snr:.3g}, {share:.2%} of the "
                f"variance {where}is still data, {most:.0%} at most is allowed (raise sigma_max or the betas, which "
                f"scale with 1000 / steps in a chain, use zero terminal SNR, or shift the process)"
            )
    return prior_error(noisiest, data_std)


def _share(level: Level, data_std: float) -> float:
    """The data's share of the variance."""
    signal, noise = (float(level.alpha) * data_std) ** 2, float(level.sigma) ** 2
    return signal / (signal + noise)
