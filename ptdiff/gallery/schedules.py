"""Pictures of schedules: the chains of DDPM, processes in continuous time, and shifts of both.

alpha, sigma: signal and noise scale; SNR = alpha^2 / sigma^2; theta = atan2(sigma, alpha) in [0, pi/2].
abar = alpha^2 of a chain; beta = 1 - abar_i / abar_(i-1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.pictures.plot import COLORS, FAINT, legend_below, picture
from ptdiff.process import EDM, Chain, Flow, Interpolated, Process, Shifted, SubVP, TrigFlow, VEGeometric, VPLinear

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHAINS: dict[str, Chain] = {
    "linear": Chain(schedule="linear"),
    "scaled-linear": Chain(schedule="scaled-linear", beta_start=0.00085, beta_end=0.012),
    "cosine": Chain(schedule="cosine"),
    "sigmoid": Chain(schedule="sigmoid"),
    "sigmoid-abar": Chain(schedule="sigmoid-abar"),
    "sigmoid-alpha": Chain(schedule="sigmoid-alpha"),
}
"""The compared chains; scaled-linear has the betas of latent diffusion."""

CONTINUOUS: dict[str, Process] = {
    "vp": VPLinear(),
    "sub-vp": SubVP(),
    "trigflow": TrigFlow(),
    "flow": Flow(),
    "edm": EDM(),
    "ve-geometric": VEGeometric(),
}
"""The compared processes."""

SHIFTS: dict[str, Process] = {
    "shift 1/2": Shifted(TrigFlow(), 0.5),
    "trigflow": TrigFlow(),
    "shift 2": Shifted(TrigFlow(), 2.0),
    "shift 4": Shifted(TrigFlow(), 4.0),
    "interpolated 1 to 4": Interpolated(TrigFlow(), 1.0, 4.0),
}
"""The compared shifts of the cosine schedule, as in simple diffusion."""

_STYLES = ("-", "--", "-", "-.", "-", "--")


def times(count: int = 401, margin: float = 0.0) -> Tensor:
    """``count`` evenly spaced times from ``margin`` to 1 - ``margin``, float64."""
    return torch.linspace(margin, 1 - margin, count, dtype=torch.float64)


def log_snr(process: Process, t: Tensor) -> Tensor:
    """log SNR = 2 log(alpha / sigma), twice lambda."""
    return 2 * process.level(t).half_log_snr


def _lines(axes: Axes, curves: dict[str, tuple[Tensor, Tensor]]) -> None:
    for (name, (x, y)), color, style in zip(curves.items(), COLORS, _STYLES, strict=False):
        axes.plot(x, y, color=color, linestyle=style, label=name)


@picture(6.4)
def schedules(figure: Figure) -> None:
    """Chains compared: beta, alpha-bar, log-SNR and sigma of the six schedules, a thousand steps each."""
    (beta, abar), (snr, sigma) = figure.subplots(2, 2, sharex=True)
    index = torch.arange(1000)
    levels = {name: chain.levels(index) for name, chain in CHAINS.items()}
    _lines(beta, {name: (index, chain.beta) for name, chain in CHAINS.items()})
    _lines(abar, {name: (index, level.alpha.square()) for name, level in levels.items()})
    _lines(snr, {name: (index, 2 * level.half_log_snr) for name, level in levels.items()})
    _lines(sigma, {name: (index, level.sigma) for name, level in levels.items()})
    beta.set(title=r"$\beta$: noise added per step", yscale="log", ylim=(1e-5, 1.3))
    abar.set(title=r"$\bar\alpha$: share of the variance that is data")
    snr.set(title=r"log-SNR: $\log\,(\bar\alpha / \sigma^2)$", xlabel="step", ylim=(-17, 13))
    sigma.set(title=r"$\sigma$: noise scale", xlabel="step")
    legend_below(figure, beta, 6)


@picture(6.4)
def processes(figure: Figure) -> None:
    """Continuous processes compared: alpha, sigma, log-SNR and the angle of the noise level over time."""
    (alpha, sigma), (snr, angle) = figure.subplots(2, 2, sharex=True)
    t, inner = times(), times(2001, 5e-4)
    levels = {name: process.level(t) for name, process in CONTINUOUS.items()}
    _lines(alpha, {name: (t, level.alpha) for name, level in levels.items()})
    _lines(sigma, {name: (inner, process.level(inner).sigma) for name, process in CONTINUOUS.items()})
    _lines(snr, {name: (inner, log_snr(process, inner)) for name, process in CONTINUOUS.items()})
    _lines(angle, {name: (t, level.angle) for name, level in levels.items()})
    alpha.set(title=r"$\alpha$: signal scale")
    sigma.set(title=r"$\sigma$: noise scale", yscale="log", ylim=(1e-3, 300))
    snr.set(title=r"log-SNR: $2\,\log\,(\alpha / \sigma)$", xlabel="time t (0 = data, 1 = noise)")
    angle.set(title=r"$\theta$ = atan2($\sigma, \alpha$)", xlabel="time t (0 = data, 1 = noise)")
    angle.set_yticks([0, math.pi / 4, math.pi / 2], ["0", r"$\pi/4$", r"$\pi/2$"])
    legend_below(figure, alpha, 6)


@picture(3.9)
def shifts(figure: Figure) -> None:
    """Shifted schedules: a shift s subtracts 2 log s from the log-SNR and changes the training density."""
    snr, density = figure.subplots(1, 2)
    t = times(1999, 5e-4)
    curves = {name: log_snr(process, t) for name, process in SHIFTS.items()}
    _lines(snr, {name: (t, curve) for name, curve in curves.items()})
    # for uniform time, the density over log-SNR is the inverse of its slope
    heights = {name: 1 / (-2 * process.rate(t)) for name, process in SHIFTS.items()}
    _lines(density, {name: (curves[name], height) for name, height in heights.items()})
    snr.axhline(0, color=FAINT, linewidth=0.8, zorder=1)
    snr.set(title="log-SNR over time", xlabel="time t (0 = data, 1 = noise)", ylim=(-13, 13))
    density.set(title="density of log-SNR, t uniform", xlabel="log-SNR", xlim=(-12, 12), ylim=(0, None))
    legend_below(figure, snr, 5)
