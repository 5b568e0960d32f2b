"""Airplane (nose towards -Z) and rocket (standing, nose up), in meters."""

import math

from ptdiff_datasets.shapes.curved import Ellipsoid
from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import BACKWARD, FORWARD, LEFT, RIGHT, block, rod, turn_y, turn_z
from ptdiff_datasets.shapes.polyhedra import Box, Loft, Outline, rectangle
from ptdiff_datasets.shapes.revolution import Revolution

# Ranges by kind of airplane, relative to its length unless noted.
_LENGTH = {"airliner": (25, 65), "light": (6, 10), "jet": (12, 20)}  # meters
_RADIUS = {"airliner": (0.045, 0.07), "light": (0.056, 0.088), "jet": (0.045, 0.07)}
_NOSE = {"airliner": (1.0, 2.2), "light": (1.0, 2.2), "jet": (3.0, 5.5)}  # in radii
_TAIL_END = {"airliner": (0.12, 0.3), "light": (0.12, 0.3), "jet": (0.6, 0.85)}  # in radii
_HALF_SPAN = {"airliner": (0.42, 0.58), "light": (0.5, 0.68), "jet": (0.27, 0.38)}
_CHORD = {"airliner": (0.15, 0.22), "light": (0.15, 0.22), "jet": (0.36, 0.5)}
_TAPER = {"airliner": (0.25, 0.5), "light": (0.65, 1.0), "jet": (0.1, 0.3)}  # tip chord in root chords
_SWEEP = {"airliner": (0.25, 0.65), "light": (0.0, 0.12), "jet": (0.4, 0.7)}  # in half spans
_WING_AT = {"airliner": (-0.1, 0.02), "light": (-0.1, 0.02), "jet": (0.1, 0.2)}
_TAIL_CHORD = {"airliner": (0.55, 0.75), "light": (0.55, 0.75), "jet": (0.4, 0.5)}  # in chords


def _ogive(radius: float, length: float, start: float, power: float, steps: int = 5) -> list[tuple[float, float]]:
    """Points (r, y) of a nose from radius ``radius`` at y = start to a tip at start + length; power 1 is an ellipse."""
    turns = [math.pi / 2 * i / steps for i in range(steps + 1)]
    points = [(radius * math.cos(a) ** (2 - power), start + length * math.sin(a) ** power) for a in turns]
    return [*points[:-1], (0.0, start + length)]


def _foil(chord: float, thickness: float) -> Outline:
    """A wing section: x across its thickness, z along its chord, leading edge at -Z."""
    t, c = thickness / 2, chord
    return ((0.0, -c / 2), (t, -c / 4), (t, c / 8), (0.0, c / 2), (-t, c / 8), (-t, -c / 4))


def _wings(
    name: str,
    root: tuple[float, float],
    section: Outline,
    span: float,
    taper: float,
    sweep: float,
    rise: float,
) -> list[Part]:
    """Right and left wing from the root (y, z); the tips are ``sweep`` further back and ``rise`` higher."""
    y, z = root
    return [
        Part(f"{name} right", Loft(section, span, (taper, taper), (-rise, sweep)), (0.0, y, z), RIGHT),
        Part(f"{name} left", Loft(section, span, (taper, taper), (rise, sweep)), (0.0, y, z), LEFT),
    ]


