"""Points in the plane: the smallest modality, and the quickest way to see a model learn.

Points in space and the rows of wider tables are the same thing with more columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Comparison, Data, Measurement, Modality, TableWriter, TensorSamples, Visualizer, option

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.modality import Image, TrainedModel
    from ptdiff_points2d.source import Points

__all__ = ["Points2D"]


@dataclass(frozen=True)
class Points2D(Modality):
    """Points in the plane or in space, toy distributions or from a picture, and rows of a table of any width."""

    of_data = ("data", "count", "seed", "noise", "columns", "label", "where", "one_scale")

    data: str = option(
        "moons",
        "8-gaussians, checkerboard, circles, coins, gaussian-rings, grid, moons, pinwheel, rings, spirals, swissroll, "
        "swissroll-3d, tree, two-gaussians; a CSV or TSV file; or a picture, whose dark is drawn from",
    )
    count: int = option(50_000, "points to train on of a toy distribution or a picture")
    seed: int = option(0, "which points of a toy distribution or a picture")
    noise: float | None = option(None, "deviation of the noise about the points or curves of a toy; else its own")
    columns: str = option("", "columns of a table, as x,y; 'all' that hold numbers; else the first two of those")
    label: str = option("", "the column of a table that holds the class")
    where: str = option("", "rows of a table to take, as column=value, or the value alone; else all")
    one_scale: bool | None = option(
        None, "one scale for all columns, or each its own; default: one, but for tables wider than 3"
    )
    width: int = option(96, "channels of the network")
    blocks: int = option(3, "residual blocks of the network")

    def __post_init__(self) -> None:
        for name in ("count", "width", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")

    def dataset(self) -> Data:
        """All points in memory, float32 (d,), labelled where the distribution or the table has classes."""
        import torch

        from ptdiff_datasets.points.toys import TOYS
        from ptdiff_points2d import source

        points = self._points()

        def samples(x: Any, label: Any) -> TensorSamples:
            return TensorSamples(torch.from_numpy(x), torch.from_numpy(label) if points.classes else None)

        data = Data(
            shape=(points.train.shape[1],),
            classes=points.classes,
            train=samples(points.train, points.train_label),
            val=samples(points.val, points.val_label),
            summary=points.summary | source.two_valued(points),
        )
        one = self.one_scale
        if one is None:
            one = data.shape[0] <= 3 or self.data in TOYS
        return data.measured(keep=(-1,), limit=1 << 20) if one else _each_measured(data, points)

    def _points(self) -> Points:
        from ptdiff_points2d import source

        path = source.found(self.data)
        if path is not None and self.noise is not None:
            raise ValueError(f"noise belongs to toy distributions, which {self.data} is not")
        if path is not None and not source.is_picture(path):
            return source.from_table(path, self.columns, self.label, self.where)
        if self.columns or self.label or self.where:
            raise ValueError(f"columns, label and where belong to tables, which {self.data} is not")
        if path is None:
            return source.from_toy(self.data, source.toy_of(self.data, self.noise), self.count, self.seed)
        return source.from_picture(path, self.count, self.seed)

    def backbone(self, data: Data) -> nn.Module:
        """A residual perceptron; at the default width a step of 1,024 points takes about 7 ms on one core."""
        from ptdiff_points2d.backbone import ResidualMLP

        return ResidualMLP(data.shape[0], self.width, self.blocks, len(data.classes))

    def visualizer(self) -> Visualizer:
        """What suits the width: a scatter plot in the plane or in space, pairs of columns, a map of the rows.

        Its frame is that of the data, or of the samples where a file is not at hand.
        """
        from ptdiff_datasets.points.toys import TOYS
        from ptdiff_points2d import source
        from ptdiff_points2d.picture import Pictures

        if self.data in TOYS:
            toy = TOYS[self.data]
            return Pictures((*toy.center, toy.reach), toy.classes, total=toy.total)
        if Path(self.data).expanduser().exists():
            points = self._points()
            return Pictures(source.around(points.train), points.classes, points.columns)
        return Pictures(None, ())

    def recipe(self) -> Mapping[str, Any]:
        """A quarter of a minute on two cores."""
        return {
            "density": "logit-normal",
            "training": {
                "steps": 1900,
                "batch": 1024,
                "lr": 4e-3,
                "ema": 0.995,
                "weight_decay": 0.0,
                "inner_steps": 50,
            },
            "sampling": {"steps": 40},
        }

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Distances between sets; where it is known, the exact density of the samples, or the sum they must have."""
        from ptdiff_datasets.points.toys import TOYS
        from ptdiff_points2d import source
        from ptdiff_points2d.scores import constraint, density, facts, two_valued

        samples, training = comparison.samples, comparison.training
        scores = super().compare(comparison, protocol).scores
        toy = source.toy_of(self.data, self.noise) if self.data in TOYS else None
        if toy is not None and toy.density is not None:
            scores["nll"] = density(toy.density, samples, training, comparison.seed)
        if toy is not None and toy.total is not None:
            scores |= constraint(toy.total, samples, training, comparison.seed)
        return Measurement(scores, facts(self.data) | two_valued(samples, comparison.reference, training))

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """In columns whose data holds two values alone, the nearer of the two."""
        import torch

        found = data.summary.get("two_valued", ())
        if not found:
            return samples
        rounded = samples.clone()
        for column, low, high in found:
            nearer = samples[..., column] > (low + high) / 2
            rounded[..., column] = torch.where(nearer, samples.new_tensor(high), samples.new_tensor(low))
        return rounded

    def gallery(self) -> Mapping[str, Callable[[TrainedModel], Image | list[Image]]]:
        """Pictures of the plane: fields, histograms, densities and guidance."""
        from ptdiff_points2d import gallery

        return {
            "score-field": gallery.score_field,
            "flow-lines": gallery.flow_lines,
            "histograms": gallery.histograms,
            "nll-map": gallery.nll_map,
            "guided": gallery.guided,
        }

    def tables(self) -> Mapping[str, TableWriter]:
        """csv, tsv: a line of names and a line for each point, with its class where there are classes."""
        from functools import partial

        from ptdiff_points2d.picture import write_table

        there = Path(self.data).expanduser().exists()
        write = partial(write_table, columns=self._points().columns if there else (), label=self.label or "class")
        return {"csv": partial(write, separator=","), "tsv": partial(write, separator="\t")}


def _each_measured(data: Data, points: Points) -> Data:
    """Data with mean and scale of every column by itself; ValueError for a column that is constant."""
    import torch

    x = torch.from_numpy(points.train).double()
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0)
    if not bool((scale > 0).all()):
        name = points.columns[int((scale > 0).int().argmin())]
        raise ValueError(f"column {name!r} is constant: leave it out, as there is nothing to learn")
    standard = TensorSamples(((x - mean) / scale).float())
    spread = replace(data, train=standard).measured(limit=1 << 20).spread
    return replace(data, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()), spread=spread)
