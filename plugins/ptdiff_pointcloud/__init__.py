"""Point clouds: shapes as sets of points in space, procedural or from a folder of meshes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from ptdiff.choices import unknown
from ptdiff.modality import (
    Comparison,
    Data,
    EvaluationProtocol,
    Measurement,
    Modality,
    Progress,
    Visualizer,
    Writer,
    option,
)
from ptdiff_pointcloud.networks.catalog import GIVEN, NUMBERS, build, sized

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from ptdiff.machine.engines import Engine
    from ptdiff.modality import Array, Mesh
    from ptdiff.modality.data import Condition

__all__ = ["PointCloud"]


@dataclass(frozen=True)
class PointCloud(Modality):
    """Point clouds: ten classes of procedural shapes, or a folder of your own meshes or clouds."""

    of_data = ("data", "classes", "shapes_per_class", "normalize", "layout", "decimal", "split", "offset", "up")

    data: str = option(
        "shapes",
        "shapes (procedural, no download), a store ('ptdiff data import'), or a folder or file of meshes or clouds",
    )
    points: int = option(256, "points per cloud in training; sampling takes any number", least=1, most=10**7)
    dense: int = option(
        4096, "points stored per shape, from which every batch draws; at least four times points", least=1, most=10**8
    )
    classes: tuple[str, ...] = option((), "classes to use, e.g. [chair, table]; default all")
    shapes_per_class: int = option(
        1000, "procedural training shapes per class; a tenth as many are held out", least=1, most=10**7
    )
    normalize: Literal["auto", "box", "per-shape", "global", "none"] = option(
        "auto",
        "for a folder: box (center each shape, scale its box to diagonal 1), per-shape (mean 0, deviation 1), "
        "global or none (as in the files); auto is global for arrays in train and val folders, else box",
    )
    layout: Literal["auto", "channels-last", "channels-first"] = option(
        "auto",
        "channels-last (…, points, 3) or channels-first (…, 3, points) arrays; auto: detected, refused if unclear",
    )
    decimal: Literal[".", ","] | None = option(
        None, "decimal mark of clouds in text files, . or ,; default: detected from their numbers, refused if unclear"
    )
    split: Literal["stratified", "hashed"] = option(
        "stratified",
        "validation shapes of a folder that names none, a tenth by a hash of the path: stratified (at least one of "
        "every class of four or more) or hashed (as before version 0.3)",
    )
    offset: Literal["auto", "none"] = option(
        "auto", "auto: subtract the offset of a folder far from zero before its numbers become float32; none: keep it"
    )
    up: Literal["x", "y", "z"] = option("y", "axis that points up in the files; internally it is +y")
    channels: tuple[Literal["xyz", "normals", "colors"], ...] = option(
        ("xyz",), "channels of a point, out of [xyz, normals, colors]"
    )
    rotate: bool = option(False, "rotate training shapes about the up axis by a random angle")
    mirror: bool = option(False, "mirror half of the training shapes, x to -x")
    rescale: float = option(0.0, "scale training shapes by a random factor up to 1 + rescale or down to its inverse")
    jitter: float = option(0.0, "standard deviation of noise added to training points, in units of the data")
    task: Literal["generate", "complete", "upsample"] = option(
        "generate", "generate; complete (from part of a shape); upsample (from few points of it)"
    )
    observed: int = option(128, "observed points in training, for complete and upsample", least=1, most=10**7)
    network: Literal["set-transformer", "latent", "pointnet", "point-transformer", "pointwise", "pvcnn", "dit"] = (
        option("set-transformer", "denoiser")
    )
    size: Literal["tiny", "small", "base", "large"] = option(
        "tiny", "preset of the network; the options below override it"
    )
    width: int | None = option(None, "channels of the network", least=1, most=1 << 14)
    layers: int | None = option(None, "blocks of the network", least=1, most=1000)
    inducers: int | None = option(None, "inducing points of the set transformer", least=1, most=1 << 16)
    latents: int | None = option(None, "number of latents of the latent transformer", least=1, most=1 << 16)
    compute: int | None = option(
        None, "layers of the latent transformer between reading and writing", least=1, most=1000
    )
    heads: int | None = option(None, "attention heads", least=1, most=1024)
    neighbors: int | None = option(
        None, "nearest neighbors of a point, in pointnet and point-transformer", least=1, most=4096
    )
    resolution: int | None = option(None, "grid nodes per side, in pvcnn", least=1, most=512)
    code: int | None = option(None, "size of the shape code, in pointwise", least=1, most=1 << 16)
    self_conditioning: bool = option(False, "condition the latent transformer on its previous estimate")

    def __post_init__(self) -> None:
        for name in ("points", "dense", "shapes_per_class", "observed"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("rescale", "jitter"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and not negative, not {getattr(self, name)}")
        if len(set(self.channels)) < len(self.channels) or self.channels[:1] != ("xyz",):
            raise ValueError(
                f"channels must start with xyz and name each channel once, not {', '.join(self.channels) or 'none'}"
            )
        self._numbers()
        if self.network != "latent":
            self._refuse(["self_conditioning"], self.network)
        if self.task == "generate":
            self._refuse(["observed"], "task generate")
        if self.data == "shapes":
            self._refuse(["normalize", "layout", "decimal", "split", "offset", "up"], "procedural shapes")
        else:
            self._refuse(["shapes_per_class"], "a folder")

    def _refuse(self, names: Sequence[str], subject: str) -> None:
        """Raise ValueError for options without effect; defaults pass, because a run's config.yaml holds them all."""
        for known in fields(self):
            if known.name in names and getattr(self, known.name) != known.default:
                raise ValueError(f"{known.name} has no effect on {subject}; leave it out")

    def _numbers(self) -> dict[str, int]:
        """Return the sizes of the network: its preset, overridden by what is set."""
        return sized(self.network, self.size, {name: getattr(self, name) for name in NUMBERS})

    def dataset(self) -> Data:
        """Return clouds (points, 3 per channel) float32, +Y up; procedural shapes in a box of diagonal 1 around 0."""
        from pathlib import Path

        from ptdiff_pointcloud.data import sources
        from ptdiff_pointcloud.data.augment import Augmentation
        from ptdiff_pointcloud.data.conditions import for_task

        how = Augmentation(self.rotate, self.mirror, self.rescale, self.jitter)
        if self.data == "shapes":
            splits = sources.shapes(self.points, self.dense, self.shapes_per_class, self.classes, self.channels)
        elif not Path(self.data).exists() and Path(self.data).name == self.data:
            raise unknown("kind of shapes, or folder", self.data, ["shapes"])
        else:
            splits = sources.folder(
                Path(self.data),
                self.points,
                self.dense,
                self.classes,
                self.normalize,
                self.up,
                self.channels,
                self.layout,
                self.split,
                self.offset == "auto",
                self.decimal,
            )
        return for_task(
            sources.measured(sources.augmented(splits, how, self.channels), self.channels), self.task, self.observed
        )

    def backbone(self, data: Data) -> nn.Module:
        """Build the denoiser; the set transformer has 0.55 M parameters at its defaults."""
        classes, given = len(data.classes), GIVEN[self.task]
        return build(self.network, data.shape[-1], classes, self._numbers(), given, self.self_conditioning, self.points)

    def visualizer(self) -> Visualizer:
        """Return a visualizer of shaded spheres on a white ground, rendered by NumPy alone."""
        from ptdiff_pointcloud.render.visualizer import Spheres

        return Spheres(self.channels)

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """Return the protocols by name: the full set, the conventions of papers, and groups of eight."""
        from ptdiff_pointcloud.metrics.protocols import PROTOCOLS

        return PROTOCOLS

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Score 1-NNA and its halves, coverage, matching distance, occupancy; the cache keeps the distance matrices."""
        from ptdiff.choices import one_of
        from ptdiff_pointcloud.metrics.protocols import compare

        samples, reference, training = (
            clouds[..., :3] for clouds in (comparison.samples, comparison.reference, comparison.training)
        )
        way = one_of("protocol", protocol, self.protocols())
        return compare(
            samples,
            reference,
            training,
            way,
            comparison.seed,
            comparison.progress,
            comparison.cache,
            comparison.device,
            comparison.engine,
        )

    def nearest(self, samples: Tensor, others: Tensor, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
        """Return Chamfer distance and index of the nearest of the others, on the first 512 points of each cloud."""
        from ptdiff_pointcloud.metrics.distances import nearest_clouds

        return nearest_clouds(samples[..., :3], others[..., :3], progress=progress)

    def recipe(self) -> Mapping[str, Any]:
        """Return settings for eight minutes on two cores."""
        # other networks and sizes were not tried with a higher rate (docs/decisions/0011)
        lr = 2e-2 if (self.network, self.size) == ("set-transformer", "tiny") else 5e-3
        return {
            "density": {"name": "log-uniform", "low": 0.06, "high": 6.0},
            "training": {"optimizer": "muon", "steps": 3000, "batch": 64, "lr": lr},
            "sampling": {"solver": "heun", "steps": 20, "guidance": 1.0},
        }

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Scale normals to length 1 and clip colors to their range."""
        from ptdiff_pointcloud.data.channels import tidied

        return tidied(samples, self.channels) if len(self.channels) > 1 else samples

    def formats(self) -> Mapping[str, Writer]:
        """Return the writers of the formats that can hold the channels: ply, pcd, xyz, npy, las and laz.

        As in the files of the data, the axis ``up`` points up in them.
        """
        from ptdiff_pointcloud.data.channels import writers

        return writers(self.channels, self.up)

    def read(self, path: Path) -> npt.NDArray[np.floating]:
        """Read a cloud (n, 3 per channel), +Y up, in the units of the file; meshes are sampled as in training."""
        from ptdiff_datasets.clouds.reading import read_one
        from ptdiff_pointcloud.data.channels import joined, turned_cloud

        found = joined(read_one(path, self.points, self.layout, self.decimal), self.channels, path)
        return turned_cloud(found, self.channels, self.up)

    def as_of(self, data: Data) -> PointCloud:
        """Return the modality as the run's version: earlier ones did not stratify the split and had no offset."""
        known = data.summary.get("source") in (None, "shapes") or "split_rule" in data.summary
        kind = self if known else replace(self, split="hashed")
        kept = data.summary.get("normalize") in ("global", "none") and not data.origin
        return replace(kind, offset="none") if kept else kind

    def suited(self, path: Path) -> PointCloud:
        """Return the modality with the channel colors if the file has them."""
        from ptdiff_datasets.clouds.reading import read_one

        try:
            colors = read_one(path, self.points, self.layout, self.decimal).colors
        except (OSError, ValueError, ImportError):  # reading it tells why
            return self
        return (
            self if colors is None or "colors" in self.channels else replace(self, channels=(*self.channels, "colors"))
        )

    def frame(self, data: Data, sample: Array) -> tuple[npt.NDArray[np.float64], float]:
        """Return the center (c,) and size that normalize a whole cloud (n, c) of a file; 0 and 1 if nothing is done."""
        from ptdiff_pointcloud.data.channels import frame

        return frame(sample, str(data.summary.get("normalize", "none")))

    def meshing(self) -> Mapping[str, str]:
        """Return the meshing methods by name, the default first: Poisson, or marching cubes without Open3D."""
        from ptdiff_pointcloud.meshing.methods import methods

        return methods()

    def mesh(self, sample: Array, method: str | None = None) -> Mesh:
        """Mesh the surface of a cloud (n, c) from the positions of its points."""
        from ptdiff.modality.offsets import find_origin, without_origin
        from ptdiff_pointcloud.meshing import mesh

        origin = find_origin(sample[:, :3])
        return replace(mesh(without_origin(sample[:, :3], origin), method).at(origin), up=self.up)

    def given(self, data: Data, part: Tensor, count: int) -> Condition | None:
        """Return the condition of the tasks complete and upsample from a cloud (m, c) of any size; else None."""
        from ptdiff_pointcloud.data.conditions import given_cloud

        return next((given_cloud(name, data, part, count) for name in GIVEN[self.task]), None)

    def import_data(
        self,
        source: Path,
        target: Path,
        *,
        points: int,
        replace: bool,
        together: bool = False,
        progress: Progress | None = None,
        engine: Engine | None = None,
    ) -> Mapping[str, Any]:
        """Write a folder or file of shapes as a store; see :func:`ptdiff_datasets.clouds.importing.import_data`."""
        from ptdiff_datasets.clouds.importing import import_data

        found = import_data(
            source,
            target,
            points=points,
            replace=replace,
            together=together,
            progress=progress,
            order=self.layout,
            decimal=self.decimal,
            engine=engine,
        )
        return {**found.summary.as_dict(), "text": found.summary.text()}

    def check_data(self, source: Path, *, progress: Progress | None = None) -> Mapping[str, Any]:
        """Check a folder, file or store for problems; see :func:`ptdiff_datasets.clouds.checking.check`."""
        from ptdiff_datasets.clouds.checking import check

        found = check(source, progress, self.layout, self.decimal)
        return {**found.as_dict(), "text": found.text()}
