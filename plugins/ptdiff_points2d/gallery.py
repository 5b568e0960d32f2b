"""Plots for points in the plane only: vector fields, histograms and densities over the whole plane.

Noisy points are shown at unit variance, y = x / r, at levels (alpha, sigma) = (cos u, sin u).  D = E[x_0 | y].
    score   grad log p_u(y) = (alpha D - y) / sigma^2       shown times sigma: minus the expected noise
    flow    dy/du = (alpha y - D) / sigma                   shown toward the data, i.e. decreasing u
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from ptdiff.guidance import CFG
from ptdiff.likelihood.divergence import Exact
from ptdiff.likelihood.flow import FlowPath, log_likelihood
from ptdiff.modality import TrainedModel, Unsupported
from ptdiff.noise import Stream, normal
from ptdiff.pictures.plot import COLORS, INK, density_map, picture, plane
from ptdiff.process import Level
from ptdiff.sampling.sampler import shown as at_unit_variance
from ptdiff_datasets.points.toys import TOYS
from ptdiff_points2d.source import toy_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATIOS = (2.0, 0.7, 0.25, 0.08)
"""Noise-to-signal ratios of the fields."""

REACH = 3.0
SCALES = (0.0, 1.0, 3.0, 6.0)
NATS = 8.0
"""Range of a density map in nats above the smallest value."""


def unit_level(ratio: float) -> Level:
    """Return the level of a noise-to-signal ratio with alpha^2 + sigma^2 = 1."""
    angle = torch.tensor(math.atan(ratio))
    return Level(torch.cos(angle), torch.sin(angle))


def score(subject: TrainedModel, y: Tensor, level: Level) -> Tensor:
    """Return sigma times the score at y (n, 2), which is minus the expected noise."""
    with torch.inference_mode():
        found: Tensor = (level.alpha * subject.denoiser(y, level, {}) - y) / level.sigma
    return found


def flow(subject: TrainedModel, y: Tensor, level: Level) -> Tensor:
    """Return the velocity of the probability flow at y (n, 2), toward the data: -dy/du."""
    with torch.inference_mode():
        found: Tensor = (subject.denoiser(y, level, {}) - level.alpha * y) / level.sigma
    return found


def _lattice(count: int, reach: float) -> tuple[Tensor, Tensor]:
    """Return coordinates (count,) and the points of the square lattice (count^2, 2), row by row."""
    along = torch.linspace(-reach, reach, count)
    rows, columns = torch.meshgrid(along, along, indexing="ij")
    return along, torch.stack([columns, rows], dim=-1).reshape(-1, 2)


def _in_plane(subject: TrainedModel) -> None:
    if subject.data.shape != (2,):
        raise Unsupported(f"this plot needs points in the plane, not {subject.data.shape[0]} columns")


def _histogram(axes: Axes, points: Tensor, reach: float, bins: int = 80, alpha: float = 1.0) -> None:
    x, y = points.cpu().double().numpy().T
    heat = axes.hist2d(x, y, bins=bins, range=[[-reach, reach]] * 2, cmap=density_map(), alpha=alpha)[0]
    # keep a few crowded cells from making the others white
    filled = torch.from_numpy(heat[heat > 0])
    axes.collections[-1].set_clim(0, float(filled.quantile(0.98)) if len(filled) else 1.0)


def _noisy(subject: TrainedModel, level: Level, count: int = 20_000) -> Tensor:
    z, _ = subject.training(count)
    eps = normal(subject.seed, Stream.TRAIN_NOISE, torch.arange(len(z)), 0, (2,)).to(z)
    return level.alpha * z + level.sigma * eps


def _fields(figure: Figure, subject: TrainedModel) -> list[tuple[Axes, Level]]:
    """Add a panel for each ratio, showing the noisy data."""
    _in_plane(subject)
    subject.needs_means()
    found = []
    for axes, ratio in zip(figure.subplots(2, 2).flat, RATIOS, strict=True):
        level = unit_level(ratio)
        _histogram(axes, _noisy(subject, level), REACH, alpha=0.55)
        plane(axes, (0.0, 0.0), REACH)
        axes.set_title(f"σ / α = {ratio:g}", fontsize=9.5, loc="center")
        found.append((axes, level))
    return found


@picture(8.3)
def score_field(figure: Figure, subject: TrainedModel) -> None:
    """Plot the score over the noisy data: arrows point to where the data is expected."""
    _, y = _lattice(23, 0.95 * REACH)
    for axes, level in _fields(figure, subject):
        arrows = score(subject, y.to(subject.device), level).cpu()
        axes.quiver(*y.T, *arrows.T, color=INK, angles="xy", width=0.0035, scale=45, headwidth=4.5)


@picture(8.3)
def flow_lines(figure: Figure, subject: TrainedModel) -> None:
    """Plot streamlines of the probability flow over the noisy data, from noise to data."""
    along, y = _lattice(61, REACH)
    for axes, level in _fields(figure, subject):
        u, v = flow(subject, y.to(subject.device), level).cpu().reshape(61, 61, 2).double().numpy().transpose(2, 0, 1)
        at = along.double().numpy()
        axes.streamplot(at, at, u, v, color=INK, linewidth=0.7, arrowsize=0.8, density=1.3)


@picture(4.5)
def histograms(figure: Figure, subject: TrainedModel) -> None:
    """Plot histograms of all samples at eight steps of sampling, from noise to data."""
    _in_plane(subject)
    ids = subject.ids(subject.count or 10_000)
    states = list(subject.states(ids, subject.labels(ids)))
    picked = sorted({round(k) for k in torch.linspace(0, len(states) - 1, 8).tolist()})
    for axes, k in zip(figure.subplots(2, 4).flat, range(8), strict=True):
        if k >= len(picked):
            axes.set_visible(False)
            continue
        state = states[picked[k]]
        _histogram(axes, subject.data.normalize(at_unit_variance(state, subject.data)), REACH, bins=90)
        plane(axes, (0.0, 0.0), REACH)
        alpha, sigma = state.level
        axes.set_title(f"step {picked[k]} of {len(states) - 1}", fontsize=9, loc="center")
        axes.set_xlabel(f"α = {alpha:.2f},  σ = {sigma:.2f}", fontsize=8.5)


def nll(subject: TrainedModel, x: Tensor, steps: int = 16) -> Tensor:
    """Return -log p of the model at x (n, 2) in world units, nats, float64 (n,), by the flow's change of variables."""
    z = subject.data.normalize(x.float()).to(subject.device)
    nats = log_likelihood(subject.denoiser, z, path=FlowPath(steps=steps), divergence=Exact()).nats
    return -nats.cpu() + torch.as_tensor(subject.data.scale, dtype=torch.float64).expand(2).log().sum()


