"""Pictures of the effect of resolution on noise (Hoogeboom et al. 2023, section 3.1; Chen 2023, section 3).

An image of side n and the same image at side n / k show the same content; when the larger one is averaged down to the
smaller one, independent noise of standard deviation sigma shrinks to sigma / k.  So the same sigma hides less of a
larger image, and a shift of the noise-to-signal ratio by k compensates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.noise import Stream, normal
from ptdiff.pictures.plot import picture
from ptdiff.process import shift_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = (64, 128, 256)
SIGMA = 1.0
_FINEST = 512


def landscape(side: int) -> Tensor:
    """A synthetic image (3, side, side): hills under an evening sun, zero mean and unit variance, float64.

    The image of a side is the average of the one of twice the side, up to scale.
    """
    y, x = torch.meshgrid(*[(torch.arange(_FINEST, dtype=torch.float64) + 0.5) / _FINEST] * 2, indexing="ij")

    def color(red: float, green: float, blue: float) -> Tensor:
        return torch.tensor([red, green, blue], dtype=torch.float64)[:, None, None]

    image = color(0.99, 0.78, 0.55) * y + color(0.36, 0.55, 0.80) * (1 - y)
    sun = torch.hypot(x - 0.68, y - 0.36)
    image = image + 0.35 * torch.exp(-((sun / 0.22) ** 2))
    image = torch.where(sun < 0.09, color(1.0, 0.93, 0.70), image)
    for height, swing, waves, shade in (
        (0.55, 0.09, 5.0, color(0.52, 0.50, 0.62)),
        (0.66, 0.07, 8.0, color(0.34, 0.38, 0.46)),
        (0.80, 0.06, 11.0, color(0.16, 0.24, 0.25)),
    ):
        ridge = height + swing * torch.sin(waves * x + 40 * height) + 0.3 * swing * torch.sin(3.7 * waves * x)
        image = torch.where(y > ridge, shade, image)
    small = reduced(image, side)
    return (small - small.mean()) / small.std(correction=0)


def reduced(image: Tensor, side: int) -> Tensor:
    """Average an image (c, h, h) over squares to (c, side, side); ``side`` must divide h."""
    step = image.shape[-1] // side
    return image.reshape(len(image), side, step, side, step).mean(dim=(2, 4))


def noise(side: int) -> Tensor:
    """Independent standard normal numbers (3, side, side), float64."""
    return normal(0, Stream.DATA, torch.zeros(1), 0, (3, side, side))[0].double()


def left(noise: Tensor) -> float:
    """Standard deviation of noise (3, side, side) seen at the smallest side: its own times smallest / side."""
    return float(reduced(noise, SIDES[0]).std())


@picture(5.9)
def resolution(figure: Figure) -> None:
    """Resolution and noise: the same sigma hides less of a larger image, unless it is shifted with the side."""
    columns = figure.subplots(2, len(SIDES)).T
    for column, side in zip(columns, SIDES, strict=True):
        image, unit = landscape(side), noise(side)
        for axes, shift in zip(column, (1.0, shift_for(side**2, tuned_at=SIDES[0] ** 2)), strict=True):
            added = SIGMA * shift * unit
            # unit variance, so that every noise level is drawn with the same contrast
            shown = ((image + added) / (1 + (SIGMA * shift) ** 2) ** 0.5 * 0.22 + 0.5).clamp(0, 1)
            axes.imshow(shown.permute(1, 2, 0), interpolation="nearest")
            axes.set(title=f"{side} × {side},  σ = {SIGMA * shift:g}", xticks=[], yticks=[])
            axes.set_xlabel(f"seen at {SIDES[0]} × {SIDES[0]}: noise {left(added):.2f}")
            axes.spines[:].set_visible(False)
            axes.grid(visible=False)
    columns[0][0].set_ylabel("the same noise")
    columns[0][1].set_ylabel("shifted by the side")
