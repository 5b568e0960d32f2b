"""The rules of guidance: formulas that combine D_c and D_u into one estimate.

    cfg        D_u + w (D_c - D_u)
    apg        the same, with the part of the difference parallel to D_c removed
    cfg-zero   the same on velocities, with that of D_u scaled to fit that of D_c
    tcfg       the same, with the part of D_u's noise that it does not share with D_c's removed
    mambo      the same, weaker the more the two differ

Symbols as in guided.py.  Norms and products are per sample, over all its elements.  cfg gives the same result on x0,
eps and v at one level; the others do not, and each documents the quantity it works on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.posterior import dot, total
from ptdiff.guidance.guided import Guidance, select, within
from ptdiff.modality.data import Condition
from ptdiff.plugins.doors import Door
from ptdiff.process import Level


def _ratio(a: Tensor, b: Tensor, otherwise: float = 0.0) -> Tensor:
    # a / b, finite where b is zero
    return torch.where(b == 0, otherwise, a / torch.where(b == 0, 1, b))


def _deviation(x0: Tensor) -> Tensor:
    mean = total(x0) / x0[0].numel()
    return (total((x0 - mean).square()) / x0[0].numel()).sqrt()


def _drift(x: Tensor, level: Level, x0: Tensor) -> Tensor:
    # sigma times the rectified-flow velocity eps - x_0, finite at sigma = 0
    return x - (level.alpha + level.sigma) * x0


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance: D_u + w (D_c - D_u) (Ho and Salimans 2022, eq. 6, where w is w - 1).

    ``phi``: fraction of the result, in [0, 1], that is rescaled to the standard deviation of D_c (Lin et al. 2024, eq.
    15 and 16; here on estimates of x_0).
    ``scale``, ``low``, ``high``: see :class:`ptdiff.guidance.guided.Guidance`.
    """

    phi: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.phi <= 1:
            raise ValueError(f"phi must lie in [0, 1], not {self.phi}")

    def combine(self, x: Tensor, level: Level, given: Tensor, free: Tensor) -> Tensor:
        """D_u + w (D_c - D_u), rescaled by ``phi``."""
        guided = free + (given - free) * self.scale
        if self.phi == 0:
            return guided
        back = _ratio(_deviation(given), _deviation(guided), otherwise=1.0)
        return guided * (self.phi * back + (1 - self.phi))


@dataclass(frozen=True)
class APG(Guidance):
    """Adaptive projected guidance: removes the part of D_c - D_u parallel to D_c (Sadat et al. 2024, on x_0).

    ``eta``: fraction of the parallel part that is kept; 1 is classifier-free guidance.
    ``norm``: upper limit of the Euclidean norm of the difference over a whole sample; None is no limit.
    ``scale``, ``low``, ``high``: see :class:`ptdiff.guidance.guided.Guidance`.
    The paper's momentum is left out: it would make an estimate depend on earlier calls.
    """

    eta: float = 0.0
    norm: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm is not None and not self.norm > 0:
            raise ValueError(f"norm must be positive, not {self.norm}")

    def combine(self, x: Tensor, level: Level, given: Tensor, free: Tensor) -> Tensor:
        """D_c + (w - 1) times the projected, clipped difference."""
        change = given - free
        if self.norm is not None:
            size = dot(change, change).sqrt()
            change = change * _ratio(torch.full_like(size, self.norm), size).clamp(max=1)
        parallel = given * _ratio(dot(change, given), dot(given, given))
        return given + (change - parallel * (1 - self.eta)) * (self.scale - 1)


