"""Pictures of preconditioning: the coefficients around the network at each noise level.

x_0 = skip x + out y, where the network sees x / r, r = hypot(alpha, sigma).  With alpha = 1 and data of unit variance,
as in EDM with sigma_data = 1 (Karras et al. 2022, table 1), its c_skip, c_out and c_in are skip, |out| and 1 / r of
velocity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.denoiser.network import PREDICTIONS, Coefficients
from ptdiff.pictures.plot import COLORS, FAINT, legend_below, picture
from ptdiff.process import Level

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def coefficients(prediction: str, sigma: Tensor) -> tuple[Coefficients, Tensor]:
    """The four coefficients of a prediction at levels (1, sigma), and the scale of the input, each like ``sigma``."""
    level = Level(torch.ones_like(sigma), sigma)
    return PREDICTIONS[prediction](level), 1 / level.scale


@picture(4.0)
def preconditioning(figure: Figure) -> None:
    """EDM's c_skip, c_out and c_in by sigma, and the same coefficients of the other predictions."""
    edm, skip, out = figure.subplots(1, 3, sharex=True, width_ratios=(1.15, 1, 1))
    sigma = torch.logspace(-2.3, 2, 400, dtype=torch.float64)
    numbers, scale = coefficients("velocity", sigma)
    for name, curve, style, color in (
        (r"$c_{\mathrm{skip}}$", numbers.skip, "-", "#222222"),
        (r"$c_{\mathrm{out}}$", numbers.out.abs(), "--", "#777777"),
        (r"$c_{\mathrm{in}}$", scale, ":", "#222222"),
    ):
        edm.plot(sigma, curve, linestyle=style, color=color, label=name)
    edm.legend(loc="center left")
    for i, prediction in enumerate(PREDICTIONS):
        numbers, _ = coefficients(prediction, sigma)
        style = ("-", "--", "-", "-.")[i]
        skip.plot(sigma, numbers.skip, color=COLORS[i], linestyle=style, label=prediction)
        out.plot(sigma, numbers.out.abs(), color=COLORS[i], linestyle=style)
    edm.set(title="EDM (velocity)", xscale="log", xlabel=r"$\sigma / \alpha$")
    skip.set(title="skip: weight of x", xlabel=r"$\sigma / \alpha$")
    out.set(title=r"|out|: error of y in $x_0$", xlabel=r"$\sigma / \alpha$", yscale="log", ylim=(5e-3, 200))
    for axes in (edm, skip, out):
        axes.axvline(1, color=FAINT, linewidth=0.8, zorder=1)
    legend_below(figure, skip, 4)
