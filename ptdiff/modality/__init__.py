"""The plugin contract: all that the author of a modality reads.

contract.py     Modality: one kind of data, its backbone, metrics and files
visualizer.py   Visualizer: samples to images
data.py         Data and Samples: a data set with its splits
types.py        arrays, writers, meshes, scores, options
tensors.py      plain tensors and a network of your own as a modality
registry.py     installed modalities by name
"""

from typing import TYPE_CHECKING

from ptdiff.errors import Unsupported
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data, Samples, TensorSamples
from ptdiff.modality.types import Measurement, Mesh, Progress, TableWriter, Writer, option
from ptdiff.modality.visualizer import Visualizer

if TYPE_CHECKING:
    from ptdiff.modality.types import Array as Array
    from ptdiff.modality.types import Image as Image

__all__ = [
    "Condition",
    "Data",
    "Measurement",
    "Mesh",
    "Modality",
    "Progress",
    "Samples",
    "TableWriter",
    "TensorSamples",
    "Unsupported",
    "Visualizer",
    "Writer",
    "option",
]
