"""Self-conditioning: a network that is shown its own last estimate of x_0 (Chen et al. 2022, "Analog Bits").

    cond["estimate"]    (b, *shape), model units: E[x_0 | x] as it was last estimated, at this level or a noisier one;
                        absent, or zeros: there is none yet

A backbone with the attribute ``self_conditioning = True`` reads it.  In training it gets the estimate in every other
step, from a pass without gradient at the same x (algorithm 1 there); drawing samples, from the call before.  It is no
function of (x, level) any more, so where one is needed, in likelihoods, inversion, edits and solvers that control
their error, there is no estimate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser, NetworkDenoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def wanted(denoiser: Denoiser) -> bool:
    """Whether the network behind ``denoiser``, whatever is wrapped around it, reads estimates."""
    inner: object = denoiser
    while not isinstance(inner, NetworkDenoiser):
        if not hasattr(inner, "denoiser"):
            return False
        inner = inner.denoiser
    return inner.self_conditioning


def recalling(denoiser: Denoiser) -> Denoiser:
    """``denoiser`` for one trajectory, handed its last estimate in every call; the same where nothing reads it.

    The estimate is the whole denoiser's: guided, where it is guided, and then both halves are shown the same.
    """
    return _Recalling(denoiser) if wanted(denoiser) else denoiser


class _Recalling:
    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self.last: Tensor | None = None

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        shown = cond if self.last is None else {**cond, "estimate": self.last}
        self.last = self.denoiser(x, level, shown)
        return self.last

    def calls_at(self, level: tuple[float, float]) -> int:
        return calls(self.denoiser, level)


def first_estimate(denoiser: NetworkDenoiser, x: Tensor, level: Level, cond: Condition) -> Tensor:
    """E[x_0 | x] of a network that is shown none, (b, …), without gradient."""
    kind = x.device.type
    # torch before 2.11 would keep half-precision weights without a gradient for the pass that follows
    kept = torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False)
    with torch.no_grad(), kept:
        estimate: Tensor = denoiser(x, level, cond)
    return estimate
