"""Point clouds: shapes as sets of points in space, procedural or from a folder of meshes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from ptdiff.modality import Data, Modality, Progress, Visualizer, Writer, option
from ptdiff.names import unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff.metrics import Score

__all__ = ["PointCloud"]


@dataclass(frozen=True)
class PointCloud(Modality):
    """Point clouds: ten classes of procedural shapes, or a folder of your own meshes or clouds."""

    data: str = option(
        "shapes",
        "shapes (procedural, no download), or a folder: <class>/*, flat, or <class>/{train,val,test}/*",
    )
    points: int = option(512, "points of a cloud in training; sampling takes any number")
    dense: int = option(
        4096, "points kept of each shape, from which every batch draws anew; at least four times points"
    )
    classes: tuple[str, ...] = option((), "classes to take, as [chair, table]; else all")
    shapes_per_class: int = option(400, "procedural shapes of each class to train on; a tenth of that is held out")
    normalize: Literal["auto", "box", "global", "none"] = option(
        "auto",
        "of a folder: box (each shape centered, its box of diagonal 1), global or none (as in the files); "
        "auto is global for arrays in train and val folders, else box",
    )
    network: Literal["set-transformer", "pointnet"] = option("set-transformer", "the denoiser")
    width: int = option(96, "channels of the network")
    layers: int = option(4, "blocks of the network")
    inducers: int = option(16, "inducing points of the set transformer")
    heads: int = option(4, "attention heads of the set transformer")
    neighbors: int = option(8, "nearest points a point of the pointnet looks at")

    def __post_init__(self) -> None:
        for name in (
            "points",
            "dense",
            "shapes_per_class",
            "width",
            "layers",
            "inducers",
            "heads",
            "neighbors",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.network == "set-transformer" and self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, not {self.width} with {self.heads}")
        if self.data == "shapes":
            self._refuse(["normalize"], "procedural shapes")
        else:
            self._refuse(["shapes_per_class"], "a folder")
        if self.network == "pointnet":
            self._refuse(["inducers", "heads"], "the pointnet")
        else:
            self._refuse(["neighbors"], "the set transformer")

    def _refuse(self, names: Sequence[str], subject: str) -> None:
        """To set what changes nothing is a mistake; the defaults pass, as a run's config.yaml holds them all."""
        for known in fields(self):
            if known.name in names and getattr(self, known.name) != known.default:
                raise ValueError(f"{known.name} has no effect on {subject}; leave it out")

    def dataset(self) -> Data:
        """Clouds (points, 3) float32; procedural shapes are +Y up, in a box of diagonal 1 around 0."""
        from pathlib import Path

        from ptdiff_pointcloud import sources

        if self.data == "shapes":
            return sources.shapes(self.points, self.dense, self.shapes_per_class, self.classes)
        if not Path(self.data).exists() and Path(self.data).name == self.data:
            raise unknown("kind of shapes, or folder", self.data, ["shapes"])
        return sources.folder(Path(self.data), self.points, self.dense, self.classes, self.normalize)

    def backbone(self, data: Data) -> nn.Module:
        """The denoiser; the set transformer has 1.7 M parameters at its defaults."""
        channels, classes = data.shape[-1], len(data.classes)
        if self.network == "pointnet":
            from ptdiff_pointcloud.pointnet import PointNet

            return PointNet(channels, classes, width=self.width, layers=self.layers, neighbors=self.neighbors)
        from ptdiff_pointcloud.set_transformer import SetTransformer

        return SetTransformer(
            channels, classes, width=self.width, layers=self.layers, inducers=self.inducers, heads=self.heads
        )

    def visualizer(self) -> Visualizer:
        """Shaded spheres on a white ground, drawn by Open3D's ray casting or by NumPy alone."""
        from ptdiff_pointcloud.visualizer import Spheres

        return Spheres()

    def metrics(
        self, samples: Tensor, reference: Tensor, training: Tensor, seed: int = 0, progress: Progress | None = None
    ) -> dict[str, Score]:
        """By the Chamfer distance: 1-NNA with its halves, coverage and minimum matching distance."""
        from ptdiff_pointcloud.metrics import compare_clouds

        return compare_clouds(samples, reference, training, seed, progress)

    @property
    def protocol(self) -> str:
        """Full set, squared Chamfer distance as in PointFlow, world units; in 1-NNA exact ties count one half."""
        return "full-set, squared Chamfer (sum of two means), world units"

    def recipe(self) -> Mapping[str, Any]:
        """Eight minutes on two cores."""
        return {
            # at a ratio of 10 a shape can still be told: its hundreds of points share what there is to know
            "density": {"name": "log-uniform", "low": 0.03, "high": 30.0},
            "training": {"steps": 3000, "batch": 32, "lr": 2e-3, "ema": 0.998, "precision": "bf16", "shards": 2},
            "sampling": {"solver": "heun", "steps": 20, "guidance": 1.0},
        }

    def formats(self) -> Mapping[str, Writer]:
        """ply: the points, binary."""
        from ptdiff_datasets.ply import write_ply

        return {"ply": write_ply}
