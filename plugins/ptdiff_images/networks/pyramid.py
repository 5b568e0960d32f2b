"""The image beside the features, at every resolution of a U-Net (Karnewar and Wang 2020; Song et al. 2021, NCSN++).

    encoder   skip        a smaller and smaller image is added to the features, through a 1 x 1 convolution
              residual    what was there one resolution before is added, halved by a convolution
    decoder   skip        every resolution draws its part of the image, and the parts are enlarged and summed

Halved and doubled without aliases, by the binomial filter.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ptdiff_images.networks.catalog import Decoder, Encoder
from ptdiff_images.networks.resample import Binomial
from ptdiff_images.networks.style import Style, zero


class Inlet(nn.Module):
    """Nothing: features and image pass."""

    def forward(self, h: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features h (b, c, y, x) and the image, or what stands for it, of twice the size; both for the next."""
        return h, image


class SkipInlet(Inlet):
    """The image, halved, is added to the features."""

    def __init__(self, folded: int, out: int, style: Style) -> None:
        super().__init__()
        self.halve, self.conv = Binomial(up=False, circular=style.circular), nn.Conv2d(folded, out, 1)

    def forward(self, h: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        image = self.halve(image)
        return h + self.conv(image), image


class ResidualInlet(Inlet):
    """What was there before is added to the features, and their sum is there next time."""

    def __init__(self, before: int, out: int, style: Style) -> None:
        super().__init__()
        self.halve = nn.Sequential(Binomial(up=False, circular=style.circular), style.conv(before, out))

    def forward(self, h: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        h = h + self.halve(image)
        return h, h


def inlets(kind: Encoder, folded: int, sizes: Sequence[int], style: Style) -> nn.ModuleList:
    """One for each resolution but the finest; sizes: channels at each, finest first; folded: of the image."""
    if kind == "skip":
        return nn.ModuleList(SkipInlet(folded, out, style) for out in sizes[1:])
    if kind == "residual":
        return nn.ModuleList(
            ResidualInlet(before, out, style) for before, out in zip((folded, *sizes[1:-1]), sizes[1:], strict=True)
        )
    return nn.ModuleList(Inlet() for _ in sizes[1:])


class Outlet(nn.Module):
    """Nothing: the image that is drawn so far passes."""

    def forward(self, h: Tensor, drawn: Tensor | None) -> Tensor | None:
        """Features h (b, c, y, x) and the image of the coarser resolutions (b, folded, y, x), None where none is."""
        return drawn


class SkipOutlet(Outlet):
    """This resolution's part of the image is added, and the sum doubled in size; the part is zero at the start."""

    def __init__(self, channels: int, folded: int, style: Style) -> None:
        super().__init__()
        self.norm, self.activate = style.normalize(channels), style.activate
        self.conv = zero(style.conv(channels, folded))
        self.enlarge = Binomial(up=True, circular=style.circular)

    def forward(self, h: Tensor, drawn: Tensor | None) -> Tensor:
        part = self.conv(self.activate(self.norm(h)))
        larger: Tensor = self.enlarge(part if drawn is None else part + drawn)
        return larger


def outlets(kind: Decoder, folded: int, sizes: Sequence[int], style: Style) -> nn.ModuleList:
    """One for each resolution but the finest, finest first."""
    return nn.ModuleList(SkipOutlet(size, folded, style) if kind == "skip" else Outlet() for size in sizes[1:])
