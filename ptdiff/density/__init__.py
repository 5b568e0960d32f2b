"""Densities: the distribution of noise levels in training.

form.py         Density, and stratified draws from one
of_time.py      densities in the time of a process
of_ratio.py     densities in the noise-to-signal ratio
truncated.py    a density without its noisiest levels
loss_aware.py   a density that follows the loss
"""

from ptdiff.choices import Catalog
from ptdiff.density.form import LEAST, MOST, Density, stratified
from ptdiff.density.loss_aware import LossAware
from ptdiff.density.of_ratio import Cosine, CosineInterpolated, LogLogistic, LogNormal, LogUniform, SplitLogNormal
from ptdiff.density.of_time import LogitNormal, Mode, Uniform
from ptdiff.density.truncated import Truncated

__all__ = [
    "DENSITIES",
    "LEAST",
    "MOST",
    "Cosine",
    "CosineInterpolated",
    "Density",
    "LogLogistic",
    "LogNormal",
    "LogUniform",
    "LogitNormal",
    "LossAware",
    "Mode",
    "SplitLogNormal",
    "Truncated",
    "Uniform",
    "stratified",
]

DENSITIES: Catalog[type[Density]] = Catalog(
    "density",
    {
        "uniform": Uniform,
        "logit-normal": LogitNormal,
        "mode": Mode,
        "log-normal": LogNormal,
        "split-log-normal": SplitLogNormal,
        "log-uniform": LogUniform,
        "log-logistic": LogLogistic,
        "cosine": Cosine,
        "cosine-interpolated": CosineInterpolated,
        "loss-aware": LossAware,
    },
)