class _Named(Protocol):
    """The options of points that name their distribution."""

    data: str
    noise: float | None


def exact_nll(subject: TrainedModel) -> Callable[[Tensor], Tensor] | None:
    """Return a function from x (n, 2) in world units to the exact -log p, float64 (n,); None without a closed form."""
    kind = cast(_Named, subject.modality)
    density = toy_of(kind.data, kind.noise).density if kind.data in TOYS else None
    return None if density is None else lambda x: -torch.from_numpy(density.log_density(x.cpu().double().numpy()))


@picture(3.9)
def nll_map(figure: Figure, subject: TrainedModel) -> None:
    """Plot the negative log-likelihood over the plane, beside the exact one or, if unknown, beside the data."""
    _in_plane(subject)
    subject.needs_means()
    along, y = _lattice(72, 2.6)
    train = subject.data.world(subject.training(1000)[0]).cpu()
    sources: dict[str, Callable[[Tensor], Tensor]] = {"model": lambda x: nll(subject, x)}
    exact = exact_nll(subject)
    panels = figure.subplots(1, 2)
    if exact is not None:
        sources["exact"] = exact
    else:
        _histogram(panels[1], subject.data.normalize(train), 2.6, bins=60)
        panels[1].set_title("training data", fontsize=9.5, loc="center")
    heats = {name: of(subject.data.world(y)).reshape(72, 72) for name, of in sources.items()}
    lowest = float([*heats.values()][-1].min())
    for axes, (name, heat) in zip(panels, heats.items(), strict=False):
        shown = heat.clamp(lowest, lowest + NATS)
        shade = axes.pcolormesh(along, along, shown, cmap=density_map().reversed(), vmin=lowest, vmax=lowest + NATS)
        levels = [lowest + 1, lowest + 2, lowest + 4, lowest + 6]
        axes.contour(along, along, shown, levels=levels, colors=INK, linewidths=0.5, alpha=0.5)
        mean = float(sources[name](train).mean())
        axes.set_title(f"{name}: {mean:.3f} nats for the data", fontsize=9.5, loc="center")
    for axes in panels:
        plane(axes, (0.0, 0.0), 2.6)
    figure.colorbar(shade, ax=panels, shrink=0.85, label="-log p, nats", extend="max")


def spread(x: Tensor, label: Tensor) -> float:
    """Standard deviation of x (n, 2) around its class means, over all classes and both coordinates."""
    parts = [x[label == k] for k in sorted(set(label.tolist()))]
    return math.sqrt(sum(float((part - part.mean(dim=0)).square().sum()) for part in parts) / (2 * len(x)))


@picture(2.5)
def guided(figure: Figure, subject: TrainedModel) -> None:
    """Plot guidance: it narrows each class and separates it from the others (0 ignores the class, 1 is none)."""
    _in_plane(subject)
    if not subject.data.classes:
        raise Unsupported("guidance needs classes, and this data has none")
    data, cond = subject.training(2000)
    ids = subject.ids(subject.count or 1500)
    labels = subject.labels(ids)
    of_data = spread(data, cond["label"])
    for axes, scale in zip(figure.subplots(1, len(SCALES)), SCALES, strict=True):
        plan = replace(subject.plan, guidance=CFG(scale))
        x = subject.data.normalize(subject.samples(ids, labels, plan))
        axes.scatter(*data.cpu().T, s=2, color="#d8d8d8", linewidths=0)
        axes.scatter(*x.cpu().T, s=2.5, color=_colors(labels["label"].tolist()), alpha=0.6, linewidths=0)
        plane(axes, (0.0, 0.0), REACH)
        axes.set_title(f"w = {scale:g}", fontsize=9.5, loc="center")
        axes.set_xlabel(f"spread of a class × {spread(x, labels['label']) / of_data:.2f}", fontsize=8.5)


def _colors(labels: Sequence[int]) -> list[str]:
    return [COLORS[k % len(COLORS)] for k in labels]
