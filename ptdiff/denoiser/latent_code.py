"""A code of the whole sample that stays the same through all noise levels (Luo and Hu 2021; Preechakul et al. 2022).

    q(z | x_0)   posterior, N(mean, exp(log_variance)), which a backbone reads from clean data
    p(z)         prior, of the class where there is one: z from standard normal numbers u
    cond["code"] z (b, k); absent: the prior's z of u = 0

A backbone with a number ``code`` = k > 0 has the methods of :class:`Coded`.  In training z is drawn from the posterior
and RATE times

    KL(q || p) = E_q log q(z | x_0) - E_q log p(z)

is added to the loss; the second term is that of the one z that was drawn.  Samples take z from the prior, edits of data
the posterior's mean.  What such a model says of a sample's likelihood is a bound, which is not computed.
"""

from __future__ import annotations

import math
from typing import Protocol, cast

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser, NetworkDenoiser
from ptdiff.modality.data import Condition
from ptdiff.noise import Stream, normal

RATE = 1e-3
"""Weight of the divergence beside the mean error of an element (Luo and Hu 2021, their kl_weight)."""


class Coded(Protocol):
    """A backbone that is told a code of k numbers."""

    code: int

    def posterior(self, x0: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (b, k) each, of the code of clean data in model units."""
        ...

    def prior(self, u: Tensor, cond: Condition) -> Tensor:
        """Codes (b, k) from standard normal numbers (b, k)."""
        ...

    def log_prior(self, code: Tensor, cond: Condition) -> Tensor:
        """Log density of codes (b, k): (b,)."""
        ...


def coded(denoiser: Denoiser) -> Coded | None:
    """The network behind ``denoiser``, whatever is wrapped around it, where it is told codes."""
    inner: object = denoiser
    while not isinstance(inner, NetworkDenoiser):
        if not hasattr(inner, "denoiser"):
            return None
        inner = inner.denoiser
    return cast(Coded, inner.net) if inner.code else None


def drawn(denoiser: Denoiser, cond: Condition, seed: int, ids: Tensor) -> Condition:
    """``cond`` with codes of samples ``ids`` (b,) from the prior, where codes are told and none is given."""
    net = coded(denoiser)
    if net is None or "code" in cond:
        return cond
    return {**cond, "code": net.prior(normal(seed, Stream.CODE, ids, 0, (net.code,)), cond)}


def read(denoiser: Denoiser, x0: Tensor, cond: Condition) -> Condition:
    """``cond`` with the likeliest codes of clean data x0 (b, …), where codes are told and none is given."""
    net = coded(denoiser)
    if net is None or "code" in cond:
        return cond
    return {**cond, "code": net.posterior(x0, cond)[0]}


def in_training(
    denoiser: NetworkDenoiser, x0: Tensor, cond: Condition, u: Tensor | None
) -> tuple[Condition, Tensor | float]:
    """``cond`` with codes from the posterior by standard normal numbers u (b, k), and RATE KL(q || p), (b,)."""
    net = coded(denoiser)
    if net is None or u is None:
        return cond, 0.0
    mean, log_variance = net.posterior(x0, cond)
    code = mean + torch.exp(0.5 * log_variance) * u
    # -E log q, by its formula
    entropy = 0.5 * (log_variance + math.log(2 * math.pi * math.e)).sum(dim=1)
    return {**cond, "code": code}, RATE * (-entropy - net.log_prior(code, cond))


def refuse(denoiser: Denoiser) -> None:
    """ValueError where ``denoiser`` is told codes: its likelihood is an integral over all of them."""
    if coded(denoiser) is not None:
        raise ValueError("a network that is told a code has no likelihood by the probability flow, only a bound")
