"""Linear operators: the observed part of the data.

    y = A x_0 + noise z            A: data (b, …) to observations (b, …), z ~ N(0, I)

Everything is in model units, in which denoisers work; :meth:`Observation.of_world` converts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.denoiser.posterior import ordinary
from ptdiff.modality.data import Data


class Operator(Protocol):
    """A linear map of each sample, and its adjoint: <A x, y> = <x, A* y>."""

    def __call__(self, x: Tensor, /) -> Tensor: ...

    def adjoint(self, y: Tensor, /) -> Tensor:
        """A* y, shaped like the data (b, …)."""
        ...


@dataclass(frozen=True)
class Mask:
    """Keeps the known entries and sets the others to zero.

    ``known`` (bool or 0/1) broadcasts against one sample or a batch: part of an image, some points of a cloud (n, 1),
    some coordinates.
    """

    known: Tensor

    def __call__(self, x: Tensor, /) -> Tensor:
        return x * self.known.to(x)

    def adjoint(self, y: Tensor, /) -> Tensor:
        """``y`` at the known entries, zero elsewhere."""
        return y * self.known.to(y)


@dataclass(frozen=True)
class Along:
    """A matrix (m, n) applied along an axis of length n of x (b, …): channels to gray, mixtures of coordinates.

    ``Along(torch.full((1, 3), 1 / 3), axis=-3)`` turns images gray; sampling given y colors them.
    """

    matrix: Tensor
    axis: int = -1

    def __call__(self, x: Tensor, /) -> Tensor:
        return self._apply(x, self.matrix)

    def adjoint(self, y: Tensor, /) -> Tensor:
        """The transposed matrix applied along the axis."""
        return self._apply(y, self.matrix.mT)

    def _apply(self, x: Tensor, matrix: Tensor) -> Tensor:
        return (matrix.to(x) @ x.movedim(self.axis, -1)[..., None])[..., 0].movedim(-1, self.axis)


@dataclass(frozen=True)
class Average:
    """Means of ``factor`` x ``factor`` blocks of images (b, c, h, w); sampling given y increases the resolution.

    Raises ValueError if ``factor`` does not divide height and width.
    """

    factor: int

    def __call__(self, x: Tensor, /) -> Tensor:
        n, (height, width) = self.factor, x.shape[-2:]
        if height % n or width % n:
            raise ValueError(f"factor {n} must divide the size of the image, {height} x {width}")
        return x.reshape(*x.shape[:-2], height // n, n, width // n, n).mean(dim=(-1, -3))

    def adjoint(self, y: Tensor, /) -> Tensor:
        """Every element repeated over its block, divided by ``factor`` squared."""
        n = self.factor
        return y.repeat_interleave(n, dim=-1).repeat_interleave(n, dim=-2) / n**2


@dataclass(frozen=True)
class Scaled:
    """An operator applied after an elementwise ``scale``, which broadcasts against one sample or a batch."""

    operator: Operator
    scale: Tensor

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.operator(x * self.scale.to(x))

    def adjoint(self, y: Tensor, /) -> Tensor:
        """``scale`` times the adjoint of the operator."""
        return self.operator.adjoint(y) * self.scale.to(y)


@dataclass(frozen=True)
class Linear:
    """Any linear ``function`` of batches of data of ``shape``, with the adjoint by automatic differentiation."""

    function: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.function(x)

    def adjoint(self, y: Tensor, /) -> Tensor:
        """The vector-Jacobian product of ``function`` with ``y``."""
        with torch.inference_mode(False), torch.enable_grad():
            y = ordinary(y)
            at = torch.zeros(len(y), *self.shape, dtype=y.dtype, device=y.device, requires_grad=True)
            (found,) = torch.autograd.grad(self.function(at), at, y, create_graph=y.requires_grad)
        return found


@dataclass(frozen=True)
class Observation:
    """An observation y (b, …), or one for the whole batch (1, …), of data through ``operator``.

    ``noise``: standard deviation of the noise, finite and at least 0; 0 means that the data agrees with y exactly.
    """

    operator: Operator
    y: Tensor
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise must be finite and at least 0, not {self.noise}")

    @staticmethod
    def of_world(operator: Operator, y: Tensor, data: Data, noise: float = 0.0) -> Observation:
        """Convert ``y`` and ``noise`` from world units to model units, for any scale of the data."""
        # A (scale z + mean) = A scale z + A mean; the noise remains one number, in units of the rms scale
        mean = operator(data.world(torch.zeros(1, *data.shape, dtype=y.dtype, device=y.device)))
        scale = torch.tensor(data.scale, dtype=torch.float64)
        size = float(scale.square().mean().sqrt())
        inner = operator if isinstance(data.scale, (int, float)) else Scaled(operator, scale / size)
        return Observation(inner, (y - mean) / size, noise / size)
