"""Certificates of flow maps, on exact maps of a mixture of normals and of a normal distribution.

    identity      largest residual of each identity over samples                                   declared 0
    gradient      largest |mean| / standard error of an objective's gradient at the exact map      at most 4
    bias          the same, where an adaptive weight must shift the minimum                        at least 8
    order         of the bias of ``alphaflow`` in alpha, and of central differences in their step  1 and 2
    density       log density by the determinant of one call, against the exact one                declared 0

The gradient is taken along four changes of F: a constant, x, t x and s x.  An objective whose gradient does not vanish
there would train a map away from the exact one.  The bias of adaptive weights on noisy residuals is a property of the
published objective (MeanFlow, section 4.3) in few dimensions; it is measured, so that nobody meets it unawares.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from ptdiff.certify.certificate import Certificate
from ptdiff.certify.problem import GAUSSIAN, MIXTURE
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.flow_map import FlowMap, arrive
from ptdiff.flow_map.exact import GaussianMap, IntegratedMap, velocity
from ptdiff.flow_map.identities import IDENTITIES, along, forward
from ptdiff.flow_map.objectives import RESIDUALS, adaptive, alphaflow, mixed
from ptdiff.flow_map.walk import wide
from ptdiff.modality.data import Condition
from ptdiff.noise import Stream, normal, uniform
from ptdiff.process import Level

FEW, MANY = 32, 4096
"""Samples for what holds exactly, and for what holds on average."""

POWERS = (0.0, 1.0)
"""Adaptive powers: the plain square, and that of MeanFlow's ImageNet models."""

NOISY = ("diagonal", "meanflow", "improved")
"""Objectives whose residuals at the exact map are noise."""


DATA: dict[str, Mixture | Gaussian] = {"mixture": MIXTURE, "gaussian": GAUSSIAN}


@dataclass(frozen=True)
class Probes:
    """Probes of data and noise (b, 2), and angles t and s (b,) at least 0.1 apart, 0.25 <= s < t <= 1.5."""

    x0: Tensor
    eps: Tensor
    t: Tensor
    s: Tensor

    @property
    def x(self) -> Tensor:
        """x_t, (b, 2)."""
        return mixed(self.x0, self.eps, self.t)[0]


@cache
def probes(name: str, count: int) -> Probes:
    """Probes of the mixture or of the normal distribution."""
    ids = torch.arange(count)
    x0 = DATA[name].sample(0, ids)
    shares = uniform(0, Stream.TRAIN_LEVEL, ids, 0, (2,)).double()
    t = 0.35 + 1.15 * shares[:, 0]
    return Probes(x0, normal(0, Stream.TRAIN_NOISE, ids, 0, (2,)).double(), t, 0.25 + (t - 0.35) * shares[:, 1])


MAPS: dict[str, FlowMap] = {"mixture": IntegratedMap(MIXTURE), "gaussian": GaussianMap(GAUSSIAN)}


@dataclass(frozen=True)
class ShiftedMap:
    """An exact map plus a linear combination of four functions, with coefficients (b, 4) for each sample."""

    exact: FlowMap
    shift: Tensor

    def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
        changes = torch.stack([torch.ones_like(x), x, wide(t, x) * x, wide(s, x) * x], dim=1)
        change: Tensor = (self.shift[..., None] * changes).sum(dim=1)
        return self.exact(x, t, s, cond) + change


def gradients(residual: Callable[..., Tensor], flow_map: FlowMap, at: Probes, powers: Sequence[float]) -> list[Tensor]:
    """Gradient of each sample's loss along the four changes, (b, 4), at ``flow_map``, for each adaptive power."""
    shift = torch.zeros(len(at.t), 4, dtype=torch.float64, requires_grad=True)
    found = residual(ShiftedMap(flow_map, shift), at.x0, at.eps, at.t, at.s, {})
    return [torch.autograd.grad(adaptive(found, power).sum(), shift, retain_graph=True)[0] for power in powers]


def significance(slopes: Tensor) -> float:
    """The largest of the four means, in standard errors; 0 if the gradient of every sample is rounding."""
    if float(slopes.abs().max()) < 1e-6:
        return 0.0
    return float((slopes.mean(dim=0) / (slopes.std(dim=0) / math.sqrt(len(slopes)))).abs().max())


