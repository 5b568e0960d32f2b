"""Airplane, car and rocket. Meters; nose towards -Z (the rocket stands, nose up)."""

import math

from ptdiff_datasets.shapes.curved import Ellipsoid
from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import BACKWARD, FORWARD, LEFT, RIGHT, block, rod, turn_y, turn_z
from ptdiff_datasets.shapes.polyhedra import Box, Loft, rectangle
from ptdiff_datasets.shapes.revolution import Revolution


def _ogive(
    radius: float, length: float, start: float, power: float, steps: int = 5
) -> list[tuple[float, float]]:
    """Points (r, y) of a nose from full `radius` at y = start to its tip at start + length; power 1 is a cone."""
    turns = [math.pi / 2 * i / steps for i in range(steps + 1)]
    points = [(radius * math.cos(a) ** (2 - power), start + length * math.sin(a) ** power) for a in turns]
    return [*points[:-1], (0.0, start + length)]


def _foil(chord: float, thickness: float) -> tuple[tuple[float, float], ...]:
    """A wing section: x across its thickness, z along its chord, leading edge at -Z."""
    t, c = thickness / 2, chord
    return ((0.0, -c / 2), (t, -c / 4), (t, c / 8), (0.0, c / 2), (-t, c / 8), (-t, -c / 4))


def _wings(
    name: str,
    root: tuple[float, float],
    span: float,
    chord: float,
    taper: float,
    sweep: float,
    rise: float,
    thick: float,
) -> list[Part]:
    """The right and left wing from the root (y, z): tips `sweep` further back and `rise` higher."""
    section = _foil(chord, thick)
    y, z = root
    return [
        Part(f"{name} right", Loft(section, span, (taper, taper), (-rise, sweep)), (0.0, y, z), RIGHT),
        Part(f"{name} left", Loft(section, span, (taper, taper), (rise, sweep)), (0.0, y, z), LEFT),
    ]


