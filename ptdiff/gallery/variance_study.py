"""The effect of the noise in each step of a reverse chain, on exact denoisers: too little collapses, too much remains.

DDPM's ancestral step adds noise with the standard deviation of the posterior; here it is multiplied by ``scale`` k in
every step.  In the limit of many steps x then follows, for data N(mean, s^2), v = (sigma / alpha)^2 and w = s^2 + v,

    dx = -(x - mean) / w |dv| + k |dv|^(1/2) z,      Var[x] = k^2 w + (1 - k^2) w^2 / w_T

which ends, from pure noise with infinite w_T, at k^2 s^2: the variance of the data times k^2.  Around each mode of a
mixture it is nearly the same, and for k below 1 samples also leave the rarer modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ptdiff.certify.moments import moments
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.pictures.plot import COLORS, FAINT, INK, picture, plane
from ptdiff.process import Flow
from ptdiff.sampling.sampler import Plan, walk
from ptdiff.solvers.exponential import DDPM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Variance = Literal["lower", "upper"]
SCALES = (0.0, 0.5, 1.0, 1.5, 2.0)
STEPS = 100
_TURN = torch.arange(6, dtype=torch.float64) * (torch.pi / 3)
MODES = Mixture(
    1.4 * torch.stack([torch.cos(_TURN), torch.sin(_TURN)], dim=1),
    torch.full((6,), 0.12, dtype=torch.float64),
    torch.tensor([0.25, 0.15, 0.2, 0.1, 0.2, 0.1], dtype=torch.float64),
)
"""Six modes on a ring with unequal weights: data of about unit variance."""


def gaussian_ratio(scale: float, steps: int, variance: Variance = "lower", std: float = 0.5) -> float:
    """Variance of the result over that of data N(0, std^2), without sampling; k^2 in the limit of many steps."""
    return moments(DDPM(variance, scale).table(grid(Flow(), steps)), 0.0, std)[1] / std**2


@dataclass(frozen=True)
class Spread:
    """State of the modes of ``MODES`` in samples.

    ``within``: variance around the samples' own mean in each mode, over that of the data.
    ``apart``: total variation distance between the shares of the modes and their weights, in [0, 1].
    """

    within: float
    apart: float


def samples(scale: float, count: int = 2000) -> Tensor:
    """Samples (count, 2) of ``MODES``, drawn with noise times ``scale`` in every step; float32."""
    plan = Plan(Flow(), DDPM(scale=scale), STEPS, "log-snr", noise="independent")
    *_, last = walk(MODES, plan, torch.arange(count), (2,), {})
    return last.x


def spread(x: Tensor) -> Spread:
    """Measure samples ``x`` (n, 2), each assigned to its nearest mode."""
    x = x.double()
    member = one_hot(torch.cdist(x, MODES.means).argmin(dim=1), len(MODES.means)).double()
    count = member.sum(dim=0)
    center = (member.T @ x) / count.clamp(min=1)[:, None]
    return Spread(
        within=float((x - member @ center).square().mean() / MODES.stds[0] ** 2),
        apart=float((count / len(x) - MODES.weights).abs().sum() / 2),
    )


_VERDICT = {0.0: "no noise: collapse", 0.5: "too small: near collapse", 1.0: "right", 1.5: "too large"}


@picture(5.8)
def variance_study(figure: Figure) -> None:
    """Reverse variance: too little noise leads to mode collapse, too much remains in the samples."""
    parts = figure.subfigures(2, 1, height_ratios=(1, 1.55), squeeze=False)
    above, below = parts[0, 0], parts[1, 0]
    for axes, scale in zip(above.subplots(1, len(SCALES)), SCALES, strict=True):
        x = samples(scale)
        found = spread(x)
        axes.scatter(*MODES.means.T, s=14, marker="+", color=FAINT, linewidths=0.9)
        axes.scatter(*x.T, s=2.5, color=COLORS[0], alpha=0.3, linewidths=0)
        plane(axes, (0.0, 0.0), 2.1)
        axes.set_title(f"noise × {scale:g}", fontsize=9, loc="center")
        axes.set_xlabel(f"{_VERDICT.get(scale, 'noise is left')}\nvariance × {found.within:.2f}", fontsize=8.5)
    ratio, either = below.subplots(1, 2)
    _ratios(ratio)
    _bounds(either)


def _ratios(axes: Axes) -> None:
    scale = torch.linspace(0, 2, 17)
    axes.plot(scale, scale.square(), color=INK, linewidth=5, alpha=0.2, label="theory: scale²")
    for color, steps in zip(COLORS, (10, 100, 1000), strict=False):
        curve = [gaussian_ratio(float(k), steps) for k in scale]
        axes.plot(scale, curve, color=color, linewidth=1.4, label=f"{steps} steps")
    axes.set(title="normal data: variance of the samples / of the data", xlabel="scale of the noise")
    axes.legend()


def _bounds(axes: Axes) -> None:
    steps = [5, 10, 20, 50, 100, 200, 500, 1000]
    kinds: tuple[Variance, ...] = ("lower", "upper")
    for color, variance in zip(COLORS, kinds, strict=False):
        curve = [gaussian_ratio(1.0, n, variance) for n in steps]
        axes.plot(steps, curve, color=color, marker="o", markersize=3.5, label=f"variance: {variance}")
    axes.axhline(1, color=FAINT, linewidth=0.8, zorder=1)
    axes.set(title="the two variances of DDPM at scale 1", xlabel="steps", xscale="log", ylim=(0, None))
    axes.legend()