def airplane(draw: Draw) -> list[Part]:
    """Airliner with two or four engines, light airplane with a propeller, or delta-winged jet."""
    kind = draw.choice("kind", ("airliner", "light", "jet"), (5, 3, 2))
    length = draw.number("length", *_LENGTH[kind])
    radius = length * draw.number("slenderness", *_RADIUS[kind])
    nose = radius * draw.number("nose", *_NOSE[kind])
    tail = length * draw.number("tail", 0.25, 0.4)
    end = radius * draw.number("tail end", *_TAIL_END[kind])
    profile = [(0.0, 0.0), (end, 0.0), (0.75 * radius + 0.25 * end, 0.55 * tail), (radius, tail)]
    profile += _ogive(radius, nose, length - nose, 1.25 if kind == "jet" else 0.95)
    parts = [Part("fuselage", Revolution(tuple(profile)), (0.0, 0.0, length / 2), FORWARD)]

    span = length * draw.number("half span", *_HALF_SPAN[kind])
    chord = length * draw.number("chord", *_CHORD[kind])
    taper = draw.number("taper", *_TAPER[kind])
    slope = draw.number("sweep", *_SWEEP[kind])
    rise = span * draw.number("dihedral", -0.02, 0.13)
    mount = draw.choice("wing height", ("low", "middle", "high"), (2, 1, 4) if kind == "light" else (5, 2, 3))
    height = radius * {"low": -0.55, "middle": 0.0, "high": 0.6}[mount]
    along = length * draw.number("wing position", *_WING_AT[kind])
    thick = min(chord * draw.number("thickness", 0.1, 0.15), 0.6 * radius)
    parts += _wings("wing", (height, along), _foil(chord, thick), span, taper, span * slope, rise)

    tail_chord = chord * draw.number("tail chord", *_TAIL_CHORD[kind])
    back = length / 2 - 0.7 * tail_chord
    fin = length * draw.number("fin height", 0.12, 0.18)
    fin_sweep = fin * draw.number("fin sweep", 0.4, 1.0)
    blade = Loft(_foil(tail_chord, 0.5 * thick), fin, (0.6, 0.6), (0.0, fin_sweep))
    parts.append(Part("fin", blade, (0.0, 0.0, back)))
    shape = draw.choice("tail shape", ("low", "t-tail"), (1, 0) if kind == "jet" else (3, 1))
    root = (0.95 * fin, back + 0.95 * fin_sweep) if shape == "t-tail" else (0.1 * radius, back)
    tail_span = span * draw.number("tail span", 0.32, 0.45)
    parts += _wings("tail", root, _foil(0.8 * tail_chord, 0.4 * thick), tail_span, 0.55, tail_span * slope, 0.0)
    if kind == "light":
        reach = radius * draw.number("propeller", 1.4, 2.3)
        turn = turn_z(draw.number("propeller angle", 0.0, math.pi))
        front = (0.0, 0.0, -length / 2 - 0.1 * radius)
        parts.append(Part("spinner", Ellipsoid(0.25 * radius, 0.25 * radius, 0.5 * radius), front))
        parts.append(Part("propeller", Box(reach, 0.1 * radius, 0.05 * radius), front, turn))
    if kind != "airliner":
        return parts

    engines = draw.choice("engines", ("wing 2", "wing 4", "tail 2"), (5, 3, 2))
    size = radius * draw.number("engine radius", 0.34, 0.52)
    long = size * draw.number("engine length", 3.2, 4.5)
    outside = ((0.0, 0.0), (0.55 * size, 0.0), (size, 0.5 * long), (0.9 * size, long))
    nacelle = Revolution((*outside, (0.7 * size, long), (0.0, 0.8 * long)))
    if engines == "tail 2":
        out, y, z = 0.9 * radius + size, 0.35 * radius, back - 0.9 * tail_chord
        for side in (-1, 1):
            parts.append(Part("engine", nacelle, (side * out, y, z), FORWARD))
            parts.append(block("pylon", (0.5 * side * out, y, z - 0.5 * long), (out, 0.2 * size, 0.5 * long)))
        return parts
    first = draw.number("engine place", 0.3, 0.36)
    drop = 1.2 * size
    for place in (first,) if engines == "wing 2" else (first, first + 0.3):
        x, y, z = place * span, height + place * rise, along + place * span * slope
        pylon = (0.2 * size, drop, 0.55 * long)
        for side in (-1, 1):
            parts.append(Part("engine", nacelle, (side * x, y - drop, z + 0.1 * long), FORWARD))
            parts.append(block("pylon", (side * x, y - 0.5 * drop, z - 0.3 * long), pylon))
    return parts


