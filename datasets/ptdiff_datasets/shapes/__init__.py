"""Procedural shapes: ten labeled classes generated from (class, seed), as surface points or meshes; no download.

catalog.py      the ten classes by name, and batches of clouds
shape.py        Shape: parts, and the union of their surfaces
part.py         Part: a solid and its place
surface.py      points on the surface of a union
draw.py         named random parameters
placing.py      rotations, and parts placed by what they touch
solids.py       the interface of solids
polyhedra.py    boxes and lofts
flat.py         all of those of a shape at once
revolution.py   solids of revolution
turned.py       all of those of a shape at once
curved.py       ellipsoids and torus arcs
smooth.py       all of those of a shape at once
aircraft.py     airplane and rocket
car.py          car
chair.py        chair
sofa.py         sofa
furniture.py    table and bookshelf
household.py    bottle, lamp and mug

They are stylized objects, neither scans nor ShapeNet: compare results on them only with each other.

>>> from ptdiff_datasets.shapes import make_shape
>>> make_shape("mug", 7).points(2048).shape
(2048, 3)
"""

from ptdiff_datasets.shapes.catalog import CLASSES, dense_clouds, make_shape
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.shape import Shape

__all__ = ["CLASSES", "Part", "Shape", "dense_clouds", "make_shape"]
