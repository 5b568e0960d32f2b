"""Spacings by name."""

from __future__ import annotations

from ptdiff.choices import Catalog
from ptdiff.grid.published import Given, IDDPMGrid, Leading, Linspace, Trailing, VEGrid, VPGrid
from ptdiff.grid.spacing import Beta, Exponential, Karras, LogSNR, Polyexponential, Quadratic, Spacing, Uniform

SPACINGS: Catalog[type[Spacing]] = Catalog(
    "spacing",
    {
        "uniform": Uniform,
        "quadratic": Quadratic,
        "log-snr": LogSNR,
        "karras": Karras,
        "exponential": Exponential,
        "polyexponential": Polyexponential,
        "beta": Beta,
        "trailing": Trailing,
        "leading": Leading,
        "linspace": Linspace,
        "edm-vp": VPGrid,
        "edm-ve": VEGrid,
        "edm-iddpm": IDDPMGrid,
        "levels": Given,
    },
)
