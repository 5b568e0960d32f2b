"""Renders of point clouds: shaded spheres with soft shadows on a white ground, without GL or a display.

visualizer.py       the visualizer of the modality
cloud_pictures.py   one picture, or a turntable
scene.py            a cloud as spheres on a ground plane
camera.py           a perspective camera
light.py            a lamp and ambient light
visibility.py       the interface of the engines below
spheres_numpy.py    visibility in NumPy
spheres_open3d.py   visibility by Open3D's ray casting
shading.py          from visibility to color
tints.py            the colors of points
page.py             a web page with clouds to turn
page_parts.py       its style and script
window.py           Open3D's window

A ``Scene`` of spheres, a ``Camera`` and a ``Light`` are combined in two steps: a visibility engine (NumPy alone, or
Open3D's ray casting) finds what each pixel sees and what the light reaches, and the shading turns that into color.
"""

from ptdiff_pointcloud.render.cloud_pictures import Engine, render_cloud, turntable
from ptdiff_pointcloud.render.page import page
from ptdiff_pointcloud.render.window import show

__all__ = ["Engine", "page", "render_cloud", "show", "turntable"]
