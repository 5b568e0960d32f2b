"""Pictures of the inputs that tell a network the noise level.

theta = atan2(sigma, alpha) in [0, pi/2] is the noise level of ptdiff.  Step k of a chain of T is that of DDPM, embedded
in sines and cosines of k / 10000^(i / (n - 1)), i = 0 … n - 1 (Vaswani et al. 2017, section 3.5; Ho et al. 2020).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.pictures.plot import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def features(angle: Tensor, octaves: int = 6) -> Tensor:
    """Inputs of the network in :class:`ptdiff.denoiser.embedding.LevelEmbedding`: angles (b,) to (b, 2 octaves + 2)."""
    embedding = LevelEmbedding(1, octaves=octaves)
    embedding.mlp = nn.Sequential()
    with torch.inference_mode():
        found: Tensor = embedding(angle, {})
    return found


def sinusoidal(step: Tensor, width: int) -> Tensor:
    """Embedding of the steps of a chain: (b,) to (b, width), sines first; ``width`` must be even."""
    frequency = torch.exp(-math.log(10_000) * torch.arange(width // 2, dtype=torch.float64) / (width // 2 - 1))
    phase = step.double()[:, None] * frequency
    return torch.cat([phase.sin(), phase.cos()], dim=1)


@picture(5.6)
def embedding(figure: Figure) -> None:
    """The noise level as a network sees it: ptdiff's features of the angle, and the sinusoids of a chain's step."""
    ours, theirs = figure.subplots(2, 1, height_ratios=(14, 18))
    angle = torch.linspace(0, math.pi / 2, 600)
    heat = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1, "aspect": "auto", "interpolation": "nearest"}
    count = features(angle).shape[1]
    shown = ours.imshow(features(angle).T.numpy(), extent=(0, math.pi / 2, count - 0.5, -0.5), **heat)
    theirs.imshow(sinusoidal(torch.arange(1000), 64).T, extent=(0, 1000, 63.5, -0.5), **heat)
    ours.set(title=r"ptdiff: features of the angle $\theta$, the same for every process", xlabel=r"$\theta$")
    ours.set_xticks([0, math.pi / 8, math.pi / 4, 3 * math.pi / 8, math.pi / 2], ["0", "π/8", "π/4", "3π/8", "π/2"])
    ours.set_yticks([0.5, 4.5, 10.5], ["angle, its warp", "sines", "cosines"])
    theirs.set(title="DDPM: sinusoids of the step, of a chain of 1000", xlabel="step")
    theirs.set_yticks([15.5, 47.5], ["sines", "cosines"])
    for axes in (ours, theirs):
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
    figure.colorbar(shown, ax=[ours, theirs], shrink=0.5, ticks=[-1, 0, 1])
