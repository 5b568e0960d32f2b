"""A latent code of a sample, the same at all noise levels (Luo and Hu 2021; Preechakul et al. 2022).

    q(z | x_0)     posterior, N(mean, exp(log_variance)), which a backbone infers from clean data
    p(z)           prior, given the class if there is one: z as a function of standard normal numbers u
    cond["code"]   z (b, k); if absent, the prior's z for u = 0

A backbone whose attribute ``code`` = k is positive has the methods of :class:`Coded`.  In training, z is drawn from the
posterior and RATE times

    KL(q || p) = E_q log q(z | x_0) - E_q log p(z)

is added to the loss; the second term is estimated from the one z that was drawn.  Generation draws z from the prior;
edits of data use the posterior mean.  Such a model only gives a bound on the likelihood, which is not computed.
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
"""Weight of the KL divergence relative to the mean error of an element (kl_weight in Luo and Hu 2021)."""


class Coded(Protocol):
    """A backbone that reads a code of k = ``code`` numbers."""

    code: int

    def posterior(self, x0: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (b, k) each, of the code of clean data ``x0`` (b, …) in model units."""
        ...

    def prior(self, u: Tensor, cond: Condition) -> Tensor:
        """Map standard normal numbers ``u`` (b, k) to codes (b, k) of the prior."""
        ...

    def log_prior(self, code: Tensor, cond: Condition) -> Tensor:
        """Log density of codes (b, k) under the prior, in nats, (b,)."""
        ...


def coded(denoiser: Denoiser) -> Coded | None:
    """The network inside ``denoiser`` and its wrappers if it reads a code; None otherwise."""
    inner: object = denoiser
    while not isinstance(inner, NetworkDenoiser):
        if not hasattr(inner, "denoiser"):
            return None
        inner = inner.denoiser
    return cast(Coded, inner.net) if inner.code else None


def drawn(denoiser: Denoiser, cond: Condition, seed: int, ids: Tensor) -> Condition:
    """Add codes for samples ``ids`` (b,), drawn from the prior, to ``cond``.

    Returns ``cond`` unchanged if the network reads no code or one is given already.
    """
    net = coded(denoiser)
    if net is None or "code" in cond:
        return cond
    return {**cond, "code": net.prior(normal(seed, Stream.CODE, ids, 0, (net.code,)), cond)}


def read(denoiser: Denoiser, x0: Tensor, cond: Condition) -> Condition:
    """Add the posterior mean codes of clean data ``x0`` (b, …) to ``cond``.

    Returns ``cond`` unchanged if the network reads no code or one is given already.
    """
    net = coded(denoiser)
    if net is None or "code" in cond:
        return cond
    return {**cond, "code": net.posterior(x0, cond)[0]}


def in_training(
    denoiser: NetworkDenoiser, x0: Tensor, cond: Condition, u: Tensor | None
) -> tuple[Condition, Tensor | float]:
    """Add codes drawn from the posterior to ``cond``; returns it with the penalty RATE KL(q || p), (b,).

    ``u``: standard normal numbers (b, k).  With None, or for a network without a code, ``cond`` is unchanged and the
    penalty is 0.
    """
    net = coded(denoiser)
    if net is None or u is None:
        return cond, 0.0
    mean, log_variance = net.posterior(x0, cond)
    code = mean + torch.exp(0.5 * log_variance) * u
    # -E log q in closed form
    entropy = 0.5 * (log_variance + math.log(2 * math.pi * math.e)).sum(dim=1)
    return {**cond, "code": code}, RATE * (-entropy - net.log_prior(code, cond))


def refuse(denoiser: Denoiser) -> None:
    """Raise ValueError if ``denoiser`` reads a code: its likelihood is an integral over all codes."""
    if coded(denoiser) is not None:
        raise ValueError("a network that reads a latent code has only a bound on the likelihood, which is not computed")
