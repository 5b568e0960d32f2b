"""Losses that train a flow map F, one function each, named after their papers, with one signature.

    loss = objective(flow_map, x0, eps, t, s, cond)            residuals (b, …), whose squares are to be minimized

x_t = cos(t) x_0 + sin(t) eps; v_c = cos(t) eps - sin(t) x_0, the velocity of one pair; s < t; sg: no gradient.

    name          residual                                                              derivative
    diagonal      F(x_t, t, t) - v_c                                                    none
    lagrangian    d X_{t->s}(x_t) / ds - sg F(X, s, s)                                  in s, with gradient
    eulerian      F - sg(F + dX/dt along v),  v = F(x_t, t, t)                          in (x, t)
    meanflow      F - sg(F + dX/dt along v_c)                                           in (x, t)
    improved      cos(t-s) F + sin(t-s) (x_t + sg dF/dt along v) - cos(t-s) v_c         in (x, t)
    semigroup     F - sg(F of the two halves of the way)                                none
    alphaflow     (F - sg(F of a share alpha along the pair, and the map from there))   none
                  / sqrt(alpha)

All but ``diagonal`` are about the map off the diagonal, and a training needs ``diagonal`` beside them.  At the exact
map, the expected gradient of the mean square is zero for all of them, except for ``alphaflow``, whose bias falls with
alpha.  A weight that depends on the residual of a sample (``adaptive``) keeps this for residuals that are zero at the
exact map (lagrangian, eulerian, semigroup), and breaks it for those with noise (diagonal, meanflow, improved):
certified in :mod:`ptdiff.certify.flow_maps`.

Sources: lagrangian, eulerian, semigroup: Boffi et al. 2025, "How to build a consistency model: learning flow maps via
self-distillation"; the semigroup at the middle: Frans et al. 2025, "One step diffusion via shortcut models"; meanflow:
Geng et al. 2025, "Mean flows for one-step generative modeling"; improved: Geng et al. 2025, "Improved mean flows: on
the challenges of fastforward generative models"; alphaflow: Zhang et al. 2025, "AlphaFlow: understanding and improving
MeanFlow models".  There, the paths are straight lines; here they are arcs of a circle (:mod:`ptdiff.flow_map.walk`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.flow_map.identities import along, to_end
from ptdiff.flow_map.walk import FlowMap, arrive, wide
from ptdiff.modality.data import Condition

Residual = Callable[[FlowMap, Tensor, Tensor, Tensor, Tensor, Condition], Tensor]


def mixed(x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """x_t and v_c, both (b, …), for data, noise and angles (b,)."""
    cos, sin = torch.cos(wide(t, x0)), torch.sin(wide(t, x0))
    return cos * x0 + sin * eps, cos * eps - sin * x0


def diagonal(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """The error of the velocity: training of a denoiser with ``velocity`` prediction; ``s`` is ignored."""
    x, pair = mixed(x0, eps, t)
    return flow_map(x, t, t, cond) - pair


def lagrangian(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """The end of the way must move with the map's own velocity there; the gradient runs through d X / ds."""
    x, _ = mixed(x0, eps, t)
    end, slope = to_end(flow_map, x, t, s, cond)
    return slope - flow_map(end.detach(), s, s, cond).detach()


def _towards(flow_map: FlowMap, x: Tensor, v: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    # F - sg(F + dX/dt), with dX/dt of X_{t->s}(x) along dx/dt = v
    value, slope = along(flow_map, x, t, s, cond, v)
    gap = wide(t - s, x)
    moved = torch.cos(gap) * (v - value) - torch.sin(gap) * (x + slope)
    return value - (value + moved).detach()


def eulerian(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """The end must not depend on where along the flow the way begins; the flow is the map's own velocity."""
    x, _ = mixed(x0, eps, t)
    return _towards(flow_map, x, flow_map(x, t, t, cond).detach(), t, s, cond)


def meanflow(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """As ``eulerian``, along the velocity of the pair, whose mean is that of the flow."""
    x, pair = mixed(x0, eps, t)
    return _towards(flow_map, x, pair, t, s, cond)


def improved(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """The velocity that the map implies must predict that of the pair: a regression whose target has no derivative."""
    x, pair = mixed(x0, eps, t)
    value, slope = along(flow_map, x, t, s, cond, flow_map(x, t, t, cond).detach())
    gap = wide(t - s, x)
    return torch.cos(gap) * (value - pair) + torch.sin(gap) * (x + slope.detach())


def semigroup(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    """One way must end where its two halves end."""
    x, _ = mixed(x0, eps, t)
    middle = (t + s) / 2
    end = arrive(flow_map, arrive(flow_map, x, t, middle, cond), middle, s, cond).detach()
    return _from(flow_map, x, end, t, s, cond)


def alphaflow(
    flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition, alpha: float = 0.5
) -> Tensor:
    """One way must end where the map ends after a share ``alpha``, in (0, 1], of the way along the pair.

    With alpha = 1 the target is the pair's own x_s; as alpha goes to zero, the gradient becomes that of ``meanflow``,
    weighted by (t - s) / sin(t - s).
    """
    x, _ = mixed(x0, eps, t)
    middle = t - alpha * (t - s)
    there, _ = mixed(x0, eps, middle)
    return _from(flow_map, x, arrive(flow_map, there, middle, s, cond).detach(), t, s, cond) / math.sqrt(alpha)


def _from(flow_map: FlowMap, x: Tensor, end: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    # the distance of X from its target, as an error of F
    gap = wide(t - s, x)
    return flow_map(x, t, s, cond) - (torch.cos(gap) * x - end) / torch.sin(gap)


def adaptive(residual: Tensor, power: float, floor: float = 1e-3) -> Tensor:
    """Squares summed over each sample, over sg(sum + floor)^power, (b,): Geng et al. 2025, MeanFlow, section 4.3.

    ``power``: 0 for the plain squares, 1 for the paper's ImageNet models.
    """
    squares = residual.square().flatten(1).sum(dim=1)
    return squares / (squares.detach() + floor).pow(power)


RESIDUALS: Catalog[Residual] = Catalog(
    "flow-map objective",
    {
        "diagonal": diagonal,
        "lagrangian": lagrangian,
        "eulerian": eulerian,
        "meanflow": meanflow,
        "improved": improved,
        "semigroup": semigroup,
        "alphaflow": alphaflow,
    },
)
