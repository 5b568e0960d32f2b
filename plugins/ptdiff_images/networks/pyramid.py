"""Image pyramid beside the features of a U-Net (Karnewar and Wang 2020; Song et al. 2021, NCSN++).

    encoder   skip        the image, halved again and again, is added to the features through a 1 x 1 convolution
              residual    the sum at the previous resolution is added, halved by a convolution
    decoder   skip        every resolution outputs its part of the image; the parts are upsampled and summed

Resampling uses the binomial filter against aliasing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ptdiff_images.networks.options import Decoder, Encoder
from ptdiff_images.networks.resample import Binomial
from ptdiff_images.networks.style import Style, zero


class Inlet(nn.Module):
    """Identity inlet: features and image pass unchanged."""

    def forward(self, h: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Take features h (b, c, y, x) and the image or its substitute, twice as large; return both for the next."""
        return h, image


class SkipInlet(Inlet):
    """Inlet that adds the halved image to the features."""

    def __init__(self, folded: int, out: int, style: Style) -> None:
        super().__init__()
        self.halve, self.conv = Binomial(up=False, circular=style.circular), nn.Conv2d(folded, out, 1)

    def forward(self, h: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Take features h (b, c, y, x) and the image at twice the size; return the sum and the halved image."""
        image = self.halve(image)
        return h + self.conv(image), image


class ResidualInlet(Inlet):
    """Inlet that adds the previous sum to the features and passes the new sum on."""

    def __init__(self, before: int, out: int, style: Style) -> None:
        super().__init__()
        self.halve = nn.Sequential(Binomial(up=False, circular=style.circular), style.conv(before, out))

    def forward(self, h: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Take features h (b, c, y, x) and the previous sum at twice the size; return the new sum twice."""
        h = h + self.halve(image)
        return h, h


def inlets(kind: Encoder, folded: int, sizes: Sequence[int], style: Style) -> nn.ModuleList:
    """Return an inlet for each resolution but the finest.

    sizes: channels at each resolution, finest first. folded: channels of the image.
    """
    if kind == "skip":
        return nn.ModuleList(SkipInlet(folded, out, style) for out in sizes[1:])
    if kind == "residual":
        return nn.ModuleList(
            ResidualInlet(before, out, style) for before, out in zip((folded, *sizes[1:-1]), sizes[1:], strict=True)
        )
    return nn.ModuleList(Inlet() for _ in sizes[1:])


class Outlet(nn.Module):
    """Identity outlet: the image generated so far passes unchanged."""

    def forward(self, h: Tensor, drawn: Tensor | None) -> Tensor | None:
        """Take features h (b, c, y, x) and the coarser image (b, folded, y, x), if any; return the image."""
        return drawn


class SkipOutlet(Outlet):
    """Outlet that adds this resolution's part of the image and doubles the sum in size; the part starts at zero."""

    def __init__(self, channels: int, folded: int, style: Style) -> None:
        super().__init__()
        self.norm, self.activate = style.normalize(channels), style.activate
        self.conv = zero(style.conv(channels, folded))
        self.enlarge = Binomial(up=True, circular=style.circular)

    def forward(self, h: Tensor, drawn: Tensor | None) -> Tensor:
        """Take features h (b, c, y, x) and the image of coarser resolutions, if any; return the sum, doubled."""
        part = self.conv(self.activate(self.norm(h)))
        larger: Tensor = self.enlarge(part if drawn is None else part + drawn)
        return larger


def outlets(kind: Decoder, folded: int, sizes: Sequence[int], style: Style) -> nn.ModuleList:
    """Return an outlet for each resolution but the finest, finest first."""
    return nn.ModuleList(SkipOutlet(size, folded, style) if kind == "skip" else Outlet() for size in sizes[1:])
