"""The second level of a flow map: the angle it walks to, an input of the network beside the level of x.

    F(x, t, s)    the output of the network at angle t for ``cond["to"]`` = s, (b,), in [0, t]
    F(x, t, t)    without ``cond["to"]``: the velocity, so a flow map is a denoiser for every solver

A network reads it through its :class:`~ptdiff.denoiser.embedding.LevelEmbedding`, so every backbone that has one can be
a flow map, and the weights of a trained denoiser are a valid start.

A step of DDIM from t to s with the estimate D = cos(t) x - sin(t) F(x, t, s) ends at cos(t - s) x - sin(t - s) F, the
end of the map.  So :class:`Towards`, which passes the next level of a grid, turns DDIM into a walk with one call for
each step.  In the same way, multistep consistency sampling jumps to clean data with s = 0.  (:mod:`ptdiff.flow_map`)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def read_target(net: nn.Module) -> nn.Module:
    """Let a network read ``cond["to"]`` in every LevelEmbedding; its output stays the same until it is trained.

    Raises ValueError for a network without LevelEmbedding.
    """
    found = [part for part in net.modules() if isinstance(part, LevelEmbedding)]
    if not found:
        raise ValueError(
            f"objective flow-map needs a network with a LevelEmbedding (ptdiff.denoiser.embedding), and "
            f"{type(net).__name__} has none"
        )
    for part in found:
        part.read_target()
    return net


@dataclass(frozen=True)
class Towards:
    """A denoiser that walks from each of ``start`` to the angle of ``end`` beside it; both float64 (n,)."""

    denoiser: Denoiser
    start: Tensor
    end: Tensor

    @staticmethod
    def next_of(denoiser: Denoiser, levels: Level) -> Towards:
        """Walk through the grid ``levels`` (n + 1,), noisiest first."""
        angle = torch.atan2(levels.sigma, levels.alpha)
        return Towards(denoiser, angle[:-1], angle[1:])

    @staticmethod
    def clean(denoiser: Denoiser, levels: Level) -> Towards:
        """Walk to clean data from each of ``levels`` (n + 1,), noisiest first."""
        angle = torch.atan2(levels.sigma, levels.alpha)
        return Towards(denoiser, angle[:-1], torch.zeros_like(angle[1:]))

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        angle = level.angle.expand(len(x))
        nearest = (angle[:, None] - self.start.to(angle)).abs().argmin(dim=1)
        return self.denoiser(x, level, {**cond, "to": self.end.to(angle)[nearest]})

    def calls_at(self, level: tuple[float, float]) -> int:
        """Number of evaluations of the denoiser."""
        return calls(self.denoiser, level)
