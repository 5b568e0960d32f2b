"""Likelihoods compared with closed forms: densities by the flow, divergences from probes, the bound of a chain.

Figures are in nats.  A bias in units of its standard error has an expected square of one, for any target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ptdiff.certify.certificate import Certificate
from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.likelihood.chain import Variance, variational_bound
from ptdiff.likelihood.divergence import Divergence, Exact, Hutchinson, HutchPlusPlus
from ptdiff.likelihood.flow import FlowPath, log_likelihood
from ptdiff.process import VE, Chain, Level, Process, VPCosine

SHAPES = ((8,), (4, 3), (2, 2, 2))
SAMPLES = 64
KINDS: dict[str, Exact | Hutchinson | HutchPlusPlus] = {
    "hutchinson": Hutchinson(16),
    "hutchinson gaussian": Hutchinson(16, "gaussian"),
    "hutch++": HutchPlusPlus(2, 12),
}
STD = 0.6
# processes that start with some noise and end short of pure noise.  The cost of the start is known; the cost of the end
# is bounded only in the mean (prior_gap) and explains the remaining error here: a signal of 1/157 and 1/80
STOPPED: dict[str, tuple[Process, float]] = {"chain": (Chain(), 1e-3), "ve": (VE(), 5e-3)}


def likelihood_certificates() -> Iterator[Certificate]:
    """All certificates of likelihoods; takes a few seconds on one core."""
    for shape in SHAPES:
        for name, target in (("gaussian", _gaussian(shape)), ("mixture", _mixture(shape))):
            for dtype in (torch.float64, torch.float32):
                subject = f"{name}, shape {shape}, {str(dtype).removeprefix('torch.')}"
                yield _exact(subject, target, dtype)
        for name in STOPPED:
            yield from _stopped(name, shape)
        for name, kind in KINDS.items():
            yield from _estimated(f"{name}, mixture, shape {shape}", _mixture(shape), kind)
    for name, kind in {"exact": Exact(), **KINDS}.items():
        yield _calls(name, replace(kind, chunk=1))
    yield _order()
    for variance in ("upper", "lower"):
        yield from _bound(variance)
    yield _short()


def _gaussian(shape: tuple[int, ...]) -> Gaussian:
    one = torch.ones(shape, dtype=torch.float64)
    return Gaussian(0.2 * one, STD * one)


def _mixture(shape: tuple[int, ...]) -> Mixture:
    """Four components with standard deviations of 0.2 to 0.5; the mixture has mean zero and unit variance."""
    size = math.prod(shape)
    pattern = torch.sin(torch.arange(1, 2 * size + 1, dtype=torch.float64) * 2).reshape(2, *shape)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).reshape(2, *[1] * len(shape))
    # means in pairs around zero, and standard deviations and weights in pairs too
    means = torch.cat([pattern * signs[0], pattern * signs[1]])
    stds = torch.tensor([0.2, 0.5, 0.2, 0.5], dtype=torch.float64)
    weights = torch.tensor([0.3, 0.2, 0.3, 0.2], dtype=torch.float64)
    wide = weights.reshape(-1, *[1] * len(shape))
    between = float((wide * means.square()).sum()) / size
    return Mixture(means * math.sqrt((1 - float((weights * stds.square()).sum())) / between), stds, weights)


def _data(target: Gaussian | Mixture, count: int = SAMPLES) -> Tensor:
    return target.sample(1, torch.arange(count))


def _exact(subject: str, target: Gaussian | Mixture, dtype: torch.dtype) -> Certificate:
    x = _data(target).to(dtype)
    found = log_likelihood(target, x, divergence=Exact())
    gap = float((found.nats - target.log_prob(x.double())).abs().max())
    return Certificate("likelihood", f"exact, {subject}", gap, 0.0, 1e-3, "at most")


def _stopped(name: str, shape: tuple[int, ...]) -> Iterator[Certificate]:
    """Under a process that starts noisy: the density of data with that noise, and without it."""
    process, tolerance = STOPPED[name]
    target = _mixture(shape)
    x, subject = _data(target), f"exact, mixture, shape {shape}, {name}"
    found = log_likelihood(target, x, divergence=Exact(), path=FlowPath(process))
    start = torch.tensor(math.atan(found.sigma_min), dtype=torch.float64)
    noisy = target.log_prob(x, Level(torch.cos(start), torch.sin(start)))
    truth = target.log_prob(x)
    gap = float((found.nats - noisy).abs().max())
    yield Certificate("likelihood", f"{subject}, with its noise", gap, 0.0, tolerance, "at most")
    rest = found.nats + found.start_gap - truth
    yield Certificate("likelihood", f"{subject}, without", float(rest.abs().max()), 0.0, tolerance, "at most")
    lost, bound = float(-rest.mean()), float(found.prior_gap.mean())
    yield Certificate("likelihood lost at the prior", subject, lost, bound, 1e-4, "at most")


def _calls(name: str, kind: Divergence) -> Certificate:
    """Calls with ``kind``, one product at a time, so that each is counted."""
    x, counted = _data(_mixture((8,)), 4), Counted(_mixture((8,)))
    found = log_likelihood(counted, x, divergence=kind, path=FlowPath(steps=4))
    return Certificate("calls", f"likelihood, {name}", counted.rows / len(x), found.calls, 0.0)


def _estimated(subject: str, target: Mixture, kind: Divergence) -> Iterator[Certificate]:
    x = _data(target)
    found = log_likelihood(target, x, divergence=kind)
    gap, error = found.nats - target.log_prob(x), found.standard_error
    within = float((gap.abs() <= 3 * error + 1e-3).double().mean())
    yield Certificate("bias in standard errors", subject, _bias(gap, error), 0.0, 3.0, "at most")
    yield Certificate("within three standard errors", subject, within, 1.0, 0.05, "at least")


def _order() -> Certificate:
    target = _mixture((8,))
    x = _data(target, 24)
    coarse, fine = (
        (log_likelihood(target, x, divergence=Exact(), path=FlowPath(steps=n, sigma_min=0)).nats - target.log_prob(x))
        for n in (80, 160)
    )
    slope = math.log2(float(coarse.abs().mean()) / float(fine.abs().mean()))
    return Certificate("likelihood order", "exact, mixture, shape (8,)", slope, 4.0, 0.15)


def _bound(variance: Variance) -> Iterator[Certificate]:
    """The bound for normal data: its expected value, above the truth, and close to it with many steps."""
    target, subject = (
        Gaussian(torch.zeros(4).double(), torch.full((4,), STD).double()),
        f"{variance} variance, gaussian",
    )
    x, levels = _data(target, 1000), grid(VPCosine(), 20, "log-snr")
    found = variational_bound(target, x, levels, variance=variance)
    # the noise of the levels is averaged in closed form for this data; the rest is covered by the standard errors
    bias = _bias(found.nats - 4 * _expected(levels, variance, float(x.square().mean())), found.standard_error)
    yield Certificate("bias in standard errors", f"bound, {subject}, 20 steps", bias, 0.0, 3.0, "at most")
    truth = target.log_prob(x)
    over = float((found.nats + truth).mean())
    yield Certificate("bound over the truth", f"{subject}, 20 steps", over, 0.0, 0.0, "at least")
    many = variational_bound(target, x[:300], grid(VPCosine(), 1000, "log-snr"), variance=variance, draws=2)
    over, least = float((many.nats + truth[:300]).mean()), 3 * float(many.standard_error.mean()) / math.sqrt(300)
    yield Certificate("bound over the truth", f"{subject}, 1000 steps", over, 0.0, 0.25 + least, "at most")


def _short() -> Certificate:
    """Certify that normal data of unit variance loses nothing under the upper variance, in any number of steps."""
    target = Gaussian(torch.zeros(4).double(), torch.ones(4).double())
    x = _data(target, 4000)
    found = variational_bound(target, x, grid(VPCosine(), 3), variance="upper")
    gap = found.nats + target.log_prob(x)
    # the mean over data and noise is zero, the mean over noise alone is not
    bias = float(gap.mean()) / float(gap.std()) * math.sqrt(len(x))
    return Certificate(
        "bias in standard errors", "bound, upper variance, unit gaussian, 3 steps", abs(bias), 0.0, 3.0, "at most"
    )


def _bias(gap: Tensor, error: Tensor) -> float:
    """The mean of ``gap`` (n,) in units of its standard error, for independent errors (n,)."""
    # infinite for a gap without a standard error
    return float(gap.sum().abs() / error.square().sum().sqrt())


def _expected(levels: Level, variance: Variance, square: float) -> float:
    """The bound per dimension for data of mean square ``square`` with the denoiser of N(0, STD^2), without noise.

    From precisions alone, by Bayes' rule at every step; the noise is averaged in closed form.
    """
    found = list(zip(levels.alpha.tolist(), levels.sigma.tolist(), strict=True))
    alpha, sigma = found[0]
    noise = sigma**2 / (alpha**2 + sigma**2)
    total = 0.5 * (noise - 1 - math.log(noise) + (1 - noise) * square)
    for (alpha_s, sigma_s), (alpha, sigma) in pairwise(found):
        gain = alpha_s * STD**2 / (alpha_s**2 * STD**2 + sigma_s**2)
        error = (1 - gain * alpha_s) ** 2 * square + (gain * sigma_s) ** 2
        seen = (alpha_s / alpha) ** 2 / (sigma_s**2 - (alpha_s / alpha * sigma) ** 2)
        unit = 1 / (1 / (alpha**2 + sigma**2) + seen)
        if sigma == 0:
            total += 0.5 * (error / unit + math.log(2 * math.pi * unit))
            continue
        lower = 1 / (1 / sigma**2 + seen)
        v = lower if variance == "lower" else unit
        total += 0.5 * (lower / v - 1 - math.log(lower / v) + (lower * alpha / sigma**2) ** 2 * error / v)
    return float(total)