def identity_certificates() -> Iterator[Certificate]:
    """The identities of both maps, and the diagonal of the closed form against the velocity of its denoiser."""
    for name, flow_map in MAPS.items():
        at = probes(name, FEW)
        for identity, residual in IDENTITIES.items():
            found = float(residual(flow_map, at.x, at.t, at.s, {}).abs().max())
            yield Certificate("flow-map identity", f"{identity}, {name}", found, 0.0, 1e-9)
    at = probes("gaussian", FEW)
    gap = MAPS["gaussian"](at.x, at.t, at.t, {}) - velocity(GAUSSIAN, at.x, at.t, {})
    yield Certificate("flow-map identity", "diagonal, gaussian", float(gap.abs().max()), 0.0, 1e-12)
    both = IntegratedMap(GAUSSIAN)(at.x, at.t, at.s, {}) - MAPS["gaussian"](at.x, at.t, at.s, {})
    yield Certificate("flow-map identity", "integration, gaussian", float(both.abs().max()), 0.0, 1e-11)


def gradient_certificates() -> Iterator[Certificate]:
    """The gradient of every objective at the exact map, with plain and with adaptive weights."""
    for name in RESIDUALS:
        if name == "alphaflow":
            continue
        slopes = gradients(RESIDUALS[name], MAPS["mixture"], probes("mixture", MANY), POWERS)
        for power, found in zip(POWERS, map(significance, slopes), strict=True):
            subject = f"{name}, adaptive power {power:g}"
            if name in NOISY and power:
                yield Certificate("flow-map bias", subject, found, 8.0, 0.0, "at least")
            else:
                yield Certificate("flow-map gradient", subject, found, 4.0, 0.0, "at most")


def order_certificates() -> Iterator[Certificate]:
    """The bias of ``alphaflow`` falls like alpha, and the error of central differences like the square of the step."""
    at = probes("mixture", 256)

    def mean(alpha: float) -> Tensor:
        return gradients(partial(alphaflow, alpha=alpha), MAPS["mixture"], at, [0.0])[0].mean(dim=0)

    found = [mean(alpha) for alpha in (0.1, 0.05, 0.025)]
    order = math.log2(float((found[0] - found[1]).norm() / (found[1] - found[2]).norm()))
    yield Certificate("flow-map order", "alphaflow in alpha", order, 1.0, 0.2)
    few, flow_map = probes("gaussian", FEW), MAPS["gaussian"]
    v = flow_map(few.x, few.t, few.t, {})
    exact = along(flow_map, few.x, few.t, few.s, {}, v)[1]

    def error(h: float) -> float:
        ends = [flow_map(few.x + sign * h * v, few.t + sign * h, few.s, {}) for sign in (1, -1)]
        return float(((ends[0] - ends[1]) / (2 * h) - exact).norm())

    yield Certificate("flow-map order", "central differences", math.log2(error(0.01) / error(0.005)), 2.0, 0.05)


def _jump(flow_map: FlowMap, t: Tensor, s: Tensor, x: Tensor) -> Tensor:
    return arrive(flow_map, x, t, s, {})


def density_certificates() -> Iterator[Certificate]:
    """log p_s(X) = log N(x; 0, 1) - log |det dX/dx| for x at pure noise, against the density of the data at s."""
    x = normal(0, Stream.START, torch.arange(FEW), 0, (2,)).double()
    t, s = torch.full((FEW,), math.pi / 2, dtype=torch.float64), torch.full((FEW,), 0.3, dtype=torch.float64)
    start = -0.5 * x.square().sum(dim=1) - math.log(2 * math.pi)
    for name, data in DATA.items():
        jump = partial(_jump, MAPS[name], t, s)
        columns = [forward(jump, (x,), (axis.expand_as(x),))[1] for axis in torch.eye(2, dtype=torch.float64)]
        volume = torch.log(torch.linalg.det(torch.stack(columns, dim=-1)).abs())
        gap = start - volume - data.log_prob(jump(x), Level(torch.cos(s), torch.sin(s)))
        yield Certificate("flow-map density", f"one call, {name}", float(gap.abs().max()), 0.0, 1e-8)


def flow_map_certificates() -> Iterator[Certificate]:
    """All certificates of flow maps."""
    yield from identity_certificates()
    yield from gradient_certificates()
    yield from order_certificates()
    yield from density_certificates()
