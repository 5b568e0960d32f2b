"""Log density of data by the probability flow (Song et al. 2021, appendix D.2; Chen et al. 2018, theorem 1).

In the angle chart, y = x / r and u = atan2(sigma, alpha), the flow and the density along it are

    dy/du = f(u, y) = cot(u) y - D / sin(u),        log p_0(y(0)) = log p_v(y(v)) + int_0^v div f du

D = E[x_0 | x], and p_u is the density of y.  f = -tan(u) (y + grad log p_u): zero at the clean end, and E[x_0] at pure
noise, u = pi/2, where p_u = N(0, I) exactly.  Nothing diverges at either end.  The classical Runge-Kutta method runs
over nodes u = low + (high - low) w^1.5, w uniform, which are denser where details of the data appear.

low: y starts as the datum itself at rho = tan(low) = ``sigma_min``, or at the start of the process if that is noisier.
The result is therefore the density of data with noise of that width.  Below low, f and div f are odd in u and linear to
leading order, which gives an extrapolation to data without noise if its density is smooth:

    log p_0(x) = log p_low(x) + low / 2 (div f + <f, grad log p>)(low, x) + O(low^4)       ``start_gap``, then the rest
high: the end of ``process``.  If that is not pure noise, the prior N(0, I) is an approximation; see ``prior_gap``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from ptdiff.denoiser import cost
from ptdiff.denoiser.latent_code import refuse
from ptdiff.denoiser.network import Denoiser, NetworkDenoiser, check_prediction
from ptdiff.likelihood.chain import prior_term
from ptdiff.likelihood.divergence import Divergence, Hutchinson, mean_and_error, value_and_divergence
from ptdiff.machine.host import double, exact
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import refuse_padding
from ptdiff.process import Flow, Level, Process

_POWER = 1.5


@dataclass(frozen=True)
class FlowPath:
    """The path along the flow: its process, number of steps and lowest noise level.

    ``steps``: an even number, with four network calls each.
    ``sigma_min``: lowest noise-to-signal ratio, in [0, 1); at 0, where f = 0, the denoiser is not called.
    """

    process: Process = field(default_factory=Flow)
    steps: int = 48
    sigma_min: float = 1e-3

    def __post_init__(self) -> None:
        if self.steps < 2 or self.steps % 2:
            raise ValueError(f"steps must be even and at least 2, not {self.steps}")
        if not 0 <= self.sigma_min < 1:
            raise ValueError(f"sigma_min must lie in [0, 1), not {self.sigma_min}")

    @property
    def calls(self) -> int:
        """Number of denoiser calls, including those for the error estimate (slightly fewer if sigma_min is 0)."""
        return 4 * (self.steps + self.steps // 2)

    @property
    def last(self) -> Level:
        """The noisiest level, float64."""
        return self.process.level(torch.ones((), dtype=torch.float64))

    @property
    def lowest(self) -> float:
        """The noise-to-signal ratio at the start of the path: ``sigma_min``, or that of the process if higher."""
        start = self.process.level(torch.zeros((), dtype=torch.float64))
        return max(self.sigma_min, float(start.sigma / start.alpha))

    def nodes(self, steps: int) -> list[float]:
        """steps + 1 angles in radians, clean end first."""
        low, high = math.atan(self.lowest), float(self.last.angle)
        return [low + (high - low) * (i / steps) ** _POWER for i in range(steps)] + [high]


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) in nats, in model units; every tensor float64 (b,).

    ``standard_error``: over the probes of the divergence; 0 if it is exact.
    ``step_error``: estimated error of the discretization, from half the number of steps.
    ``start_gap``: the effect of noise of width ``sigma_min``: nats + start_gap is the log density of data without it,
    to fourth order, if that density is smooth at this width.  Data on a surface has no such density.
    ``prior_gap``: KL(q(x_T | x_0) || N(0, r^2)) at the end of the process; the mean of ``nats`` is too low by at most
    its mean.
    ``sigma_min``: the noise-to-signal ratio at the start of the path, :attr:`FlowPath.lowest`.
    ``calls``: network evaluations per sample, including products with the Jacobian.
    """

    nats: Tensor
    standard_error: Tensor
    step_error: Tensor
    start_gap: Tensor
    prior_gap: Tensor
    sigma_min: float
    calls: int


