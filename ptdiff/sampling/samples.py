"""Samples of a model or of a file, with methods to save, render and mesh them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.documents.files import expanded
from ptdiff.errors import DataError, UnknownName
from ptdiff.modality import registry
from ptdiff.modality.contract import Modality
from ptdiff.modality.ragged import sets_of
from ptdiff.sampling import files
from ptdiff.sampling.files import Stored

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from ptdiff.modality.types import Mesh
    from ptdiff.sampling.sampler import Plan


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples in world units, on the CPU.

    ``stored``: the arrays and metadata, as in files.  ``modality``: renders and meshes them.
    ``plan``, ``calls``, ``threads``: how they were computed, network calls per sample, CPU threads; None for files.
    ``source``: path of the file, None for computed samples.
    """

    stored: Stored
    modality: Modality
    plan: Plan | None = None
    calls: float | None = None
    threads: int | None = None
    source: Path | None = None

    @staticmethod
    def read(path: Path | str, modality: str | Modality = "pointcloud", data: str | None = None) -> Samples:
        """Read samples from an .npz file, or a single sample from a file such as .ply or .png.

        ``modality``: a name, used if the file does not name its modality; or an object, used in any case.
        ``data``: the option of that name, for modalities that show samples in the frame of their data.  Default: what
        the file says, but a file or folder that it names is opened only if the samples lie in a run of that data.

        Raises DataError for a file without valid samples, and UnknownName if its modality is not installed; a file
        never decides what is imported.
        """
        path = expanded(path)
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is a {'folder' if path.is_dir() else 'device or a pipe'}, not a file of samples")
        if isinstance(modality, Modality):
            return Samples(files.read(path, modality), modality, source=path)
        registry.trust(modality)
        kind = None if files.holds_samples(path) else registry.load(modality).suited(path)
        stored = files.read(path, kind)
        name = stored.modality or modality
        if ":" in name and name != modality:
            raise UnknownName(
                f"{path} was made by {name}, which is not an installed modality: add -m {name} if you trust it"
            )
        return Samples(stored, kind or registry.load(name, _options(path, stored, data)), source=path)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.stored.samples)

    def __getitem__(self, which: int | slice) -> Tensor:
        """``samples[which]``: one sample (*shape), or a slice (m, *shape)."""
        return self.samples[which]

    @property
    def samples(self) -> Tensor:
        """(n, *shape) float32 in world units, without the data's origin; shares memory with ``stored``.

        Sets of different sizes are padded with NaN; :attr:`sets` has them one by one.
        """
        import torch

        return torch.from_numpy(self.stored.samples)

    @property
    def sets(self) -> list[Tensor]:
        """The samples one by one, each with its own number of elements if they are sets of different sizes."""
        import torch

        return [torch.from_numpy(one) for one in self.stored.sets]

    @property
    def labels(self) -> Tensor:
        """(n,) int64, the class for which each sample was generated; -1 for none."""
        import torch

        return torch.from_numpy(self.stored.label)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by label; empty for data without classes."""
        return self.stored.classes

    @property
    def conditions(self) -> Mapping[str, npt.NDArray[Any]]:
        """Conditions by name besides the class, (n, …) each: float32, NaN for none, or names, "none" for none."""
        return self.stored.conditions

    @property
    def trajectory(self) -> Tensor | None:
        """(t, n, *shape) float32, states from noise to data at unit variance, in world units; None if not kept."""
        import torch

        return None if self.stored.trajectory is None else torch.from_numpy(self.stored.trajectory)

    def numpy(self) -> npt.NDArray[np.floating]:
        """The samples (n, *shape) as files hold them: float64 with the data's origin, if it has one, else float32."""
        return self.stored.world(self.stored.samples)

    def first(self, count: int | None) -> Samples:
        """The first ``count`` samples; all of them for None."""
        way = self.stored.trajectory
        some = replace(
            self.stored,
            samples=self.stored.samples[:count],
            label=self.stored.label[:count],
            trajectory=None if way is None else way[:, :count],
            conditions={name: value[:count] for name, value in self.stored.conditions.items()},
        )
        return replace(self, stored=some)

    def save(self, path: Path | str, format: str | None = None) -> Path:
        """Write the samples and return the path: an .npz file, a table such as .csv, or a folder.

        A path without a suffix is a folder.  ``format``: default: the suffix; in a folder, the modality's first
        format for single samples, else its first table; see :func:`ptdiff.sampling.files.write`, also for errors.
        """
        path = expanded(path)
        if format is None and not path.suffix:
            format = next(iter([*self.modality.formats(), *self.modality.tables()]), None)
            path = path if format else path / "samples.npz"
        return files.write(path, self.stored, self.modality, format)

    def render(
        self,
        path: Path | str,
        *,
        color: str | None = None,
        turntable: bool = False,
        frames: int = 36,
        fps: float = 12.0,
    ) -> Path:
        """Write an image (.png), an animation (.gif, .mp4) or a page (.html) of the samples, and return the path.

        ``color``: of points: "position", "normal", "label" or "rgb".  ``turntable``, ``frames``, ``fps``: see
        :func:`ptdiff.sampling.pictures.save`, also for errors.
        """
        from ptdiff.sampling.pictures import colored, save

        path = expanded(path)
        draw = colored(self.modality.visualizer(), color, self.stored.label.tolist())
        save(path, self.stored, draw, turntable=turntable, frames=frames, fps=fps)
        return path

    def mesh(self, i: int = 0, method: str | None = None) -> Mesh:
        """The surface of sample ``i``, by a meshing method of the modality, by default its first.

        Raises ValueError if the sample has no surface, Unsupported for data without surfaces, and UnknownName for an
        unknown method.
        """
        from ptdiff.sampling.meshes import default_method

        return self.modality.mesh(sets_of(self.numpy())[i], default_method(self.modality, method))


def _options(path: Path, stored: Stored, data: str | None) -> dict[str, Any]:
    """The options in a file of samples, without the name of a file that only this file, perhaps a stranger's, names."""
    named = stored.options.get("data")
    if data is not None:
        return {**stored.options, "data": data}
    if not isinstance(named, str) or not _exists(named) or named == _data_of_run(path):
        return dict(stored.options)
    return {**stored.options, "data": f"not opened: {named}"}


def _exists(name: str) -> bool:
    try:
        return expanded(name).exists()
    except (OSError, ValueError):
        # no name of a file
        return False


def _data_of_run(path: Path) -> object:
    """The data of the run in which a file lies, in samples/ or beside config.yaml; None if it lies in none."""
    from ptdiff.run import config
    from ptdiff.run.models import check_links

    for folder in path.absolute().parents[:2]:
        # other programs have files of the name config.yaml, too
        if (folder / "config.yaml").is_file() and (folder / "data.json").is_file():
            check_links(folder)
            try:
                options = config.read(folder / "config.yaml").get("options")
            except (OSError, ValueError):
                # a damaged run names nothing
                return None
            return options.get("data") if isinstance(options, dict) else None
    return None