def rocket(draw: Draw) -> list[Part]:
    """Stages under a nose cone, a nozzle, three or four fins or none, and sometimes boosters."""
    height = draw.number("height", 20, 70)
    radius = height * draw.number("slenderness", 0.04, 0.085)
    nose = radius * draw.number("nose", 1.8, 4.5)
    power = draw.choice("nose shape", (80, 100, 130)) / 100  # from pointed to blunt; 1 is half an ellipse
    stages = draw.choice("stages", (1, 2, 3), (3, 3, 2))
    shrink = draw.number("stage shrink", 0.62, 0.85)
    skirt = draw.number("skirt", 1.0, 1.18)
    body = height - nose
    share = draw.number("first stage", 0.5, 0.65)
    joint = radius * draw.number("interstage", 0.5, 1.2)
    profile = [(0.0, 0.0), (skirt * radius, 0.0), (radius, 0.06 * body)]
    width, y = radius, 0.0
    for stage in range(stages - 1):
        y += (body - y) * (share if stage == 0 else 0.55)
        profile += [(width, y), (width * shrink, y + joint)]
        width, y = width * shrink, y + joint
    fairing = draw.number("fairing", 1.0, 1.3) if stages > 1 else 1.0
    if fairing > 1.12 and y + 1.7 * width < body:
        profile += [(width, body - 1.5 * width), (width * fairing, body - 0.8 * width)]
        width *= fairing
    profile += _ogive(width, nose * width / radius, body, power)
    parts = [Part("body", Revolution(tuple(profile)))]

    nozzle, flare = radius * draw.number("nozzle", 0.4, 0.6), draw.number("nozzle flare", 1.2, 1.7)
    long = radius * draw.number("nozzle length", 0.7, 1.3)
    mouth, throat = nozzle * flare, 0.2 * radius
    bell = ((0.0, -0.3 * long), (0.8 * mouth, -long), (mouth, -long), (nozzle, throat), (0.0, throat))
    parts.append(Part("nozzle", Revolution(bell)))
    boosters = draw.choice("boosters", (0, 2, 4), (5, 3, 2))
    fins = draw.choice("fins", (3, 4, 0), (4, 5, 2)) if boosters == 0 else draw.choice("fins", (4, 0))
    fin, chord = radius * draw.number("fin span", 1.2, 2.4), radius * draw.number("fin chord", 2.0, 3.6)
    taper, sweep = draw.number("fin taper", 0.3, 0.7), draw.number("fin sweep", 0.2, 0.9)
    fin, chord = (fin, chord) if stages == 1 else (0.8 * fin, 0.8 * chord)
    outline = rectangle(0.16 * radius, chord)
    for i in range(fins):
        angle = 2 * math.pi * (i + 0.5) / fins
        blade = Loft(outline, radius * 0.5 + fin, (taper, taper), (0.0, sweep * chord * 0.6))
        place = (0.5 * radius * math.sin(angle), chord * 0.62, 0.5 * radius * math.cos(angle))
        # The fin's span points outward and its chord down: local y to the radius, local z to -Y.
        parts.append(Part("fin", blade, place, turn_y(angle) @ BACKWARD))
    if boosters:
        slim = radius * draw.number("booster radius", 0.45, 0.62)
        tall = body * min(share, 0.6) * draw.number("booster height", 0.7, 1.0)
        tip = _ogive(slim, 2.2 * slim, tall, 1.0, 4)
        tube = Revolution(((0.0, 0.0), (1.15 * slim, 0.0), (slim, slim), *tip))
        for i in range(boosters):
            angle = 2 * math.pi * i / boosters + math.pi / 2
            out = radius + 0.95 * slim
            x, z = math.sin(angle), math.cos(angle)
            parts.append(Part("booster", tube, (out * x, -0.1 * radius, out * z)))
            parts.append(rod("strut", (0.0, 0.7 * tall, 0.0), (out * x, 0.7 * tall, out * z), 0.2 * slim))
    return parts
