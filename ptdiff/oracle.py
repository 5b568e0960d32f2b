"""Exact denoisers: E[x_0 | x] in closed form, for certificates, tests and pictures.

Each is a :class:`ptdiff.denoiser.Denoiser` for data of any event shape; sums run over the flattened event, element by
element, so that a row of the result is bit-equal in any batch.  All of them are finite at alpha = 0 and at sigma = 0.

alpha, sigma: the level.  mu, s: mean and standard deviation of the data, per element or per component.
log p_t(x): the log density of x at a level, in nats; of the data itself where the level is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.data import Condition
from ptdiff.noise import Stream, normal, uniform
from ptdiff.process import Level


def clean(x: Tensor) -> Level:
    """The level of data without noise, (1, 0), in the type of x."""
    return Level(x.new_ones(()), x.new_zeros(()))


def _gain(alpha: Tensor, variance: Tensor, spread: Tensor) -> Tensor:
    # data without spread seen without noise: the residual is zero, and so is what it adds
    return torch.where(spread > 0, alpha * variance / torch.where(spread > 0, spread, 1), 0)


def _log_normal(square: Tensor, spread: Tensor) -> Tensor:
    # log N, elementwise; a point mass is infinite where it sits and zero elsewhere
    safe = torch.where(spread > 0, spread, 1)
    density = -0.5 * (square / safe + torch.log(2 * math.pi * safe))
    return torch.where(spread > 0, density, torch.where(square > 0, -torch.inf, torch.inf))


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
        return mean + _gain(wide.alpha, variance, spread) * (x - wide.alpha * mean)

    def log_prob(self, x: Tensor, level: Level | None = None) -> Tensor:
        """log p_t(x), (b,): x is normal with mean alpha mu and variance alpha^2 s^2 + sigma^2."""
        wide = (clean(x) if level is None else level).like(x)
        spread = wide.alpha.square() * self.std.to(x).square() + wide.sigma.square()
        return _log_normal((x - wide.alpha * self.mean.to(x)).square(), spread).flatten(1).sum(dim=1)

    def sample(self, seed: int, ids: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        """Data ``ids``, (b, *shape); the shape is that of mean and std where it is not given."""
        shape = tuple((self.mean + self.std).shape) if shape is None else shape
        return self.mean + normal(seed, Stream.DATA, ids, 1, shape).to(self.mean) * self.std


@dataclass(frozen=True)
class Mixture:
    """x_0 ~ sum_k w_k N(mean_k, std_k^2 I): means (k, *shape), stds (k,), weights (k,) summing to one.

    With stds of zero the components are points, and a data set is its own mixture (Karras et al. 2022, eq. 57).
    labels (k,) says which class each component belongs to; then cond["label"] (b,) keeps the components of that class,
    and -1, or no label, keeps all of them.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor
    labels: Tensor | None = None

    @staticmethod
    def of_data(points: Tensor, labels: Tensor | None = None) -> Mixture:
        """The distribution that puts equal weight on each of ``points`` (n, *shape)."""
        n = len(points)
        return Mixture(points, points.new_zeros(n), points.new_full((n,), 1 / n), labels)

    def log_weights(self, x: Tensor, cond: Condition) -> Tensor:
        """log w_k, (1, k), or given labels (b, k), each row of them summing to one."""
        logs = torch.log(self.weights.to(x))[None]
        if self.labels is None or "label" not in cond:
            return logs
        label = cond["label"].reshape(-1, 1)
        kept = torch.where((label == self.labels.to(label)) | (label < 0), logs, -torch.inf)
        return kept - torch.logsumexp(kept, dim=1, keepdim=True)

    def _gaps(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        # squared distances to the components and their variances at the level, both (b, k)
        alpha, sigma = (v.reshape(-1, 1) for v in (level.alpha, level.sigma))
        stds, means = self.stds.to(x), self.means.to(x).flatten(1)
        spread = alpha.square() * stds.square() + sigma.square()
        return (x.flatten(1)[:, None, :] - alpha[..., None] * means[None]).square().sum(dim=-1), spread

    def responsibilities(self, x: Tensor, level: Level, cond: Condition | None = None) -> Tensor:
        """Posterior probabilities of the components, (b, k)."""
        gap, spread = self._gaps(x, level)
        weights = self.log_weights(x, cond or {})
        # where a component has no width at all only the nearest ones count: the gaps decide before the division
        tight = spread == 0
        safe = torch.where(tight, 1, spread)
        logits = weights - 0.5 * self.means[0].numel() * torch.log(safe) - 0.5 * gap / safe
        nearest = torch.where(weights > -torch.inf, gap, torch.inf).amin(dim=-1, keepdim=True)
        logits = torch.where(tight, torch.where(gap > nearest, -torch.inf, weights), logits)
        return torch.softmax(logits, dim=-1)

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        flat = x.flatten(1)
        alpha, sigma = (v.reshape(-1, 1, 1) for v in (level.alpha, level.sigma))
        means, variance = self.means.to(x).flatten(1)[None], self.stds.to(x).square()[None, :, None]
        spread = alpha.square() * variance + sigma.square()
        each = means + _gain(alpha, variance, spread) * (flat[:, None, :] - alpha * means)
        return (self.responsibilities(x, level, cond)[..., None] * each).sum(dim=1).reshape(x.shape)

    def log_prob(self, x: Tensor, level: Level | None = None, cond: Condition | None = None) -> Tensor:
        """log p_t(x), or log p_t(x | label), (b,)."""
        gap, spread = self._gaps(x, clean(x) if level is None else level)
        # _log_normal counts one dimension; the others have the same variance and no gap of their own
        others = (self.means[0].numel() - 1) * _log_normal(torch.zeros_like(spread), spread)
        each = _log_normal(gap, spread)
        each = torch.where(each == -torch.inf, each, each + others)
        return torch.logsumexp(self.log_weights(x, cond or {}) + each, dim=1)

    def log_label(self, x: Tensor, level: Level, label: Tensor) -> Tensor:
        """log p_t(label | x), (b,): the exact classifier of a labelled mixture."""
        share = torch.where(label.reshape(-1, 1) == self._classes.to(label), self.weights.to(x), 0).sum(dim=1)
        return self.log_prob(x, level, {"label": label}) + torch.log(share) - self.log_prob(x, level)

    @property
    def _classes(self) -> Tensor:
        if self.labels is None:
            raise ValueError("this mixture has no labels")
        return self.labels

    def sample(self, seed: int, ids: Tensor, cond: Condition | None = None) -> Tensor:
        """Data ``ids``, (b, *shape), of the given labels."""
        cumulative = self.log_weights(self.weights.double(), cond or {}).exp().cumsum(dim=1)
        # below the last entry, whatever rounding made of the sum
        mark = uniform(seed, Stream.DATA, ids, 0)[:, None] * cumulative[:, -1:]
        part = torch.searchsorted(cumulative.expand(len(ids), -1).contiguous(), mark, right=True)[:, 0]
        z = normal(seed, Stream.DATA, ids, 1, tuple(self.means.shape[1:])).to(self.means)
        return self.means[part] + z * self.stds[part].reshape(-1, *(1,) * (self.means.ndim - 1))
