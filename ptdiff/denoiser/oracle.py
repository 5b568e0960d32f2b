"""Exact denoisers: E[x_0 | x] in closed form, for certificates, tests and pictures.

Each is a :class:`ptdiff.denoiser.network.Denoiser` for data of any shape.  Sums run over the flattened datum, element
by element, so a row of the result is the same, bit for bit, in any batch.  All are finite at alpha = 0 and sigma = 0.

alpha, sigma: the level.  mu, s: mean and standard deviation of the data, per element or per component.
log p_t(x): the log density of x at a level, in nats; of the data itself if the level is None.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ptdiff.modality.data import Condition
from ptdiff.noise import Stream, normal, uniform
from ptdiff.process import Level


def clean(x: Tensor) -> Level:
    """The level without noise, alpha = 1 and sigma = 0, in the dtype of x."""
    return Level(x.new_ones(()), x.new_zeros(()))


def _gain(alpha: Tensor, variance: Tensor, spread: Tensor) -> Tensor:
    # for a point mass at a level without noise the residual is zero, and so is its contribution
    return torch.where(spread > 0, alpha * variance / torch.where(spread > 0, spread, 1), 0)


def _log_normal(square: Tensor, spread: Tensor) -> Tensor:
    # log N, elementwise; the density of a point mass is infinite at its position and zero elsewhere
    safe = torch.where(spread > 0, spread, 1)
    density = -0.5 * (square / safe + torch.log(2 * math.pi * safe))
    return torch.where(spread > 0, density, torch.where(square > 0, -torch.inf, torch.inf))


@dataclass(frozen=True)
class Gaussian:
    """Exact denoiser of x_0 ~ N(mean, std^2) with independent elements; mean and std broadcast against one datum.

    E[x_0 | x] = mu + alpha s^2 (x - alpha mu) / (alpha^2 s^2 + sigma^2)
    """

    mean: Tensor
    std: Tensor

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        wide = level.like(x)
        mean, variance = self.mean.to(x), self.std.to(x).square()
        spread = wide.alpha.square() * variance + wide.sigma.square()
        return mean + _gain(wide.alpha, variance, spread) * (x - wide.alpha * mean)

    def end(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        """End of the probability flow through x, mu + s (x - alpha mu) / sqrt(alpha^2 s^2 + sigma^2).

        This is the exact consistency function.  It has the signature of a denoiser but is not E[x_0 | x].
        """
        wide = level.like(x)
        mean, std = self.mean.to(x), self.std.to(x)
        return mean + _gain(std, torch.ones_like(std), torch.hypot(wide.alpha * std, wide.sigma)) * (
            x - wide.alpha * mean
        )

    def log_prob(self, x: Tensor, level: Level | None = None) -> Tensor:
        """log p_t(x) in nats, (b,): x is normal with mean alpha mu and variance alpha^2 s^2 + sigma^2."""
        wide = (clean(x) if level is None else level).like(x)
        spread = wide.alpha.square() * self.std.to(x).square() + wide.sigma.square()
        return _log_normal((x - wide.alpha * self.mean.to(x)).square(), spread).flatten(1).sum(dim=1)

    def sample(self, seed: int, ids: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        """Draw data ``ids`` (b,), (b, *shape); ``shape`` defaults to that of mean and std together."""
        shape = tuple((self.mean + self.std).shape) if shape is None else shape
        return self.mean + normal(seed, Stream.DATA, ids, 1, shape).to(self.mean) * self.std


@dataclass(frozen=True)
class Mixture:
    """Exact denoiser of x_0 ~ sum_k w_k N(mean_k, std_k^2 I).

    ``means``: (k, *shape).
    ``stds``: (k,).  Components with a standard deviation of zero are points (Karras et al. 2022, eq. 57).
    ``weights``: (k,), summing to one.
    ``labels``: class of each component (k,), or None.  Given labels, ``cond["label"]`` (b,) keeps the components of
    that class; -1, or no label, keeps all of them.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor
    labels: Tensor | None = None

    @staticmethod
    def of_data(points: Tensor, labels: Tensor | None = None) -> Mixture:
        """The empirical distribution of ``points`` (n, *shape): equal weight on each of them."""
        n = len(points)
        return Mixture(points, points.new_zeros(n), points.new_full((n,), 1 / n), labels)

    def log_weights(self, x: Tensor, cond: Condition) -> Tensor:
        """log w_k, (1, k), or with labels in ``cond`` (b, k); the weights of each row sum to one."""
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
        # if a component has zero variance, only the nearest ones count: compare distances before dividing
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
        """log p_t(x), or log p_t(x | label) with a label in ``cond``, in nats, (b,)."""
        gap, spread = self._gaps(x, clean(x) if level is None else level)
        # _log_normal covers one dimension with the whole distance; the others have the same variance and distance 0
        others = (self.means[0].numel() - 1) * _log_normal(torch.zeros_like(spread), spread)
        each = _log_normal(gap, spread)
        each = torch.where(each == -torch.inf, each, each + others)
        return torch.logsumexp(self.log_weights(x, cond or {}) + each, dim=1)

    def log_label(self, x: Tensor, level: Level, label: Tensor) -> Tensor:
        """log p_t(label | x), (b,): the exact classifier.  Raises ValueError if the mixture has no labels."""
        share = torch.where(label.reshape(-1, 1) == self._classes.to(label), self.weights.to(x), 0).sum(dim=1)
        return self.log_prob(x, level, {"label": label}) + torch.log(share) - self.log_prob(x, level)

    @property
    def _classes(self) -> Tensor:
        if self.labels is None:
            raise ValueError("this mixture has no labels")
        return self.labels

    def sample(self, seed: int, ids: Tensor, cond: Condition | None = None) -> Tensor:
        """Draw data ``ids`` (b,), (b, *shape), of the labels in ``cond`` if there are any."""
        part = _part(seed, ids, self.log_weights(self.weights.double(), cond or {}))
        z = normal(seed, Stream.DATA, ids, 1, tuple(self.means.shape[1:])).to(self.means)
        return self.means[part] + z * self.stds[part].reshape(-1, *(1,) * (self.means.ndim - 1))

    def full(self) -> FullMixture:
        """The same distribution with explicit covariance matrices."""
        eye = torch.eye(self.means[0].numel()).to(self.means)
        return FullMixture(self.means, self.stds.square()[:, None, None] * eye, self.weights)


