"""Procedural shapes: ten labelled classes generated from (class, seed), as surface points or meshes; no download.

They are stylized objects, neither scans nor ShapeNet: compare results on them only with each other.

>>> from ptdiff_datasets.shapes import make_shape
>>> make_shape("mug", 7).points(2048).shape
(2048, 3)
"""

from ptdiff_datasets.shapes.catalog import CLASSES, dense_clouds, make_shape
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.shape import Shape

__all__ = ["CLASSES", "Part", "Shape", "dense_clouds", "make_shape"]
