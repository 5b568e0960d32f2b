"""Bottle, lamp and mug, in meters; the mug's handle points to +X."""

import math

from ptdiff_datasets.shapes.curved import Ellipsoid, TorusArc
from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import Point, block, leg, rod, towards, turn_y, turn_z
from ptdiff_datasets.shapes.revolution import Revolution, frustum


def bottle(draw: Draw) -> list[Part]:
    """A body, shoulder and neck in one turned profile, open or closed by a cork, a screw cap or a stopper."""
    kind = draw.choice("kind", ("wine", "flask", "water", "jug"), (4, 2, 3, 2))
    height = draw.number("height", 0.22, 0.34)
    slender = {"wine": (0.11, 0.15), "flask": (0.2, 0.27), "water": (0.12, 0.17), "jug": (0.2, 0.26)}[kind]
    radius = height * draw.number("slenderness", *slender)
    neck = radius * (draw.number("neck", 0.26, 0.42) if kind != "water" else draw.number("neck", 0.4, 0.62))
    starts = {"wine": (0.52, 0.66), "flask": (0.3, 0.48), "water": (0.62, 0.76), "jug": (0.5, 0.62)}[kind]
    shoulder = height * draw.number("shoulder", *starts)
    length = (
        height * {"wine": 0.2, "flask": 0.28, "water": 0.06, "jug": 0.12}[kind] * draw.number("neck length", 0.8, 1.2)
    )
    slope = height - length - shoulder
    power = draw.number("shoulder curve", 0.5, 1.6)
    bevel = radius * draw.number("bevel", 0.08, 0.3)
    foot = radius * draw.number("foot", 0.8, 1.0) * (0.75 if kind == "flask" else 1.0)
    waist = draw.number("waist", 0.0, 0.2) if kind == "water" else draw.number("waist", -0.08, 0.03)
    lip, lip_height = draw.number("lip", 1.12, 1.4), height * draw.number("lip height", 0.02, 0.05)
    punt = height * draw.number("punt", 0.005, 0.05)
    profile = [(0.0, punt), (0.6 * foot, 0.0), (foot - bevel, 0.0), (foot, bevel)]
    for t in (0.25, 0.5, 0.75):
        swell = foot + (radius - foot) * t - radius * waist * math.sin(math.pi * t)
        profile.append((swell, bevel + (shoulder - bevel) * t))
    for i in range(8):
        t = i / 8
        bend = (1 - t**power) ** (1 / power) if power > 1 else 0.5 + 0.5 * math.cos(math.pi * t**power)
        profile.append((neck + (radius - neck) * bend, shoulder + slope * t))
    mouth = 0.72 * neck
    profile += [
        (neck, shoulder + slope),
        (neck * 0.96, height - lip_height),
        (neck * lip, height - lip_height),
        (neck * lip, height),
    ]
    profile += [(mouth, height), (mouth, height - 1.5 * lip_height), (0.0, height - 1.5 * lip_height)]
    parts = [Part("glass", Revolution(tuple(profile)))]
    closure = draw.choice("closure", ("open", "cork", "screw", "stopper"), (3, 2, 3, 1))
    size = draw.number("closure size", 0.8, 1.2)
    low = height - 1.2 * lip_height
    if closure == "cork":
        parts.append(
            Part("cork", frustum(mouth * 1.02, mouth * 1.12, size * 1.6 * neck + height - low), (0.0, low, 0.0))
        )
    elif closure == "screw":
        tall = size * 1.3 * neck
        parts.append(
            Part(
                "cap",
                frustum(neck * lip * 1.1, neck * lip * 1.04, tall),
                (0.0, height + 0.2 * lip_height - 0.6 * tall, 0.0),
            )
        )
    elif closure == "stopper":
        ball = size * neck * 1.25
        parts.append(rod("stem", (0.0, low, 0.0), (0.0, height + ball, 0.0), mouth * 1.02))
        parts.append(Part("stopper", Ellipsoid(ball, ball * 1.15, ball), (0.0, height + ball * 1.2, 0.0)))
    if kind == "jug":
        tube = radius * draw.number("handle", 0.1, 0.16)
        top = (neck * 0.8, height - lip_height - 1.5 * tube, 0.0)
        bottom = (radius * 0.88, shoulder + 0.15 * slope, 0.0)
        parts += _handle(top, bottom, tube, 1.1)
    return parts