def log_likelihood(
    denoiser: Denoiser,
    x: Tensor,
    cond: Condition | None = None,
    *,
    path: FlowPath | None = None,
    divergence: Divergence | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
) -> LogLikelihood:
    """Compute log p(x | cond) for data x (b, …) in model units, of any shape and float type.

    ``path``: default :class:`FlowPath`.
    ``divergence``: default :class:`ptdiff.likelihood.divergence.Hutchinson`; its probes are fixed along the path and
    addressed by (seed, ids), so the value of a sample does not depend on its batch.  ``ids``: (b,), default 0 … b - 1.

    Raises ValueError if the denoiser cannot be differentiated, or cannot predict at the end of the path.

    >>> from ptdiff.likelihood.divergence import Exact
    >>> from ptdiff.denoiser.oracle import Gaussian
    >>> x = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    >>> found = log_likelihood(Gaussian(torch.zeros(2), torch.ones(2)), x, divergence=Exact())
    >>> round(float(found.nats), 4)  # -log(2 pi) - 1 / 2
    -2.3379
    """
    path = FlowPath() if path is None else path
    kind: Divergence = Hutchinson() if divergence is None else divergence
    cond = {} if cond is None else cond
    ids = torch.arange(len(x), device=x.device) if ids is None else ids
    refuse(denoiser)
    refuse_padding(cond)
    if isinstance(denoiser, NetworkDenoiser):
        check_prediction(denoiser.prediction, path.last)
    flow = _Flow(denoiser, cond, kind, kind.directions(x, seed, ids))
    fine, start_gap, fine_calls = _integrate(flow, x, path.nodes(path.steps))
    coarse, _, coarse_calls = _integrate(flow, x, path.nodes(path.steps // 2))
    nats, error = mean_and_error(fine)
    return LogLikelihood(
        nats=nats,
        standard_error=error,
        # the error of a fourth-order method falls by a factor of 16
        step_error=(nats - coarse.mean(dim=1)).abs() / 15,
        start_gap=start_gap,
        prior_gap=prior_term(x, path.last),
        sigma_min=path.lowest,
        calls=fine_calls + coarse_calls,
    )


@dataclass(frozen=True)
class _Flow:
    """f(u, y) and draws of its divergence."""

    denoiser: Denoiser
    cond: Condition
    kind: Divergence
    directions: Tensor

    def __call__(self, u: float, y: Tensor) -> tuple[Tensor, Tensor]:
        if u == 0:
            # the limit, which is exact because f is odd in u, so the method keeps its order
            return torch.zeros_like(y), y.new_zeros(len(y), 1, dtype=torch.float64, device=exact(y.device))
        cos, sin = self._level(u)
        level = Level(y.new_tensor(cos), y.new_tensor(sin))

        def velocity(y: Tensor) -> Tensor:
            x0 = self.denoiser(y, level, self.cond)
            if not x0.requires_grad:
                raise ValueError("the denoiser cannot be differentiated: it is constant, or runs without gradients")
            return (y * cos - x0) / sin

        return value_and_divergence(velocity, y, self.kind, self.directions)

    def calls(self, u: float, size: int) -> int:
        """Network evaluations of one call; a product with the Jacobian costs as much as an evaluation."""
        return cost.calls(self.denoiser, self._level(u)) * (1 + self.kind.products(size)) if u > 0 else 0

    @staticmethod
    def _level(u: float) -> tuple[float, float]:
        # the sine of the complement is exactly 0 at pure noise
        return math.sin(math.pi / 2 - u), math.sin(u)


def _integrate(flow: _Flow, x: Tensor, nodes: list[float]) -> tuple[Tensor, Tensor, int]:
    """Draws of log p (b, k) at the first node, the start gap (b,), and network evaluations per sample."""
    y, d, calls = x, x[0].numel(), 0
    total = torch.zeros(len(x), 1, dtype=torch.float64, device=exact(x.device))
    start_gap = total[:, 0]
    for u, end in pairwise(nodes):
        h = end - u
        middle = u + h / 2
        f1, g1 = flow(u, y)
        if u == nodes[0] > 0:
            start_gap = u / 2 * (g1.mean(dim=1) + _along_score(u, y, f1))
        f2, g2 = flow(middle, y + f1 * (h / 2))
        f3, g3 = flow(middle, y + f2 * (h / 2))
        f4, g4 = flow(end, y + f3 * h)
        y = y + (f1 + f2 * 2 + f3 * 2 + f4) * (h / 6)
        total = total + (g1 + g2 * 2 + g3 * 2 + g4) * (h / 6)
        calls += sum(flow.calls(at, d) for at in (u, middle, middle, end))
    prior = -0.5 * (double(y).square().reshape(len(y), -1).sum(dim=1) + d * math.log(2 * math.pi))
    return prior[:, None] + total, start_gap, calls


def _along_score(u: float, y: Tensor, f: Tensor) -> Tensor:
    """<f, grad log p_u(y)> (b,), from f = -tan(u) (y + grad log p_u)."""
    y, f = double(y), double(f)
    return (-f * (f / math.tan(u) + y)).reshape(len(y), -1).sum(dim=1)
