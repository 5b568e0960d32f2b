"""Exact denoisers: E[x_0 | x] in closed form, for certificates, tests and pictures.

Each is a :class:`ptdiff.denoiser.Denoiser` for data of any event shape; sums run over the flattened event, element by
element, so that a row of the result is bit-equal in any batch.  All of them are finite at alpha = 0 and at sigma = 0.

alpha, sigma: the level.  mu, s: mean and standard deviation of the data, per element or per component.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.data import Condition
from ptdiff.process import Level


@dataclass(frozen=True)
class Gaussian:
    """x_0 ~ N(mean, std^2), independent elements; mean and std broadcast against one datum.

    E[x_0|x] = mu + alpha s^2 (x - alpha mu) / (alpha^2 s^2 + sigma^2)
    """

    mean: Tensor
    std: Tensor

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        wide = level.like(x)
        mean, variance = self.mean.to(x), self.std.to(x).square()
        spread = wide.alpha.square() * variance + wide.sigma.square()
        # data without spread seen without noise: the residual is zero, and so is what it adds
        gain = torch.where(spread > 0, wide.alpha * variance / torch.where(spread > 0, spread, 1), 0)
        return mean + gain * (x - wide.alpha * mean)


@dataclass(frozen=True)
class Mixture:
    """x_0 ~ sum_k w_k N(mean_k, std_k^2 I): means (k, *shape), stds (k,), weights (k,) summing to one.

    With stds of zero the components are points, and a data set is its own mixture (Karras et al. 2022, eq. 57).
    """

    means: Tensor
    stds: Tensor
    weights: Tensor

    @staticmethod
    def of_data(points: Tensor) -> Mixture:
        """The distribution that puts equal weight on each of ``points`` (n, *shape)."""
        n = len(points)
        return Mixture(points, points.new_zeros(n), points.new_full((n,), 1 / n))

    def responsibilities(self, x: Tensor, level: Level) -> Tensor:
        """Posterior probabilities of the components, (b, k)."""
        alpha, sigma = (v.reshape(-1, 1) for v in (level.alpha, level.sigma))
        stds, weights, means = self.stds.to(x), self.weights.to(x), self.means.to(x).flatten(1)
        spread = alpha.square() * stds.square() + sigma.square()
        gap = (x.flatten(1)[:, None, :] - alpha[..., None] * means[None]).square().sum(dim=-1)
        # where a component has no width at all only the nearest ones count: the gaps decide before the division
        tight = spread == 0
        safe = torch.where(tight, 1, spread)
        logits = torch.log(weights) - 0.5 * means.shape[1] * torch.log(safe) - 0.5 * gap / safe
        nearest = gap.amin(dim=-1, keepdim=True)
        logits = torch.where(tight, torch.where(gap > nearest, -torch.inf, torch.log(weights)), logits)
        return torch.softmax(logits, dim=-1)

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        flat = x.flatten(1)
        alpha, sigma = (v.reshape(-1, 1, 1) for v in (level.alpha, level.sigma))
        means, variance = self.means.to(x).flatten(1)[None], self.stds.to(x).square()[None, :, None]
        spread = alpha.square() * variance + sigma.square()
        gain = torch.where(spread > 0, alpha * variance / torch.where(spread > 0, spread, 1), 0)
        each = means + gain * (flat[:, None, :] - alpha * means)
        return (self.responsibilities(x, level)[..., None] * each).sum(dim=1).reshape(x.shape)