def _handle(top: Point, bottom: Point, tube: float, bow: float) -> list[Part]:
    """A bent tube between two points of the plane z = 0, bulging towards +X; ``bow`` is half its sweep over pi / 2."""
    half = bow * math.pi / 2
    chord = math.dist(top, bottom)
    radius = chord / 2 / math.sin(half)
    lean = math.atan2(bottom[0] - top[0], top[1] - bottom[1])
    inset = -radius * math.cos(half)
    middle = (
        (top[0] + bottom[0]) / 2 + inset * math.cos(lean),
        (top[1] + bottom[1]) / 2 + inset * math.sin(lean),
        0.0,
    )
    return [Part("handle", TorusArc(radius, tube, -half, 2 * half), middle, turn_z(lean))]


def mug(draw: Draw) -> list[Part]:
    """A cup with a wall, a foot and a handle: a ring, an ear, or three straight bars."""
    radius = draw.number("radius", 0.034, 0.046)
    height = radius * draw.number("height", 1.7, 3.0)
    wall = radius * draw.number("wall", 0.1, 0.15)
    taper = draw.number("taper", 0.72, 1.08)
    bulge = draw.number("bulge", -0.06, 0.16)
    flare = draw.number("flare", 0.0, 0.1)
    floor = height * draw.number("floor", 0.05, 0.12)
    bevel = radius * draw.number("bevel", 0.03, 0.2)
    foot = draw.choice("foot", ("flat", "ring"), (2, 1))

    def outer(t: float) -> float:
        return radius * (taper + (1 - taper) * t + bulge * math.sin(math.pi * t) + flare * t**4)

    steps = [i / 6 for i in range(7)]
    profile = [(outer(0) - bevel, 0.0)] + [(outer(t), bevel + (height - bevel) * t) for t in steps]
    profile += [(outer(t) - wall, floor + (height - floor) * t) for t in reversed(steps)]
    if foot == "ring":
        rim = outer(0) - bevel - 1.2 * wall
        profile = [(0.0, 0.4 * floor), (rim, 0.4 * floor), (rim, 0.0), *profile, (0.0, floor)]
    else:
        profile = [(0.0, 0.0), *profile, (0.0, floor)]
    parts = [Part("cup", Revolution(tuple(profile)))]
    style = draw.choice("handle", ("ring", "ear", "bars"), (5, 3, 2))
    tube = radius * draw.number("handle tube", 0.08, 0.14)
    size, middle = draw.number("handle height", 0.5, 0.68), draw.number("handle place", 0.46, 0.54)
    reach = radius * draw.number("handle reach", 0.55, 0.85)
    low, high = (middle - size / 2) * height, (middle + size / 2) * height

    def anchor(y: float) -> float:
        return outer((y - bevel) / (height - bevel)) - 0.5 * wall

    if style != "bars":
        bow = draw.number("bow", 0.95, 1.15) if style == "ring" else draw.number("bow", 0.86, 0.94)
        return parts + _handle((anchor(high), high, 0.0), (anchor(low), low, 0.0), tube, bow)
    x = max(anchor(low), anchor(high)) + reach
    parts += [rod("bar", (anchor(y), y, 0.0), (x, y, 0.0), tube) for y in (low, high)]
    parts.append(rod("bar", (x, low - tube * 0.9, 0.0), (x, high + tube * 0.9, 0.0), tube * 1.05))
    return parts


