"""Rotations, and parts placed as a designer would: a block around a center, a rod between two points."""

import math

import numpy as np

from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.polyhedra import Box
from ptdiff_datasets.shapes.revolution import frustum
from ptdiff_datasets.shapes.solids import Array

Point = tuple[float, float, float]


def turn_x(angle: float) -> Array:
    """Rotation (3, 3) by ``angle`` radians that takes +Y towards +Z."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def turn_y(angle: float) -> Array:
    """Rotation (3, 3) by ``angle`` radians that takes +Z towards +X."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def turn_z(angle: float) -> Array:
    """Rotation (3, 3) by ``angle`` radians that takes +X towards +Y."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


# Rotations that point the local y axis of a part along the axis in the comment.
FORWARD: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # -Z
BACKWARD: Array = FORWARD.T  # +Z
RIGHT: Array = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # +X
LEFT: Array = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # -X


def towards(direction: Point) -> Array:
    """Rotation (3, 3) that points the local y axis along ``direction`` (of any length but 0)."""
    x, y, z = direction
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    if y < -1 + 1e-12:
        return turn_x(math.pi)
    k = 1 / (1 + y)
    return np.array([[1 - k * x * x, x, -k * x * z], [-x, y, -z], [-k * x * z, z, 1 - k * z * z]])


def block(name: str, center: Point, size: Point, rotation: Array | None = None) -> Part:
    """A box of full side lengths ``size`` around ``center``."""
    return Part(name, Box(size[0] / 2, size[1] / 2, size[2] / 2), center, rotation)


def rod(name: str, start: Point, end: Point, radius: float, end_radius: float | None = None) -> Part:
    """A round rod between two points, tapering if ``end_radius`` is given."""
    direction = (end[0] - start[0], end[1] - start[1], end[2] - start[2])
    solid = frustum(radius, radius if end_radius is None else end_radius, math.dist(start, end))
    upright = direction[0] == 0 and direction[2] == 0 and direction[1] > 0
    return Part(name, solid, start, None if upright else towards(direction))


def leg(name: str, foot: Point, top: Point, foot_radius: float, top_radius: float | None = None) -> Part:
    """A rod standing on the floor: its foot is raised until its lowest edge is at the height of ``foot``."""
    aside, lift = math.hypot(top[0] - foot[0], top[2] - foot[2]), 0.0
    for _ in range(8):  # raising the foot tilts the rod a little more: a fast contraction
        lift = foot_radius * aside / math.hypot(aside, top[1] - foot[1] - lift)
    return rod(name, (foot[0], foot[1] + lift, foot[2]), top, foot_radius, top_radius)
