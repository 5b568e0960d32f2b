"""Surfaces from clouds.

orient.py      normals that point out of what the cloud encloses
surface.py     the surface itself, what is kept of it, and how it is written
methods.py     the ways to make it: Poisson, ball pivoting, alpha shapes
"""

from ptdiff_pointcloud.meshing.methods import METHODS, mesh
from ptdiff_pointcloud.meshing.orient import outward_normals
from ptdiff_pointcloud.meshing.surface import Surface

__all__ = ["METHODS", "Surface", "mesh", "outward_normals"]