def airplane(draw: Draw) -> list[Part]:
    """Fuselage, wings, tail and 0 to 4 engines; without engines a propeller on the nose."""
    kind = draw.choice("kind", ("airliner", "light", "jet"), (5, 3, 2))
    light, jet = kind == "light", kind == "jet"
    length = (
        draw.number("length", 6, 10)
        if light
        else draw.number("length", 12, 20)
        if jet
        else draw.number("length", 25, 65)
    )
    radius = length * draw.number("slenderness", 0.045, 0.07) * (1.25 if light else 1.0)
    nose = radius * (draw.number("nose", 3, 5.5) if jet else draw.number("nose", 1.0, 2.2))
    tail = length * draw.number("tail", 0.25, 0.4)
    body = length - nose - tail
    tip = (
        radius * draw.number("tail tip", 0.12, 0.3)
        if not jet
        else radius * draw.number("tail tip", 0.6, 0.85)
    )
    profile = [(0.0, 0.0), (tip, 0.0), (0.75 * radius + 0.25 * tip, 0.55 * tail), (radius, tail)]
    profile += _ogive(radius, nose, tail + body, 1.25 if jet else 0.95)
    parts = [Part("fuselage", Revolution(tuple(profile)), (0.0, 0.0, length / 2), FORWARD)]

    ranges = {"airliner": (0.42, 0.58), "light": (0.5, 0.68), "jet": (0.27, 0.38)}
    span = length * draw.number("half span", *ranges[kind])
    chord = length * (draw.number("chord", 0.36, 0.5) if jet else draw.number("chord", 0.15, 0.22))
    taper = (
        draw.number("taper", 0.1, 0.3)
        if jet
        else draw.number("taper", 0.65, 1.0)
        if light
        else draw.number("taper", 0.25, 0.5)
    )
    slope = (
        draw.number("sweep", 0.4, 0.7)
        if jet
        else draw.number("sweep", 0.0, 0.12)
        if light
        else draw.number("sweep", 0.25, 0.65)
    )
    rise = span * draw.number("dihedral", -0.02, 0.13)
    mount = draw.choice("wing height", ("low", "middle", "high"), (5, 2, 3) if not light else (2, 1, 4))
    height = radius * {"low": -0.55, "middle": 0.0, "high": 0.6}[mount]
    along = length * (
        draw.number("wing position", 0.1, 0.2) if jet else draw.number("wing position", -0.1, 0.02)
    )
    thick = min(chord * draw.number("thickness", 0.1, 0.15), 0.6 * radius)
    parts += _wings("wing", (height, along), span, chord, taper, span * slope, rise, thick)

    tail_chord = chord * (0.45 if jet else draw.number("tail chord", 0.55, 0.75))
    back = length / 2 - tail_chord * 0.7
    fin = length * draw.number("fin height", 0.12, 0.18)
    fin_sweep = fin * draw.number("fin sweep", 0.4, 1.0)
    tee = draw.choice("tail shape", ("conventional", "t-tail"), (3, 1)) if not jet else "conventional"
    parts.append(
        Part("fin", Loft(_foil(tail_chord, thick * 0.5), fin, (0.6, 0.6), (0.0, fin_sweep)), (0.0, 0.0, back))
    )
    tail_root = (fin * 0.95, back + fin_sweep * 0.95) if tee == "t-tail" else (0.1 * radius, back)
    tail_span = span * draw.number("tail span", 0.32, 0.45)
    parts += _wings("tail", tail_root, tail_span, tail_chord * 0.8, 0.55, tail_span * slope, 0.0, thick * 0.4)

    if light:
        blade = draw.number("propeller", 0.9, 1.4) * radius * 1.6
        angle = draw.number("propeller angle", 0.0, math.pi)
        front = -length / 2 - 0.1 * radius
        parts.append(
            Part("spinner", Ellipsoid(0.25 * radius, 0.25 * radius, 0.5 * radius), (0.0, 0.0, front))
        )
        parts.append(
            Part("propeller", Box(blade, 0.1 * radius, 0.05 * radius), (0.0, 0.0, front), turn_z(angle))
        )
        return parts
    if jet:
        return parts
    engines = draw.choice("engines", (2, 4, 3), (5, 3, 2))
    size = radius * draw.number("engine radius", 0.38, 0.55) * (0.85 if engines == 4 else 1.0)
    long = size * draw.number("engine length", 3.2, 4.5)
    nacelle = Revolution(
        (
            (0.0, 0.0),
            (0.55 * size, 0.0),
            (size, 0.5 * long),
            (0.9 * size, long),
            (0.7 * size, long),
            (0.0, 0.8 * long),
        )
    )
    if engines == 3:  # two beside the tail of the fuselage; the third would hide in the fin's root
        draw.values["engines"] = 2
        z, out = back - 0.9 * tail_chord, radius * 0.9 + size
        parts += [Part("engine", nacelle, (side * out, 0.35 * radius, z), FORWARD) for side in (-1, 1)]
        parts += [
            block("pylon", (side * 0.5 * out, 0.35 * radius, z - 0.5 * long), (out, 0.2 * size, 0.5 * long))
            for side in (-1, 1)
        ]
        return parts
    share = draw.number("engine place", 0.3, 0.36)
    for place in (share, share + 0.3)[: engines // 2]:
        x, wing_y, wing_z = place * span, height + place * rise, along + place * span * slope
        drop = 1.2 * size
        for side in (-1, 1):
            parts.append(Part("engine", nacelle, (side * x, wing_y - drop, wing_z + 0.1 * long), FORWARD))
            parts.append(
                block(
                    "pylon",
                    (side * x, wing_y - 0.5 * drop, wing_z - 0.3 * long),
                    (0.2 * size, drop, 0.55 * long),
                )
            )
    return parts


def car(draw: Draw) -> list[Part]:
    """Body, cabin and four wheels that touch the ground; sedan, hatchback, wagon, van or pickup."""
    kind = draw.choice("kind", ("sedan", "hatchback", "wagon", "van", "pickup"), (4, 3, 3, 2, 2))
    tall = kind in ("wagon", "van", "pickup")
    length = {"sedan": 4.6, "hatchback": 3.9, "wagon": 4.6, "van": 4.8, "pickup": 5.2}[kind] * draw.number(
        "length", 0.92, 1.08
    )
    width = length * draw.number("width", 0.38, 0.43)
    wheel = draw.number("wheel radius", 0.29, 0.35) * (1.15 if tall else 1.0)
    tire = draw.number("tire width", 0.17, 0.25)
    base = length * draw.number("wheelbase", 0.56, 0.63)
    clearance = wheel * draw.number("clearance", 0.5, 0.75)
    shoulder = clearance + draw.number("body height", 0.5, 0.62) * (1.15 if tall else 1.0)
    hood = shoulder - draw.number("hood drop", 0.02, 0.2)
    trunk = shoulder - draw.number("trunk drop", 0.0, 0.12)
    bumper = draw.number("bumper", 0.06, 0.2)
    belly = draw.number("bumper height", 0.35, 0.6)
    front, rear = -length / 2, length / 2
    chin = clearance + belly * (hood - clearance)
    # The side outline, (x, z) = (height, along): the Loft grows to the left from the right flank.
    side = (
        (clearance, front + bumper),
        (chin, front),
        (hood, front + bumper),
        (shoulder, front + 0.3 * length),
        (shoulder, rear - 0.25 * length),
    )
    side += ((trunk, rear - 0.5 * bumper), (chin, rear), (clearance, rear - bumper))
    parts = [Part("body", Loft(side, width), (width / 2, 0.0, 0.0), LEFT)]

    spans = {
        "sedan": (0.30, 0.80),
        "hatchback": (0.28, 0.95),
        "wagon": (0.28, 0.97),
        "van": (0.14, 0.98),
        "pickup": (0.27, 0.62),
    }
    begin, end = (length * share - length / 2 for share in spans[kind])
    begin += length * draw.number("cabin start", -0.03, 0.03)
    roof = draw.number("roof height", 0.45, 0.58) * {"van": 1.9, "wagon": 1.15, "pickup": 1.1}.get(kind, 1.0)
    windshield = roof * draw.number("windshield slope", 0.7, 1.3) * (0.6 if kind == "van" else 1.0)
    steep = kind in ("wagon", "van", "pickup")
    back = roof * (draw.number("rear slope", 0.05, 0.3) if steep else draw.number("rear slope", 0.5, 1.1))
    depth, sunk = end - begin, 0.2
    run = (roof + sunk) / roof  # the cabin is sunk into the body so that no face is shared
    slope_front, slope_back = windshield * run, back * run
    middle = (begin - windshield * (run - 1) + end + back * (run - 1)) / 2
    footprint = depth + (windshield + back) * (run - 1)
    narrow = draw.number("roof width", 0.74, 0.88)
    cabin = Loft(
        rectangle(width * 0.96, footprint),
        roof + sunk,
        (narrow, (footprint - slope_front - slope_back) / footprint),
        (0.0, (slope_front - slope_back) / 2),
    )
    parts.append(Part("cabin", cabin, (0.0, shoulder - sunk, middle)))
    hub = wheel * draw.number("rim", 0.5, 0.7)
    dish = 0.3 * tire
    rubber = Revolution(
        ((0.0, 0.0), (wheel, 0.0), (wheel, tire), (hub, tire), (0.85 * hub, tire - dish), (0.0, tire - dish))
    )
    inset = width / 2 - 0.85 * tire
    for z in (-base / 2, base / 2):
        parts.append(Part("wheel", rubber, (inset, wheel, z), RIGHT))
        parts.append(Part("wheel", rubber, (-inset, wheel, z), LEFT))
    if kind == "pickup":
        wall, rim = 0.09, draw.number("bed wall", 0.25, 0.4)
        bed = rear - 0.25 * bumper - end
        y, z = min(trunk, shoulder) - 0.1 + rim / 2, end + bed / 2 - 0.15
        parts += [block("bed wall", (s * (width / 2 - 0.06), y, z), (wall, rim, bed)) for s in (-1, 1)]
        parts.append(block("tailgate", (0.0, y - 0.01, z + bed / 2 - wall), (width - 0.1, rim - 0.02, wall)))
    elif draw.choice("spoiler", ("no", "yes"), (4, 1)) == "yes" and kind in ("sedan", "hatchback"):
        y = shoulder + (0.16 if kind == "sedan" else roof - 0.01)
        z = rear - 0.16 if kind == "sedan" else end - back + 0.1
        parts.append(block("spoiler", (0.0, y, z), (width * 0.8, 0.04, 0.26)))
        if kind == "sedan":
            parts += [block("strut", (s * width * 0.3, y - 0.14, z), (0.05, 0.28, 0.1)) for s in (-1, 1)]
    elif kind in ("wagon", "van") and draw.choice("roof rails", ("no", "yes")) == "yes":
        x, long = width * 0.42 * narrow, (footprint - slope_front - slope_back) * 0.8
        z = middle + (slope_front - slope_back) / 2
        parts += [block("rail", (s * x, shoulder + roof + 0.03, z), (0.05, 0.12, long)) for s in (-1, 1)]
    mirror = draw.number("mirror", 0.1, 0.16)
    z = begin + 0.8 * windshield * 0.3
    parts += [
        block("mirror", (s * (width * 0.48 + 0.04), shoulder + 0.06, z), (0.28, mirror, 0.08))
        for s in (-1, 1)
    ]
    return parts


def rocket(draw: Draw) -> list[Part]:
    """Stages under a nose cone, nozzle, three or four fins, and boosters beside some."""
    height = draw.number("height", 20, 70)
    radius = height * draw.number("slenderness", 0.04, 0.085)
    nose = radius * draw.number("nose", 1.8, 4.5)
    power = draw.choice("nose shape", (80, 100, 130)) / 100
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
    if fairing > 1.12:
        profile += [(width, body - 1.5 * width), (width * fairing, body - 0.8 * width)]
        width *= fairing
    profile += _ogive(width, nose * width / radius, body, power)
    parts = [Part("body", Revolution(tuple(profile)))]

    nozzle, flare = radius * draw.number("nozzle", 0.4, 0.6), draw.number("nozzle flare", 1.2, 1.7)
    long = radius * draw.number("nozzle length", 0.7, 1.3)
    bell = (
        (0.0, -0.3 * long),
        (0.8 * nozzle * flare, -long),
        (nozzle * flare, -long),
        (nozzle, 0.2 * radius),
        (0.0, 0.2 * radius),
    )
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
        # The fin's span goes outward and its chord down: local y to the radius, local z to -Y.
        parts.append(Part("fin", blade, place, turn_y(angle) @ BACKWARD))
    if boosters:
        slim = radius * draw.number("booster radius", 0.45, 0.62)
        tall = body * min(share, 0.6) * draw.number("booster height", 0.7, 1.0)
        tube = Revolution(
            ((0.0, 0.0), (1.15 * slim, 0.0), (slim, slim), *_ogive(slim, 2.2 * slim, tall, 1.0, 4))
        )
        for i in range(boosters):
            angle = 2 * math.pi * i / boosters + math.pi / 2
            out = radius + 0.95 * slim
            x, z = math.sin(angle), math.cos(angle)
            parts.append(Part("booster", tube, (out * x, -0.1 * radius, out * z)))
            parts.append(rod("strut", (0.0, 0.7 * tall, 0.0), (out * x, 0.7 * tall, out * z), 0.2 * slim))
    return parts