def lamp(draw: Draw) -> list[Part]:
    """A table, floor, desk (two arms), arc or pendant-like globe lamp: base, pole and shade."""
    kind = draw.choice("kind", ("table", "floor", "desk", "arc"), (4, 3, 3, 2))
    height = draw.number("height", 0.85, 1.15) * {"table": 0.55, "floor": 1.6, "desk": 0.5, "arc": 1.9}[kind]
    foot = draw.number("foot", 0.8, 1.25) * {"table": 0.1, "floor": 0.16, "desk": 0.1, "arc": 0.2}[kind]
    slab = draw.number("foot height", 0.015, 0.04)
    pole = draw.number("pole", 0.006, 0.012) * (1.3 if kind in ("floor", "arc") else 1.0)
    dome = draw.number("foot dome", 0.3, 1.0)
    shade = (
        draw.choice("shade", ("cone", "drum", "globe", "dome"), (4, 3, 2, 2)) if kind in ("table", "floor") else "dome"
    )
    wide = draw.number("shade radius", 0.85, 1.3) * {"table": 0.16, "floor": 0.24, "desk": 0.085, "arc": 0.22}[kind]
    tall = wide * draw.number("shade height", 0.9, 1.5)
    narrow = draw.number("shade taper", 0.35, 0.75) if shade == "cone" else draw.number("shade taper", 0.88, 1.0)
    style = draw.choice("base", ("disc", "block", "tripod"), (5, 2, 3 if kind in ("floor", "table") else 0))
    middle = max(height - tall, 0.5 * height)
    parts: list[Part] = []
    if style == "tripod":
        for i in range(3):
            angle = 2 * math.pi * (i / 3 + 0.25)
            far = (2.2 * foot * math.cos(angle), 0.0, -2.2 * foot * math.sin(angle))
            parts.append(leg("leg", far, (0.0, 0.75 * middle, 0.0), 0.8 * pole, 1.1 * pole))
    elif style == "block":
        parts.append(block("base", (0.0, slab / 2, 0.0), (1.7 * foot, slab, 1.7 * foot)))
    else:
        parts.append(
            Part(
                "base",
                Revolution(
                    (
                        (0.0, 0.0),
                        (foot, 0.0),
                        (foot, 0.5 * slab),
                        (0.3 * foot + pole, slab * (1 + dome)),
                        (0.0, slab * (1 + dome)),
                    )
                ),
            )
        )
    bottom = 0.6 * middle if style == "tripod" else 0.5 * slab
    if kind in ("table", "floor"):
        held = tall - 0.015 * wide if shade == "dome" else 0.3 * tall
        parts.append(rod("pole", (0.0, bottom, 0.0), (0.0, middle + held, 0.0), pole))
        if kind == "table" and style != "tripod" and draw.choice("body", ("none", "vase"), (1, 2)) == "vase":
            belly = foot * draw.number("belly", 0.5, 0.95)
            parts.append(Part("vase", Ellipsoid(belly, 0.4 * middle, belly), (0.0, 0.45 * middle, 0.0)))
        return parts + _shade(shade, wide, tall, narrow, (0.0, middle, 0.0), (0.0, 1.0, 0.0), pole)
    if kind == "desk":
        lower, upper = draw.number("lower arm", 0.1, 0.5), draw.number("upper arm", 0.5, 1.0)
        elbow = (0.0, 0.6 * height, lower * 0.5 * height)
        tip = (0.0, elbow[1] + 0.35 * height, elbow[2] - upper * 0.9 * height)
        parts += [rod("arm", (0.0, bottom, 0.0), elbow, pole), rod("arm", elbow, tip, 0.9 * pole)]
        parts.append(Part("joint", Ellipsoid(2 * pole, 2 * pole, 2 * pole), elbow))
        aim = draw.number("aim", 0.1, 0.7)
        axis = (0.0, math.cos(aim), math.sin(aim))
        held = tall - 0.015 * wide  # the arm ends in the middle of the shade's wall
        hang = (0.0, tip[1] - held * axis[1], tip[2] - held * axis[2])
        return parts + _shade(shade, wide, tall, narrow, hang, axis, pole)
    reach = draw.number("reach", 0.3, 0.42) * height
    straight = height - reach
    parts.append(rod("pole", (0.0, bottom, 0.0), (0.0, straight, 0.0), 1.02 * pole))
    sweep = math.pi * draw.number("arc sweep", 0.72, 0.95)
    # The arc lies in the plane x = 0: its own x axis points to +Z, its center halfway to the front.
    parts.append(Part("arc", TorusArc(reach, pole, 0.0, sweep), (0.0, straight - 0.001, -reach), turn_y(-math.pi / 2)))
    end = (0.0, straight + reach * math.sin(sweep), -reach + reach * math.cos(sweep))
    return parts + _shade(shade, wide, 0.7 * wide, narrow, (0.0, end[1] - 0.685 * wide, end[2]), (0.0, 1.0, 0.0), pole)


def _shade(kind: str, wide: float, tall: float, narrow: float, place: Point, axis: Point, pole: float) -> list[Part]:
    """A shade open at the bottom, its lower rim centered on ``place``, its upper end along ``axis``."""
    turn = None if axis == (0.0, 1.0, 0.0) else towards(axis)
    wall = 0.03 * wide
    if kind == "globe":
        return [
            Part(
                "shade",
                Ellipsoid(0.8 * wide, 0.8 * wide, 0.8 * wide),
                (place[0], place[1] + 0.7 * tall, place[2]),
            )
        ]
    if kind == "dome":
        steps = [math.pi / 2 * i / 6 for i in range(6)]
        outside = [(wide * math.cos(a), tall * math.sin(a)) for a in steps]
        inside = [((wide - wall) * math.cos(a), (tall - wall) * math.sin(a)) for a in reversed(steps)]
        return [Part("shade", Revolution((*outside, (0.0, tall), (0.0, tall - wall), *inside)), place, turn)]
    top = wide * narrow
    cone = Revolution(((wide, 0.0), (top, tall), (top - wall, tall), (wide - wall, 0.0)))
    y = place[1] + 0.25 * tall
    held = wide + (top - wide) * 0.25 - 0.5 * wall
    return [
        Part("shade", cone, place, turn),
        rod("bar", (-held, y, place[2]), (held, y, place[2]), 0.5 * pole),
    ]
