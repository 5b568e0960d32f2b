"""Plain tensors and a network of your own as a modality, for ``ptdiff.train(x, network=...)``.

Such a run stores weights, scale and configuration but not the network; load it by ``ptdiff.load(path, network=...)``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.modality.visualizer import Visualizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from ptdiff.modality.types import Array, Image

NAME = "tensors"
"""Name of the modality of such runs in config.yaml."""


def tensor_data(
    x: Any,
    labels: Any = None,
    *,
    classes: Sequence[str] = (),
    held_out: float = 0.1,
    keep: tuple[int, ...] = (),
    unordered: bool = False,
    seed: int = 0,
) -> Data:
    """Make data from samples in memory: shuffle, split, and measure mean and scale on the training split.

    ``x``: (n, *shape), a floating-point tensor or NumPy array of at least two samples, all finite.
    ``labels``: (n,), whole numbers from 0, or None.  ``classes``: their names; default: their numbers.
    ``held_out``: share of samples for validation and metrics, in [0, 1); 0 means none.
    ``keep``, ``unordered``: see :meth:`ptdiff.modality.Data.measured` and :class:`ptdiff.modality.Data`.
    ``seed``: of the shuffling.  Raises ValueError for any other input.
    """
    import torch

    values = torch.as_tensor(x)
    if values.ndim < 2 or len(values) < 2 or not values.is_floating_point():
        raise ValueError(f"x must be a floating-point array (n, ...) of at least two samples, not {_kind(values)}")
    values = values.detach().cpu().float()
    if not values.isfinite().all():
        bad = int((~values.isfinite()).flatten(1).any(dim=1).sum())
        raise ValueError(f"x must be finite: {bad} of {len(values)} samples contain NaN or infinity")
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out must be in [0, 1), not {held_out}")
    label = None if labels is None else torch.as_tensor(labels).detach().cpu()
    if label is not None:
        if label.shape != (len(values),) or label.is_floating_point() or label.dtype == torch.bool:
            raise ValueError(f"labels must be {len(values)} whole numbers, not {_kind(label)}")
        label = label.long()
        count = len(classes) or int(label.max()) + 1
        if int(label.min()) < 0 or int(label.max()) >= count:
            raise ValueError(f"labels must be in 0 ... {count - 1}, not {int(label.min())} ... {int(label.max())}")
        classes = tuple(classes) or tuple(map(str, range(count)))
    elif classes:
        raise ValueError("classes are names of labels: give labels too")
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    few = min(round(held_out * len(values)), len(values) - 2)
    train, val = (TensorSplit(values[r], None if label is None else label[r]) for r in (order[few:], order[:few]))
    data = Data(
        shape=tuple(values.shape[1:]),
        classes=tuple(classes),
        unordered=unordered,
        train=train,
        val=val if few else None,
        summary={"text": f"{len(values) - few:,} samples of shape {tuple(values.shape[1:])}, and {few:,} held out"},
    )
    return data.measured(keep=keep)


def _kind(values: Any) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} of shape {tuple(values.shape)}"


@dataclass(frozen=True)
class Tensors(Modality):
    """Data and a network given by the caller.

    ``data``: with its splits, or as stored in a run.  ``network``: ``forward(x, angle, cond) -> y``, see
    :meth:`ptdiff.modality.Modality.backbone`; it is copied, never changed.
    """

    data: Data = field(default_factory=lambda: Data(()))
    network: nn.Module | None = None

    def dataset(self) -> Data:
        """The given data."""
        return self.data

    def backbone(self, data: Data) -> nn.Module:
        """A copy of the given network with its weights; ValueError without one."""
        if self.network is None:
            raise ValueError("this run was trained with a custom network: pass it as network=")
        return copy.deepcopy(self.network)

    def visualizer(self) -> Visualizer:
        """Scatter plots for points in the plane, curves and heat maps for other data."""
        return Plots(many=2000 if self.data.shape == (2,) else 20)


@dataclass(frozen=True)
class Plots(Visualizer):
    """Plots of samples of any shape: (2,) as a scatter plot, (n,) as curves, (..., h, w) as heat maps of the mean."""

    many: int = 20  # type: ignore[misc]

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """One image of all ``samples`` (n, *shape); titles color points of the plane, and are written above others."""
        from ptdiff.pictures.plot import picture

        if samples.shape[1:] == (2,):
            return picture(5.0, 5.0)(_scatter)(samples, titles)
        columns = min(len(samples), math.ceil(math.sqrt(2 * len(samples))))
        rows = math.ceil(len(samples) / columns)
        return picture(1.2 * rows + 0.2, 1.2 * columns)(_panels)(samples, titles, rows, columns)


def _scatter(figure: Figure, samples: Array, titles: Sequence[str]) -> None:
    from ptdiff.pictures.plot import COLORS

    axes = figure.add_subplot()
    size = max(2.0, min(24.0, 6000 / len(samples)))
    for k, name in enumerate(dict.fromkeys(titles or [""])):
        own = samples[[title == name for title in titles]] if titles else samples
        axes.scatter(own[:, 0], own[:, 1], s=size, color=COLORS[k % len(COLORS)], linewidths=0, label=name)
    axes.set_aspect("equal")
    if any(titles):
        figure.legend(loc="outside lower center", ncols=5)


def _panels(figure: Figure, samples: Array, titles: Sequence[str], rows: int, columns: int) -> None:
    low, high = float(samples.min()), float(samples.max())
    for k, sample in enumerate(samples):
        axes = figure.add_subplot(rows, columns, k + 1)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        if titles:
            axes.set_title(titles[k], fontsize=7, parse_math=False)
        if sample.ndim == 1:
            axes.plot(sample, linewidth=1)
            axes.set_ylim(low, high)
        else:
            axes.imshow(sample.reshape(-1, *sample.shape[-2:]).mean(axis=0), vmin=low, vmax=high, aspect="auto")
