"""Certificates of objectives: their minimum is the posterior mean, and their weight is the documented one.

For data x_0 ~ N(0.4, 0.8^2), D* = E[x_0 | x] is linear and expectations over (x_0, eps) are Gauss-Hermite sums, exact
for the polynomials that occur here.  A network is constructed whose prediction gives D = D* + shift_0 + shift_1 x +
shift_2 x^2 in the requested parametrization, and runs through the same code as training:

    minimum   gradient of the expected loss at shift = 0, over its Cauchy-Schwarz bound    declared 0
    weight    half the second derivative along shift_0, over the documented w              declared 1

The documented weights are written out here independently, in the notation of the papers, as functions of snr.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ptdiff.certify.certificate import Certificate
from ptdiff.choices import choose
from ptdiff.denoiser.network import PREDICTIONS, NetworkDenoiser
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.modality.data import Condition
from ptdiff.objective.loss import Objective
from ptdiff.objective.weighting import WEIGHTINGS
from ptdiff.process import Level

RATIOS = (0.01, 0.2, 0.7, 1.0, 2.5, 60.0)
"""sigma / alpha of the measured levels."""
_MEAN, _STD = -0.3, 1.1


def _density(snr: float) -> float:
    # lambda ~ N(_MEAN, _STD^2)
    return math.exp(-0.5 * ((0.5 * math.log(snr) - _MEAN) / _STD) ** 2) / (_STD * math.sqrt(2 * math.pi))


def _cosmap(snr: float) -> float:
    t = 1 / (1 + math.sqrt(snr))
    return 2 / (math.pi * (1 - 2 * t + 2 * t * t)) / t**2


PLAIN: dict[str, Callable[[float], float]] = {
    "x0": lambda snr: 1.0,
    "eps": lambda snr: snr,
    "velocity": lambda snr: 1 + snr,
    "flow": lambda snr: (1 + math.sqrt(snr)) ** 2,
}
"""Weight of the x_0 error in the plain mean squared error of each prediction."""
DOCUMENTED: dict[str, Callable[[float], float]] = {
    "uniform": lambda snr: 1.0,
    "snr": lambda snr: snr,
    "min-snr": lambda snr: min(snr, 5.0),
    "soft-min-snr": lambda snr: snr / (1 + snr),
    "truncated": lambda snr: max(snr, 1.0),
    "snr+1": lambda snr: snr + 1,
    "p2": lambda snr: snr / (1 + snr),
    "edm": lambda snr: (1 / snr + 1) * snr,
    "sigmoid": lambda snr: snr / (1 + snr),
    "sigma-sqrt": lambda snr: (1 + math.sqrt(snr)) ** 2,
    "cosmap": _cosmap,
    "likelihood": lambda snr: snr / _density(snr),
    "over-log-snr": lambda snr: snr / (1 + snr) / _density(snr),
    "uncertainty": lambda snr: snr + 1,
}


def _log_density(level: Level) -> Tensor:
    # rho ~ log-normal, so that lambda = -log rho is normal
    z = (torch.log(level.alpha / level.sigma) - _MEAN) / _STD
    return -0.5 * z * z - math.log(_STD * math.sqrt(2 * math.pi))


class _Shifted(nn.Module):
    """The exact posterior mean plus a quadratic in x, as the network output y at one level."""

    def __init__(self, oracle: Gaussian, level: Level, prediction: str) -> None:
        super().__init__()
        self.oracle, self.level, self.numbers = oracle, level, PREDICTIONS[prediction](level)
        self.shift = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, z: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        x = z * self.level.scale
        powers = torch.stack([torch.ones_like(x), x, x * x], dim=-1)
        wanted = self.oracle(x, self.level, cond) + (powers * self.shift).sum(dim=-1)
        y: Tensor = (wanted - self.numbers.skip * x) / self.numbers.out
        return y


def _at(objective: Objective, prediction: str, ratio: float) -> tuple[float, float]:
    """The gradient at the posterior mean over its bound, and half the second derivative, at one level."""
    nodes, mass = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(12))
    mass = mass / mass.sum()
    x0, eps = 0.4 + 0.8 * nodes.repeat_interleave(12)[:, None], nodes.repeat(12)[:, None]
    share = mass.repeat_interleave(12) * mass.repeat(12)
    angle = torch.tensor(math.atan(ratio), dtype=torch.float64)
    level = Level(2 * torch.cos(angle), 2 * torch.sin(angle))
    oracle = Gaussian(torch.tensor(0.4, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
    net = _Shifted(oracle, level, prediction)
    expected = (share * objective(NetworkDenoiser(net, prediction), x0, eps, level, {})).sum()
    (slope,) = torch.autograd.grad(expected, net.shift, create_graph=True)
    (bend,) = torch.autograd.grad(slope[0], net.shift)
    x = level.alpha * x0 + level.sigma * eps
    error = (share * (oracle(x, level, {}) - x0).flatten().square()).sum()
    size = torch.stack([(share * x.flatten() ** (2 * k)).sum() for k in range(3)])
    bound = bend[0] * torch.sqrt(error * size)
    return float((slope.detach() / bound).abs().max()), float(bend[0]) / 2


def _worst(figures: list[float], declared: float) -> float:
    return max(figures, key=lambda figure: math.inf if math.isnan(figure) else abs(figure - declared))


def objective_certificates() -> Iterator[Certificate]:
    """Minimum and weight of every weighting with every prediction, the worst over RATIOS."""
    for name in WEIGHTINGS:
        objective = Objective(choose("weighting", WEIGHTINGS, {"name": name}), log_density=_log_density)
        for prediction in PREDICTIONS:
            documented = PLAIN[prediction] if name == "prediction" else DOCUMENTED[name]
            slopes, weights = zip(*(_at(objective, prediction, ratio) for ratio in RATIOS), strict=True)
            over = [weight / documented(ratio**-2) for ratio, weight in zip(RATIOS, weights, strict=True)]
            subject = f"{name}, {prediction}-prediction"
            yield Certificate("objective minimum", subject, _worst(list(slopes), 0.0), 0.0, 1e-9)
            yield Certificate("objective weight", subject, _worst(over, 1.0), 1.0, 1e-6)
