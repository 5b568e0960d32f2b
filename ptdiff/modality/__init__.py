"""The plugin contract: everything that the author of a modality needs.

contract.py     Modality: one kind of data, its backbone, metrics and files
visualizer.py   Visualizer: samples to images
conditions.py   kinds of conditions: categories, numbers, vectors
data.py         Data and Split: a data set with its splits
offsets.py      numbers far from zero: subtracts their origin and restores it
ragged.py       sets of different sizes: padding, masks, RaggedSplit
set_distances.py  distances between sets of different sizes
types.py        arrays, writers, meshes, comparisons, options
overrides.py    refuses plugins whose methods do not match the contract
streamed.py     StreamedSplit: samples in a litData dataset
tensors.py      Tensors: plain tensors and a network, given by the caller
registry.py     installed modalities by name
backbones.py    networks that plugins bring for other modalities
fault.py        the plugin in whose code an error was raised
"""

from typing import TYPE_CHECKING

from ptdiff.errors import Unsupported
from ptdiff.modality.conditions import Category, Number, Vector
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data, Split, TensorSplit
from ptdiff.modality.ragged import RaggedSplit
from ptdiff.modality.types import (
    Comparison,
    EvaluationProtocol,
    Measurement,
    Mesh,
    Progress,
    TableWriter,
    TrainedModel,
    Writer,
    option,
)
from ptdiff.modality.visualizer import Visualizer
from ptdiff.pictures.media import Media

if TYPE_CHECKING:
    from ptdiff.modality.types import Array as Array
    from ptdiff.modality.types import Image as Image

__all__ = [
    "Category",
    "Comparison",
    "Condition",
    "Data",
    "EvaluationProtocol",
    "Measurement",
    "Media",
    "Mesh",
    "Modality",
    "Number",
    "Progress",
    "RaggedSplit",
    "Split",
    "TableWriter",
    "TensorSplit",
    "TrainedModel",
    "Unsupported",
    "Vector",
    "Visualizer",
    "Writer",
    "option",
]
