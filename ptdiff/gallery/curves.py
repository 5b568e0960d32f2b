"""Curves of a run: its training, and its loss by noise level with the lowest possible one.

    loss(rho) = mean over elements of (D(x) - x_0)^2 / sin^2 theta,    x = cos theta x_0 + sin theta eps
    rho = tan theta

is the error of the velocity, as in :mod:`ptdiff.training.validation`.  The optimal denoiser is the posterior mean of
the training set (Karras et al. 2022, eq. 57).  The regret is the loss minus that of the optimal denoiser on the same
noisy samples.  On the training set no denoiser is better, and the regret is at least zero up to sampling error.  On
held-out data that denoiser is no bound: at low noise it returns the nearest training sample, and a network that
generalizes beats it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ptdiff.documents.jsons import json_lines
from ptdiff.errors import Unsupported
from ptdiff.gallery.scene import Scene
from ptdiff.gallery.strips import noisy
from ptdiff.machine.host import double
from ptdiff.modality.data import Condition
from ptdiff.pictures.plot import COLORS, FAINT, picture
from ptdiff.process import Level
from ptdiff.training.regret import is_small_and_fixed, posterior_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ptdiff.denoiser.network import Denoiser

RATIOS = tuple(10 ** (k / 8 - 2) for k in range(29))
"""rho = sigma / alpha, from 0.01 to 30."""

_LINES = ("-", "--")


@picture(3.4, 10.0)
def training(figure: Figure, scene: Scene) -> None:
    """Training: loss, loss on held-out samples, learning rate."""
    found = reports(scene.model.run.path / "metrics.jsonl")
    if not found:
        raise Unsupported(f"{scene.model.run.path} has no metrics.jsonl, so its training cannot be plotted")
    left, middle, right = figure.subplots(1, 3, sharex=True)
    _series(left, found, "loss", "loss of a batch, averaged", COLORS[0])
    _series(left, found, "validation_loss", "held out", COLORS[1], marker=".")
    left.set(title="Loss")
    left.legend()
    names = ("clean", "low noise", "high noise", "noise")
    for k, name in enumerate(names):
        _series(middle, found, "loss_by_band", name, COLORS[k], part=k)
    middle.set(title="Loss by noise level")
    middle.legend()
    _series(right, found, "learning_rate", "", COLORS[2])
    right.set(title="Learning rate")
    right.yaxis.set_major_formatter("{x:g}")
    for axes in (left, middle):
        _logarithmic(axes)
    for axes in (left, middle, right):
        axes.set(xlabel="step")


@picture(3.6, 10.0)
def losses(figure: Figure, scene: Scene) -> None:
    """Loss by noise level of raw and averaged weights, and their regret relative to the optimal denoiser."""
    scene.needs_means()
    data = scene.data
    raw = scene.model.run.denoiser(weights="raw").to(scene.device)
    networks: dict[str, Denoiser] = {"averaged": scene.denoiser, "raw weights": raw}
    seen, seen_cond = scene.training(_count(scene))
    unseen, unseen_cond = scene.held_out(_count(scene))
    exact = data.train is not None and is_small_and_fixed(data.train, data.shape)
    left, right = figure.subplots(1, 2)
    by_level = {name: _by_level(scene, network, unseen, unseen_cond) for name, network in networks.items()}
    for k, (name, values) in enumerate(by_level.items()):
        left.plot(RATIOS, values, _LINES[k], color=COLORS[k], label=name)
    left.set(title="Loss on held-out data", xscale="log", xlabel=r"$\rho = \sigma / \alpha$")
    right.set(title="Regret: loss above that of the optimal denoiser", xscale="log", xlabel=r"$\rho = \sigma / \alpha$")
    if not exact:
        right.set_axis_off()
        text = "no optimal denoiser:\nthe training set is generated\nfor every batch, or too large"
        right.text(0.5, 0.5, text, ha="center", va="center", color=FAINT, transform=right.transAxes)
        _logarithmic(left)
        left.legend()
        return
    held, own = (_least(scene, x, cond) for x, cond in ((unseen, unseen_cond), (seen, seen_cond)))
    left.plot(RATIOS, held, ":", color=FAINT, label="optimal for the training set")
    _logarithmic(left)
    left.legend()
    trained = _by_level(scene, scene.denoiser, seen, seen_cond)
    right.axhline(0, color=FAINT, linewidth=0.8)
    for k, (name, values) in enumerate(by_level.items()):
        right.plot(RATIOS, values - held, _LINES[k], color=COLORS[k], label=f"{name}, held out")
    right.plot(RATIOS, trained - own, color=COLORS[2], label="averaged, training set")
    largest = float(abs(trained - own).max())
    # at low noise the loss of the optimal denoiser on held-out data is unbounded: clip it
    right.set_ylim(-1.5 * largest, 1.5 * largest)
    right.legend()


def _logarithmic(axes: Axes) -> None:
    """Use a logarithmic scale, with round tick labels if the losses span little more than a decade."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    axes.set(yscale="log")
    low, high = axes.get_ylim()
    if high < 20 * low:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")


def _count(scene: Scene) -> int:
    """Number of samples per level, for about the same work with any data."""
    return min(256, max(16, 2**17 // math.prod(scene.data.shape)))


def _points(scene: Scene, x0: Tensor) -> list[tuple[Level, Tensor]]:
    found = []
    for rho in RATIOS:
        theta = torch.tensor(math.atan(rho), device=scene.device)
        level = Level(torch.cos(theta), torch.sin(theta))
        found.append((level, noisy(scene, x0, level)))
    return found


def _loss(estimate: Tensor, x0: Tensor, level: Level) -> float:
    return float(double(estimate - x0).square().mean() / double(level.sigma).square())


@torch.inference_mode()
def _by_level(scene: Scene, network: Denoiser, x0: Tensor, cond: Condition) -> Any:
    import numpy as np

    return np.array([_loss(network(x, level, cond), x0, level) for level, x in _points(scene, x0)])


def _least(scene: Scene, x0: Tensor, cond: Condition) -> Any:
    """Loss of the optimal denoiser of the training set."""
    import numpy as np

    found = []
    for level, x in _points(scene, x0):
        best = posterior_mean(scene.data, x, level.angle.expand(len(x)), cond)
        found.append(_loss(best, x0, level))
    return np.array(found)


def reports(path: Path) -> list[dict[str, Any]]:
    """Read the lines of metrics.jsonl; an incomplete last line is ignored."""
    return list(json_lines(path))


def _series(
    axes: Axes,
    found: Sequence[dict[str, Any]],
    key: str,
    label: str,
    color: str,
    part: int | None = None,
    marker: str = "",
) -> None:
    """Plot one key of the reports over the steps, where it is a number."""
    values = [(line["step"], line[key] if part is None else line[key][part]) for line in found if line.get(key)]
    steps = [step for step, value in values if value is not None]
    if steps:
        known = [value for _, value in values if value is not None]
        axes.plot(steps, known, color=color, label=label, marker=marker)
