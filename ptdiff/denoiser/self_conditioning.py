"""Self-conditioning: a network that reads its own last estimate of x_0 (Chen et al. 2022, "Analog Bits").

    cond["estimate"]    (b, *shape), model units: the last estimate of E[x_0 | x], at this level or a noisier one;
                        absent or zero if there is none yet

A backbone with the attribute ``self_conditioning = True`` reads it.  In training it gets an estimate in every other
step, from a pass without gradient at the same x (algorithm 1 of the paper); in sampling, from the previous call.  Such
a network is no longer a function of (x, level) alone.  Likelihoods, inversion, edits and adaptive solvers need such a
function, so they pass no estimate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser, NetworkDenoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def wanted(denoiser: Denoiser) -> bool:
    """Return True if the network inside ``denoiser`` and its wrappers reads estimates."""
    inner: object = denoiser
    while not isinstance(inner, NetworkDenoiser):
        if not hasattr(inner, "denoiser"):
            return False
        inner = inner.denoiser
    return inner.self_conditioning


def recalling(denoiser: Denoiser) -> Denoiser:
    """``denoiser`` for one trajectory, with its last estimate as an input of every call; unchanged if nothing reads it.

    The estimate is that of the outermost denoiser: with guidance it is the guided one, and the conditional and the
    unconditional call both read it.
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
    """E[x_0 | x], (b, …), of a network that is given no estimate, without gradient."""
    kind = x.device.type
    # before 2.11, torch would cache half-precision weights without a gradient for the pass that follows
    kept = torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), cache_enabled=False)
    with torch.no_grad(), kept:
        estimate: Tensor = denoiser(x, level, cond)
    return estimate