@dataclass(frozen=True)
class CFGZero(Guidance):
    """CFG-Zero*: guidance on velocities, with D_u's fitted to D_c's by least squares (Fan et al. 2025).

    ``zero``: noise-to-signal ratio rho from which upwards the velocity is zero (the first steps of the paper) and the
    network is not called; None for no such range.
    ``scale``, ``low``, ``high``: see :class:`ptdiff.guidance.guided.Guidance`.
    """

    zero: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.zero is not None and not self.zero > 0:
            raise ValueError(f"zero must be positive, not {self.zero}")

    def combine(self, x: Tensor, level: Level, given: Tensor, free: Tensor) -> Tensor:
        """The estimate of x_0 with the velocity s v_u + w (v_c - s v_u), s = <v_c, v_u> / <v_u, v_u>."""
        one, other = _drift(x, level, given), _drift(x, level, free)
        other = other * _ratio(dot(one, other), dot(other, other), otherwise=1.0)
        return (x - (other + (one - other) * self.scale)) / (level.alpha + level.sigma)

    def guide(self, denoiser: Denoiser, weak: Denoiser | None = None) -> Denoiser:
        """Guide ``denoiser``, with zero velocity for rho >= ``zero``."""
        guided = super().guide(denoiser, weak)
        return guided if self.zero is None else ZeroInit(guided, self.zero)


@dataclass(frozen=True)
class ZeroInit:
    """Zero velocity for rho >= ``above``: eps = x_0 = x / (alpha + sigma), without a denoiser call."""

    denoiser: Denoiser
    above: float

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        wide = level.like(x)
        still = x / (wide.alpha + wide.sigma)
        beyond = within(level, self.above, None)
        if isinstance(beyond, bool):
            return still if beyond else self.denoiser(x, level, cond)
        return select(beyond, still, self.denoiser(x, level, cond))

    def calls_at(self, level: tuple[float, float]) -> int:
        """0 where the velocity is zero, otherwise the calls of the denoiser."""
        return 0 if level[1] >= self.above * level[0] else calls(self.denoiser, level)


@dataclass(frozen=True)
class TCFG(Guidance):
    """Tangential damping: keeps only the part of D_u's noise along its common direction with D_c's (Kwon et al. 2025).

    The direction is the first singular vector of both.  With a = x - alpha D_u = sigma eps_u and d = D_c - D_u, it is v
    = a - k alpha d, and the projection adds to D_u k times the part of d orthogonal to v, which is finite at alpha = 0.
    ``scale``, ``low``, ``high``: see :class:`ptdiff.guidance.guided.Guidance`.
    """

    def combine(self, x: Tensor, level: Level, given: Tensor, free: Tensor) -> Tensor:
        """D_u + w (D_c - D_u) with the projected D_u."""
        one, other = x - level.alpha * given, x - level.alpha * free
        # the eigenvector (cos, sin) of the larger eigenvalue of the Gram matrix
        angle = 0.5 * torch.atan2(2 * dot(one, other), dot(one, one) - dot(other, other))
        k = _ratio(torch.cos(angle), torch.cos(angle) + torch.sin(angle), otherwise=0.5)
        change = given - free
        first = other - level.alpha * (k * change)
        free = free + k * (change - first * _ratio(dot(change, first), dot(first, first)))
        return free + (given - free) * self.scale


@dataclass(frozen=True)
class Mambo(Guidance):
    """Magnitude-aware guidance: weaker where the velocities of D_c and D_u differ more (Zhu et al. 2025).

    The scale is 1 + (w - 1) exp(-damping |v_c - v_u| / |v_u|), v the velocity.
    ``damping``: at least 0; 0 is classifier-free guidance.
    ``scale``, ``low``, ``high``: see :class:`ptdiff.guidance.guided.Guidance`.
    """

    damping: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.damping >= 0:
            raise ValueError(f"damping must be at least 0, not {self.damping}")

    def combine(self, x: Tensor, level: Level, given: Tensor, free: Tensor) -> Tensor:
        """D_c + (w - 1) exp(-damping |v_c - v_u| / |v_u|) (D_c - D_u)."""
        one, other = _drift(x, level, given), _drift(x, level, free)
        size = _ratio(dot(one - other, one - other), dot(other, other)).sqrt()
        return given + (given - free) * ((self.scale - 1) * torch.exp(-self.damping * size))


GUIDANCE: Catalog[type[Guidance]] = Catalog(
    "guidance",
    {"cfg": CFG, "apg": APG, "cfg-zero": CFGZero, "tcfg": TCFG, "mambo": Mambo},
    Door("guidance", "guidance", Guidance),
)
