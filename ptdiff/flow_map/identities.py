"""The identities of an exact flow map, as residuals: zero for all x, t and s only if F is the map of its diagonal.

With X = X_{t->s}(x) and the velocity v(x, t) = F(x, t, t), which is d X / ds at s = t for any F:

    lagrangian    d X / ds           =  v(X, s)
    eulerian      d X / dt + (v(x, t) . grad) X  =  0
    meanflow      cos(t - s) (v - F) - sin(t - s) (x + dF/dt + (v . grad) F)  =  0
    semigroup     X_{u->s}(X_{t->u}(x))  =  X_{t->s}(x)         s < u < t

``meanflow`` is the eulerian identity written out for F: at small angles it is the identity of Geng et al. 2025 ("Mean
flows for one-step generative modeling", eq. 6), F = v - (t - s) dF/dt along the flow.  (The others: Boffi et al. 2025,
"How to build a consistency model", propositions 2.2 to 2.4.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.flow_map.walk import FlowMap, arrive, wide
from ptdiff.modality.data import Condition

Residual = Callable[[FlowMap, Tensor, Tensor, Tensor, Condition], Tensor]


def forward(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], directions: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """The function at ``inputs`` and its derivative along ``directions``, in one pass."""
    found: Any = torch.func.jvp(function, inputs, directions)
    value, slope = found
    return value, slope


def along(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition, v: Tensor) -> tuple[Tensor, Tensor]:
    """F(x, t, s) and its derivative in the direction (v, 1, 0) of (x, t, s), both (b, …)."""
    return forward(lambda x, t, s: flow_map(x, t, s, cond), (x, t, s), (v, torch.ones_like(t), torch.zeros_like(s)))


def to_end(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
    """X_{t->s}(x) and its derivative with respect to s, both (b, …)."""
    return forward(lambda s: arrive(flow_map, x, t, s, cond), (s,), (torch.ones_like(s),))


def _lagrangian(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    end, slope = to_end(flow_map, x, t, s, cond)
    return slope - flow_map(end, s, s, cond)


def _eulerian(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    v = flow_map(x, t, t, cond)
    return forward(lambda x, t: arrive(flow_map, x, t, s, cond), (x, t), (v, torch.ones_like(t)))[1]


def _meanflow(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    v = flow_map(x, t, t, cond)
    value, slope = along(flow_map, x, t, s, cond, v)
    gap = wide(t - s, x)
    return torch.cos(gap) * (v - value) - torch.sin(gap) * (x + slope)


def _semigroup(flow_map: FlowMap, x: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    middle = (t + s) / 2
    there = arrive(flow_map, x, t, middle, cond)
    return arrive(flow_map, there, middle, s, cond) - arrive(flow_map, x, t, s, cond)


IDENTITIES: Catalog[Residual] = Catalog(
    "identity",
    {
        "lagrangian": _lagrangian,
        "eulerian": _eulerian,
        "meanflow": _meanflow,
        "semigroup": _semigroup,
    },
)
"""Residuals (b, …) by name, for a map, x (b, …), angles t and s (b,) with s < t, and a condition."""
