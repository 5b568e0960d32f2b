"""Renders of point clouds: shaded spheres with soft shadows on a white ground, without GL or a display.

A ``Scene`` of spheres, a ``Camera`` and a ``Light`` are combined in two steps: a visibility engine (NumPy alone, or
Open3D's ray casting) finds what each pixel sees and what the light reaches, and the shading turns that into color.
"""

from .cloud_pictures import Engine, render_cloud, turntable
from .page import page
from .window import show

__all__ = ["Engine", "page", "render_cloud", "show", "turntable"]
