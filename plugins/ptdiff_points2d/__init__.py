"""Points in the plane: toy distributions and tables of two columns, the smallest complete modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Data, Modality, TensorSamples, Visualizer, Writer, option

if TYPE_CHECKING:
    from torch import nn

    from ptdiff_points2d.source import Points

__all__ = ["Points2D"]


@dataclass(frozen=True)
class Points2D(Modality):
    """Points in the plane: toy distributions by formula, or two columns of a CSV or TSV file."""

    data: str = option(
        "moons",
        "8-gaussians, checkerboard, circles, grid, moons, pinwheel, rings, spirals, swissroll, "
        "two-gaussians, or a CSV or TSV file",
    )
    count: int = option(20_000, "points of a toy distribution to train on")
    seed: int = option(0, "which points of a toy distribution")
    columns: str = option("", "two columns of a table, as x,y; else the first two that hold numbers")
    label: str = option("", "the column of a table that holds the class")
    where: str = option("", "rows of a table to take, as column=value; else all")
    width: int = option(96, "channels of the network")
    blocks: int = option(3, "residual blocks of the network")

    def __post_init__(self) -> None:
        for name in ("count", "width", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")

    def dataset(self) -> Data:
        """All points in memory, float32 (2,), labelled where the distribution or the table has classes."""
        import torch

        points = self._points()

        def samples(x: Any, label: Any) -> TensorSamples:
            return TensorSamples(torch.from_numpy(x), torch.from_numpy(label) if points.classes else None)

        return Data(
            shape=(2,),
            classes=points.classes,
            train=samples(points.train, points.train_label),
            val=samples(points.val, points.val_label),
            summary=points.summary,
        ).measured(keep=(-1,), limit=1 << 20)

    def _points(self) -> Points:
        from ptdiff_points2d import source

        if source.is_file(self.data):
            columns = [name.strip() for name in self.columns.split(",") if name.strip()]
            return source.from_file(Path(self.data), columns, self.label, self.where)
        if self.columns or self.label or self.where:
            raise ValueError(f"columns, label and where belong to tables, {self.data} is a distribution")
        return source.from_toy(self.data, self.count, self.seed)

    def backbone(self, data: Data) -> nn.Module:
        """A residual perceptron; at the default width a step of 512 points takes about 3 ms on one core."""
        from ptdiff_points2d.backbone import ResidualMLP

        return ResidualMLP(data.shape[0], self.width, self.blocks, len(data.classes))

    def visualizer(self) -> Visualizer:
        """A scatter plot; its frame is that of the data, or of the samples where a table is not at hand."""
        from ptdiff_datasets.toys import TOYS
        from ptdiff_points2d import source
        from ptdiff_points2d.picture import Scatter

        if self.data in TOYS:
            return Scatter((*TOYS[self.data].center, TOYS[self.data].reach), TOYS[self.data].classes)
        if Path(self.data).is_file():
            points = self._points()
            return Scatter(source.around(points.train), points.classes)
        return Scatter(None, ())

    def recipe(self) -> Mapping[str, Any]:
        """A minute on one core."""
        return {
            "density": "uniform",
            "training": {
                "steps": 20_000,
                "batch": 512,
                "lr": 2e-3,
                "ema": 0.999,
                "weight_decay": 0.0,
                "inner_steps": 50,
            },
            "sampling": {"steps": 40},
        }

    def formats(self) -> Mapping[str, Writer]:
        """csv: a line of names and a line for the point."""
        from ptdiff_points2d.picture import write_csv

        return {"csv": write_csv}
