"""Points in the plane: the smallest modality, and the quickest way to watch a model learn.

source.py     where points come from
backbone.py   a residual perceptron
checking.py   ptdiff data check of a table
scores.py     scores by the exact density, and by a known sum
picture.py    Pictures: the visualizer, and tables of points
plane.py      pictures of the plane
space.py      pictures of points in space
wide.py       pictures of rows
paint.py      colors, dots and axes of all these pictures
gallery.py    fields, histograms and densities in the plane

Points in space and rows of wider tables are the same with more columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ptdiff.modality import (
    Comparison,
    Data,
    Measurement,
    Modality,
    Progress,
    TableWriter,
    TensorSplit,
    Visualizer,
    option,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.modality import Image, TrainedModel
    from ptdiff_points2d.source import Points

__all__ = ["Points2D"]


@dataclass(frozen=True)
class Points2D(Modality):
    """Points in the plane or in space, from toy distributions or an image, and rows of a table of any width."""

    of_data = (
        "data",
        "count",
        "seed",
        "noise",
        "columns",
        "label",
        "where",
        "header",
        "decimal",
        "offset",
        "one_scale",
    )

    data: str = option(
        "moons",
        "8-gaussians, checkerboard, circles, coins, gaussian-rings, grid, moons, pinwheel, rings, spirals, swissroll, "
        "swissroll-3d, tree, two-gaussians; a CSV or TSV file; or an image, sampled by its darkness",
    )
    count: int = option(50_000, "training points of a toy distribution or an image", least=1, most=10**8)
    seed: int = option(0, "random seed of a toy distribution or an image", least=0)
    noise: float | None = option(None, "standard deviation of a toy's noise; default: its own", least=0)
    columns: str = option("", "table columns, e.g. x,y; 'all' for every numeric one; default: the first two of those")
    label: str = option("", "column of a table that holds the class")
    where: str = option("", "rows of a table to use, as column=value or the value alone; default: all")
    header: bool | None = option(
        None, "true if the first line of a table holds names, false if numbers; default: detected"
    )
    decimal: Literal[".", ","] | None = option(
        None, "decimal mark of a table, . or ,; default: detected from its numbers"
    )
    offset: Literal["auto", "none"] = option(
        "auto", "auto: subtract the offset of table columns before they become float32; none: as before version 0.3"
    )
    one_scale: bool | None = option(
        None, "one scale for all columns, or one for each; default one, except for tables wider than 3"
    )
    width: int = option(96, "channels of the network", least=1, most=1 << 14)
    blocks: int = option(3, "residual blocks of the network", least=1, most=1000)

    def __post_init__(self) -> None:
        for name in ("count", "width", "blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")

    def dataset(self) -> Data:
        """Return all points in memory, float32 (d,), labelled if the distribution or the table has classes."""
        import torch

        from ptdiff_datasets.points.toys import TOYS
        from ptdiff_points2d import source

        points = self._points()

        def samples(x: Any, label: Any) -> TensorSplit:
            return TensorSplit(torch.from_numpy(x), torch.from_numpy(label) if points.classes else None)

        data = Data(
            shape=(points.train.shape[1],),
            classes=points.classes,
            train=samples(points.train, points.train_label),
            val=samples(points.val, points.val_label),
            summary=points.summary | source.two_valued(points),
            origin=points.origin,
        )
        one = self.one_scale
        if one is None:
            one = data.shape[0] <= 3 or self.data in TOYS
        return data.measured(keep=(-1,), limit=1 << 20) if one else _each_measured(data, points)

    def as_of(self, data: Data) -> Points2D:
        """Return the modality without offsets for a run that has none, as all of earlier versions."""
        return self if data.origin or self.offset == "none" else replace(self, offset="none")

    def _points(self) -> Points:
        from ptdiff_points2d import source

        path = source.found(self.data)
        if path is not None and self.noise is not None:
            raise ValueError(f"noise applies to toy distributions only, not to {self.data}")
        if path is not None and not source.is_picture(path):
            return source.from_table(
                path, self.columns, self.label, self.where, self.header, self.decimal, self.offset == "auto"
            )
        if self.columns or self.label or self.where or self.header is not None or self.decimal is not None:
            raise ValueError(f"columns, label, where, header and decimal apply to tables only, not to {self.data}")
        if path is None:
            return source.from_toy(self.data, source.toy_of(self.data, self.noise), self.count, self.seed)
        return source.from_picture(path, self.count, self.seed)

    def backbone(self, data: Data) -> nn.Module:
        """Build a residual MLP; at the default width a step of 1,024 points takes about 7 ms on one core."""
        from ptdiff_points2d.backbone import ResidualMLP

        return ResidualMLP(data.shape[0], self.width, self.blocks, len(data.classes))

    def visualizer(self) -> Visualizer:
        """Return a visualizer for the width: a scatter plot in 2-D or 3-D, pairs of columns, or a map of the rows.

        Its frame is that of the data, or of the samples if the file is missing or is not opened.
        """
        from ptdiff_datasets.directory_scan import expanded
        from ptdiff_datasets.points.toys import TOYS
        from ptdiff_points2d import source
        from ptdiff_points2d.picture import Pictures

        if self.data in TOYS:
            toy = TOYS[self.data]
            return Pictures((*toy.center, toy.reach), toy.classes, total=toy.total)
        if expanded(self.data).exists():
            points = self._points()
            return Pictures(source.around(points.train), points.classes, points.columns)
        return Pictures(None, ())

    def recipe(self) -> Mapping[str, Any]:
        """Return settings for a quarter of a minute on two cores."""
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
        """Score distances between the sets and, if known, exact density of the samples or errors of their sums."""
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
        """Round columns whose data holds only two values to the nearer of the two."""
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
        """Return plots of the plane: fields, histograms, densities and guidance."""
        from ptdiff_points2d import gallery

        return {
            "score-field": gallery.score_field,
            "flow-lines": gallery.flow_lines,
            "histograms": gallery.histograms,
            "nll-map": gallery.nll_map,
            "guided": gallery.guided,
        }

    def check_data(self, source: Path, *, progress: Progress | None = None) -> Mapping[str, Any]:
        """Check a table; see :func:`ptdiff_points2d.checking.check`. Images and distributions are read as they are."""
        from ptdiff.modality import Unsupported
        from ptdiff_datasets.directory_scan import existing
        from ptdiff_points2d import source as sources
        from ptdiff_points2d.checking import check

        path = sources.found(str(existing(source)))
        if path is None or sources.is_picture(path):
            raise Unsupported(f"{source} is not a table: give it to --data directly")
        return check(path, self.label, self.header, self.decimal)

    def tables(self) -> Mapping[str, TableWriter]:
        """Return table writers: csv and tsv, with a header and a line per point, with its class, if any."""
        from functools import partial

        from ptdiff_datasets.directory_scan import expanded
        from ptdiff_points2d.picture import write_table

        there = expanded(self.data).exists()
        write = partial(write_table, columns=self._points().columns if there else (), label=self.label or "class")
        return {"csv": partial(write, separator=","), "tsv": partial(write, separator="\t")}


def _each_measured(data: Data, points: Points) -> Data:
    """Return the data with mean and scale of every column; ValueError for a column that is constant."""
    import torch

    x = torch.from_numpy(points.train).double()
    mean, scale = x.mean(dim=0), x.std(dim=0, correction=0)
    if not bool((scale > 0).all()):
        name = points.columns[int((scale > 0).int().argmin())]
        raise ValueError(f"column {name!r} is constant: leave it out, because there is nothing to learn")
    standard = TensorSplit(((x - mean) / scale).float())
    spread = replace(data, train=standard).measured(limit=1 << 20).spread
    return replace(data, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()), spread=spread)
