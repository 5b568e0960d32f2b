"""Surfaces from clouds.

enclosure.py   what the cloud encloses, on a grid
orient.py      normals that point outwards
surface.py     the surface itself, with its bubbles removed, written to files
methods.py     ways to make a surface: Poisson, ball pivoting, alpha shapes, and marching cubes (marching.py)
"""

from ptdiff_pointcloud.meshing.methods import METHODS, mesh, methods
from ptdiff_pointcloud.meshing.orient import outward_normals
from ptdiff_pointcloud.meshing.surface import Surface

__all__ = ["METHODS", "Surface", "mesh", "methods", "outward_normals"]
