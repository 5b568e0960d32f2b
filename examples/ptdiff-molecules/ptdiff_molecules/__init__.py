"""Small molecules as a modality of ptdiff: sets of atoms, each with a position and an element.

dictionary.py   molecules of the chemical component dictionary
chemistry.py    elements, bonds from distances, valences, the identity of a molecule
sets.py         molecules as samples: positions and channels of elements
network.py      a transformer that sees distances
scores.py       validity, stability, uniqueness, novelty, distributions
picture.py      molecules as balls and sticks
files.py        xyz and sdf
figures.py      trains a model, and writes the figures of the README
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Comparison, Data, EvaluationProtocol, Measurement, Modality, Progress, Visualizer, option

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from ptdiff.modality import TableWriter, Writer

__all__ = ["Molecules"]


@dataclass(frozen=True)
class Molecules(Modality):
    """Molecules of the chemical component dictionary, with hydrogens: positions in Å and elements."""

    of_data = ("data", "heavy")

    data: str = option("ccd", "ccd: the dictionary in the biotite wheel; or another one in BinaryCIF format")
    heavy: int = option(12, "most atoms of a molecule besides hydrogen", least=3, most=60)
    layers: int = option(4, "layers of the network", least=1, most=100)
    width: int = option(96, "channels of the network, a multiple of 8", least=8, most=4096)

    def __post_init__(self) -> None:
        if self.width % 8:
            raise ValueError(f"width must be a multiple of 8, the number of heads, not {self.width}")

    @property
    def path(self) -> Path | None:
        """The file of the dictionary; None for that of biotite."""
        return None if self.data == "ccd" else Path(self.data).expanduser()

    def dataset(self) -> Data:
        """Read the dictionary: a few seconds. An eighth of the constitutions is held out."""
        from ptdiff_molecules.sets import data_of

        return data_of(self.path, self.heavy)

    def backbone(self, data: Data) -> nn.Module:
        """Build a transformer that sees distances."""
        from ptdiff_molecules.network import DistanceTransformer

        return DistanceTransformer(data, self.layers, self.width)

    def visualizer(self) -> Visualizer:
        """Balls and sticks."""
        from ptdiff_molecules.picture import BallsAndSticks

        return BallsAndSticks()

    def recipe(self) -> Mapping[str, Any]:
        """Settings for half an hour on one core."""
        return {
            "training": {"batch": 32, "lr": 1.5e-3, "steps": None, "minutes": 30, "ema": 0.998},
            "sampling": {"steps": 50},
        }

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """One: the scores of :mod:`ptdiff_molecules.scores`."""
        return {"molecules": EvaluationProtocol("validity, uniqueness and novelty; floors: held-out molecules")}

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Scores of molecules; all training molecules are read, because novelty needs them."""
        from ptdiff.choices import one_of
        from ptdiff_molecules.scores import scores
        from ptdiff_molecules.sets import constitutions

        one_of("protocol", protocol, self.protocols())
        known = constitutions(self.path, self.heavy)
        found = scores(comparison.samples, comparison.reference, comparison.training, known, comparison.seed)
        return Measurement(found, {"known": len(known)})

    def nearest(self, samples: Tensor, others: Tensor, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
        """Distances of sorted eigenvalues of Coulomb matrices, which do not depend on pose or order."""
        import torch

        from ptdiff_molecules.scores import fingerprints

        found = torch.cdist(fingerprints(samples, others.shape[1]), fingerprints(others, samples.shape[1])).min(dim=1)
        return found.values, found.indices

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Center the positions, and choose the element with the largest channel."""
        from ptdiff_molecules.sets import settled

        return settled(samples)

    def formats(self) -> Mapping[str, Writer]:
        """A file for each molecule: xyz."""
        from ptdiff_molecules.files import write_xyz

        return {"xyz": write_xyz}

    def tables(self) -> Mapping[str, TableWriter]:
        """All molecules in one file: sdf."""
        from ptdiff_molecules.files import write_sdf

        return {"sdf": write_sdf}

    def read(self, path: Path) -> npt.NDArray[np.floating]:
        """Read one molecule from an xyz file."""
        from ptdiff_molecules.files import read_xyz

        return read_xyz(path)