def _part(seed: int, ids: Tensor, logs: Tensor) -> Tensor:
    # the component of each sample, (b,), for log weights (1, k) or (b, k)
    cumulative = logs.exp().cumsum(dim=1)
    # scaled by the last entry, because rounding may keep the sum from being one
    mark = uniform(seed, Stream.DATA, ids, 0)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative.expand(len(ids), -1).contiguous(), mark, right=True)[:, 0]


@dataclass(frozen=True)
class FullMixture:
    """Exact denoiser of x_0 ~ sum_k w_k N(mean_k, C_k).

    ``means``: (k, *shape).
    ``covariances``: (k, d, d), of the flattened datum; singular ones are allowed, except for calls at sigma = 0.
    ``weights``: (k,), summing to one.
    """

    means: Tensor
    covariances: Tensor
    weights: Tensor

    @cached_property
    def _eigen(self) -> tuple[Tensor, Tensor]:
        # rounding may leave a singular covariance with an eigenvalue just below zero
        values, vectors = torch.linalg.eigh(self.covariances.double())
        return values.clamp(min=0), vectors

    def _axes(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # principal axes of each component: coordinates of x - alpha mean (b, k, d), variances, gains, and the axes
        alpha, sigma = (v.reshape(-1, 1, 1) for v in (level.alpha, level.sigma))
        values, vectors = (v.to(x) for v in self._eigen)
        gap = x.flatten(1)[:, None, :] - alpha * self.means.to(x).flatten(1)
        spread = alpha.square() * values + sigma.square()
        return (gap[..., None] * vectors).sum(dim=2), spread, _gain(alpha, values, spread), vectors

    def _each(self, x: Tensor, level: Level) -> tuple[Tensor, Tensor, Tensor]:
        # log w_k N_k(x), (b, k), posterior means (b, k, d) and posterior covariances (., k, d, d) of the components
        along, spread, gain, vectors = self._axes(x, level)
        logs = torch.log(self.weights.to(x)) + _log_normal(along.square(), spread).sum(dim=-1)
        each = self.means.to(x).flatten(1) + (vectors * (gain * along)[:, :, None, :]).sum(dim=-1)
        left = self._eigen[0].to(x) * (1 - level.alpha.reshape(-1, 1, 1) * gain)
        return logs, each, (vectors * left[:, :, None, :]) @ vectors.mT

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        logs, each, _ = self._each(x, level)
        return (torch.softmax(logs, dim=1)[..., None] * each).sum(dim=1).reshape(x.shape)

    def covariance(self, x: Tensor, level: Level) -> Tensor:
        """Cov[x_0 | x], (b, d, d)."""
        logs, each, within = self._each(x, level)
        share = torch.softmax(logs, dim=1)[..., None, None]
        apart = each - (share[..., 0] * each).sum(dim=1, keepdim=True)
        return (share * (within + apart[..., None] * apart[..., None, :])).sum(dim=1)

    def log_prob(self, x: Tensor, level: Level | None = None) -> Tensor:
        """log p_t(x) in nats, (b,)."""
        return torch.logsumexp(self._each(x, clean(x) if level is None else level)[0], dim=1)

    def sample(self, seed: int, ids: Tensor) -> Tensor:
        """Draw data ``ids`` (b,), (b, *shape)."""
        part = _part(seed, ids, torch.log(self.weights.double())[None])
        values, vectors = (v.to(self.means) for v in self._eigen)
        z = normal(seed, Stream.DATA, ids, 1, (values.shape[1],)).to(self.means)
        spread = (vectors[part] * (values[part].sqrt() * z)[:, None, :]).sum(dim=-1)
        return self.means[part] + spread.reshape(-1, *self.means.shape[1:])

    def posterior(self, matrix: Tensor, y: Tensor, noise: float) -> FullMixture:
        """The posterior p(x_0 | y), again a mixture, for y = matrix x_0 + noise z with z ~ N(0, I).

        ``matrix``: (m, d).  ``y``: (m,).  ``noise``: standard deviation, at least 0.  With noise = 0,
        matrix C_k matrix^T must be invertible for every component.
        """
        prior, means = self.covariances, self.means.flatten(1)
        seen = matrix @ prior @ matrix.mT + noise**2 * torch.eye(len(y)).to(prior)
        gain = torch.linalg.solve(seen, matrix @ prior).mT
        gap = y - means @ matrix.mT
        rest = torch.eye(means.shape[1]).to(prior) - gain @ matrix
        # Joseph's form: symmetric and positive semidefinite in spite of rounding
        left = rest @ prior @ rest.mT + noise**2 * gain @ gain.mT
        fit = -0.5 * ((gap[:, None] @ torch.linalg.solve(seen, gap[..., None]))[:, 0, 0] + torch.logdet(seen))
        updated = means + (gain @ gap[..., None])[..., 0]
        return FullMixture(updated.reshape(self.means.shape), left, torch.softmax(torch.log(self.weights) + fit, dim=0))
