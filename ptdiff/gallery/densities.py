"""Pictures of the densities of noise levels in training.

rho = sigma / alpha; log-SNR = -2 log rho = 2 lambda, so a density over log-SNR is half of one over lambda.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.density import (
    Cosine,
    Density,
    LogitNormal,
    LogLogistic,
    LogNormal,
    LogUniform,
    Mode,
    SplitLogNormal,
    Uniform,
)
from ptdiff.gallery.schedules import CHAINS
from ptdiff.pictures.plot import COLORS, FAINT, legend_below, picture
from ptdiff.process import Chain, Flow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OF_TIME: dict[str, Density] = {
    "uniform": Uniform(),
    "logit-normal": LogitNormal(),
    "mode": Mode(),
}
"""Densities defined in the time of a process; drawn for flow."""

OF_RATIO: dict[str, Density] = {
    "log-normal": LogNormal(),
    "split-log-normal": SplitLogNormal(std_low=1.6, std_high=0.8),
    "log-logistic": LogLogistic(),
    "cosine": Cosine(),
    "log-uniform": LogUniform(),
}
"""Densities defined in the noise-to-signal ratio."""

_STYLES = ("-", "--", "-", "-.", "-", "--")


def continuous(density: Density, log_snr: Tensor) -> Tensor:
    """Probability density over log-SNR, float64, shaped like ``log_snr``; the process is flow."""
    return torch.exp(density.log_density(log_snr / 2, Flow())) / 2


def discrete(chain: Chain) -> tuple[Tensor, Tensor]:
    """log-SNR halfway between neighbors of a chain (T - 1,), and the density there for uniformly distributed steps."""
    found = 2 * chain.levels(torch.arange(chain.steps)).half_log_snr
    return (found[:-1] + found[1:]) / 2, 1 / (chain.steps * (found[:-1] - found[1:]))


def beyond(density: Density, log_snr: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of a noisier and of a cleaner level than each log-SNR, by the inverse distribution function.

    Found by bisection in u, in which the level of a density is monotonic.
    """
    levels = density.levels(torch.tensor([0.25, 0.75], dtype=torch.float64), Flow())
    rising = bool(levels.half_log_snr[1] > levels.half_log_snr[0])
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(50):
        middle = (low + high) / 2
        below = (2 * density.levels(middle, Flow()).half_log_snr < log_snr) == rising
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    noisier = low if rising else 1 - high
    return noisier, 1 - noisier


def _curves(axes: Axes, of: dict[str, Density], first: int) -> None:
    at = torch.linspace(-16, 16, 1601, dtype=torch.float64)
    for i, (name, density) in enumerate(of.items(), first):
        axes.plot(at, continuous(density, at), color=COLORS[i], linestyle=_STYLES[i % 6], label=name)


@picture(6.6)
def noise_densities(figure: Figure) -> None:
    """Noise levels in training: densities over log-SNR, defined in ratios, in time and over chains."""
    panels = figure.subplots(3, 1, sharex=True)
    _curves(panels[0], OF_RATIO, 0)
    _curves(panels[1], OF_TIME, 0)
    for i, (name, chain) in enumerate(CHAINS.items()):
        at, height = discrete(chain)
        panels[2].plot(at, height, color=COLORS[i], linestyle=_STYLES[i], label=name)
    titles = (
        "defined in the noise-to-signal ratio",
        "defined in time, under flow",
        "uniform over the steps of a chain",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, ylim=(0, None), xlim=(-12, 12))
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    panels[2].set(xlabel="log-SNR (right: cleaner)")


@picture(3.9)
def density_tails(figure: Figure) -> None:
    """Extreme noise levels in training: the share of levels noisier and cleaner than a log-SNR."""
    left, right = figure.subplots(1, 2, sharey=True)
    at = torch.linspace(-14, 14, 561, dtype=torch.float64)
    chosen = {**{name: OF_RATIO[name] for name in ("log-normal", "log-logistic", "cosine")}, **OF_TIME}
    for i, (name, density) in enumerate(chosen.items()):
        noisier, cleaner = beyond(density, at)
        left.plot(at, noisier, color=COLORS[i], linestyle=_STYLES[i], label=name)
        right.plot(at, cleaner, color=COLORS[i], linestyle=_STYLES[i], label=name)
    left.set(title="share that is noisier", xlabel="log-SNR", yscale="log", ylim=(1e-6, 1.5), xlim=(-14, 3))
    right.set(title="share that is cleaner", xlabel="log-SNR", xlim=(-3, 14))
    legend_below(figure, left, 6)
