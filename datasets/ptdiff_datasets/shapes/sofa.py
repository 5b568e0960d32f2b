"""Sofa, in meters; the sitter faces -Z."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import FORWARD, LEFT, Point, block, rod, turn_x
from ptdiff_datasets.shapes.polyhedra import Loft, rounded


@dataclass(frozen=True)
class _Frame:
    """The measures that all parts share, in meters; ``arms`` is block, round or none."""

    seats: int
    place: float
    depth: float
    foot: float
    base: float
    cushion: float
    arms: str
    arm: float
    rise: float
    back: float
    behind: float
    tilt: float
    puff: float

    @staticmethod
    def of(draw: Draw) -> _Frame:
        return _Frame(
            seats=draw.choice("seats", (1, 2, 3, 4), (1, 3, 4, 1)),
            place=draw.number("seat width", 0.52, 0.7),
            depth=draw.number("depth", 0.78, 1.0),
            foot=draw.number("foot height", 0.03, 0.16),
            base=draw.number("base height", 0.12, 0.26),
            cushion=draw.number("cushion height", 0.1, 0.19),
            arms=draw.choice("arms", ("block", "round", "none"), (4, 3, 1)),
            arm=draw.number("arm width", 0.12, 0.26),
            rise=draw.number("arm height", 0.12, 0.28),
            back=draw.number("back height", 0.3, 0.55),
            behind=draw.number("back depth", 0.14, 0.24),
            tilt=draw.number("back tilt", 0.0, 0.2),
            puff=draw.number("cushion corner", 0.02, 0.05),
        )

    @property
    def inner(self) -> float:
        """The width between the arms."""
        return self.seats * self.place

    @property
    def width(self) -> float:
        """The whole width."""
        return self.inner + (2 * self.arm if self.arms != "none" else 0.0)

    @property
    def deck(self) -> float:
        """The height of the base's upper side."""
        return self.foot + self.base

    def middles(self) -> list[float]:
        """The x of the middle of every seat."""
        return [self.place * (i + 0.5) - self.inner / 2 for i in range(self.seats)]


def sofa(draw: Draw) -> list[Part]:
    """Base, seat cushions, back (with loose cushions), arms (block, round or none), feet, and sometimes a chaise."""
    f = _Frame.of(draw)
    # The base ends inside the arms and before the back, so that no two faces share a plane.
    base = block("base", (0.0, f.foot + f.base / 2, -0.01), ((f.inner + f.width) / 2, f.base, f.depth - 0.02))
    return [base, *_seats(f), *_back(f, draw), *_arms(f), *_chaise(f, draw), *_feet(f)]


def _seats(f: _Frame) -> list[Part]:
    size = (f.place - 0.015, f.depth - f.behind, f.cushion + 0.05, f.puff)
    return [_cushion("cushion", *size, (x, f.deck - 0.05, -f.behind / 2 - 0.015)) for x in f.middles()]


def _back(f: _Frame, draw: Draw) -> list[Part]:
    lean = turn_x(f.tilt)
    up = f.base + f.cushion + f.back
    z = f.depth / 2 - f.behind / 2 + math.sin(f.tilt) * up / 2
    width = f.width - (0.06 if f.arms != "none" else 0.04)
    parts = [block("back", (0.0, f.foot + 0.02 + up / 2, z), (width, up, f.behind), lean)]
    if draw.choice("back cushions", ("no", "yes")) == "yes":
        fat = draw.number("back cushion", 0.1, 0.17)
        high = f.back * draw.number("back cushion height", 0.85, 1.1)
        y = f.deck + f.cushion - 0.03 + high / 2
        front = f.depth / 2 - f.behind - 0.6 * fat + math.sin(f.tilt) * (f.base + f.cushion)
        solid = Loft(rounded(f.place - 0.03, high, f.puff), fat)
        parts += [Part("back cushion", solid, (x, y, front + 0.5 * fat), lean @ FORWARD) for x in f.middles()]
    return parts


def _arms(f: _Frame) -> list[Part]:
    if f.arms == "none":
        return []
    low, top = f.foot - 0.01, f.deck + f.cushion + f.rise
    parts = []
    for x in (-(f.inner + f.arm) / 2, (f.inner + f.arm) / 2):
        if f.arms == "block":
            parts.append(block("arm", (x, (low + top) / 2, -0.01), (f.arm, top - f.foot + 0.01, f.depth + 0.04)))
            continue
        roll = f.arm * 0.55
        size = (f.arm * 0.9, top - roll - f.foot + 0.01, f.depth + 0.03)
        parts.append(block("arm", (x, (low + top - roll) / 2, -0.01), size))
        ends = (x, top - roll, -f.depth / 2 - 0.04), (x, top - roll, f.depth / 2 + 0.03)
        parts.append(rod("arm roll", *ends, roll))
    return parts


def _chaise(f: _Frame, draw: Draw) -> list[Part]:
    side = draw.choice("chaise", ("none", "left", "right"), (5, 1, 1)) if f.seats > 1 else "none"
    long = f.depth * draw.number("chaise length", 0.55, 0.85)
    if side == "none":
        return []
    x = (f.inner - f.place) / 2 * (1 if side == "right" else -1)
    z = -f.depth / 2 - long / 2
    middle = (x, f.foot + f.base / 2 + 0.001, z + 0.04)
    size = (f.place - 0.018, long, f.cushion + 0.04, f.puff)
    parts = [
        block("chaise", middle, (f.place - 0.004, f.base - 0.006, long)),
        _cushion("cushion", *size, (x, f.deck - 0.045, z + 0.02)),
    ]
    z = -f.depth / 2 - long + 0.14
    feet = (x - 0.4 * f.place, x + 0.4 * f.place)
    return parts + [rod("foot", (foot, 0.0, z), (foot, f.deck - 0.04, z), 0.025) for foot in feet]


def _feet(f: _Frame) -> list[Part]:
    return [
        rod("foot", (x, 0.0, z), (x, f.foot + 0.06, z), 0.022, 0.032)
        for x in (-(f.width / 2 - 0.08), f.width / 2 - 0.08)
        for z in (-f.depth / 2 + 0.08, f.depth / 2 - 0.08)
    ]


def _cushion(name: str, width: float, depth: float, height: float, corner: float, place: Point) -> Part:
    """A cushion with rounded upper and lower edges: its cross-section carried along X."""
    x, y, z = place
    outline = rounded(height, depth, min(corner, 0.45 * height))
    return Part(name, Loft(outline, width), (x + width / 2, y + height / 2, z), LEFT)
