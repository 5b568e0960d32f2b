"""Car, in meters; the hood points towards -Z."""

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import LEFT, RIGHT, block
from ptdiff_datasets.shapes.polyhedra import Loft, rectangle
from ptdiff_datasets.shapes.revolution import Revolution

_LENGTH = {"sedan": 4.6, "hatchback": 3.9, "wagon": 4.6, "van": 4.8, "pickup": 5.2}
_ROOF = {"sedan": 1.0, "hatchback": 1.0, "wagon": 1.15, "van": 1.9, "pickup": 1.1}
# Where the windshield starts at the hood and the rear window ends, as fractions of the length.
_CABIN = {
    "sedan": (0.3, 0.8),
    "hatchback": (0.28, 0.95),
    "wagon": (0.28, 0.97),
    "van": (0.14, 0.98),
    "pickup": (0.27, 0.62),
}


def car(draw: Draw) -> list[Part]:
    """Body, cabin and four wheels that touch the ground; sedan, hatchback, wagon, van or pickup."""
    kind = draw.choice("kind", ("sedan", "hatchback", "wagon", "van", "pickup"), (4, 3, 3, 2, 2))
    high = kind in ("wagon", "van", "pickup")
    length = _LENGTH[kind] * draw.number("length", 0.92, 1.08)
    width = length * draw.number("width", 0.38, 0.43)
    wheel = draw.number("wheel radius", 0.29, 0.35) * (1.15 if high else 1.0)
    clearance = wheel * draw.number("clearance", 0.5, 0.75)
    shoulder = clearance + draw.number("body height", 0.5, 0.62) * (1.15 if high else 1.0)
    hood = shoulder - draw.number("hood drop", 0.02, 0.2)
    trunk = shoulder - draw.number("trunk drop", 0.0, 0.12)
    bumper = draw.number("bumper", 0.06, 0.2)
    chin = clearance + draw.number("bumper height", 0.35, 0.6) * (hood - clearance)
    front, rear = -length / 2, length / 2
    # The side outline as (height, along), extruded from the right flank to the left.
    nose = (
        (clearance, front + bumper),
        (chin, front),
        (hood, front + bumper),
        (shoulder, front + 0.3 * length),
    )
    stern = (
        (shoulder, rear - 0.25 * length),
        (trunk, rear - 0.5 * bumper),
        (chin, rear),
        (clearance, rear - bumper),
    )
    parts = [Part("body", Loft(nose + stern, width), (width / 2, 0.0, 0.0), LEFT)]

    begin, end = (length * (share - 0.5) for share in _CABIN[kind])
    begin += length * draw.number("cabin start", -0.03, 0.03)
    roof = _ROOF[kind] * draw.number("roof height", 0.45, 0.58)
    windshield = roof * draw.number("windshield slope", 0.7, 1.3) * (0.6 if kind == "van" else 1.0)
    back = roof * draw.number("rear slope", *((0.05, 0.3) if high else (0.5, 1.1)))
    narrow = draw.number("roof width", 0.74, 0.88)
    sunk = 0.15  # the cabin starts this far down in the body, so that they share no face
    run = (roof + sunk) / roof
    floor_begin, floor_end = begin - windshield * (run - 1), end + back * (run - 1)
    roof_begin, roof_end = begin + windshield, end - back
    depth, middle, roof_middle = (
        floor_end - floor_begin,
        (floor_begin + floor_end) / 2,
        (roof_begin + roof_end) / 2,
    )
    outline = rectangle(0.96 * width, depth)
    taper = (narrow, (roof_end - roof_begin) / depth)
    cabin = Loft(outline, roof + sunk, taper, (0.0, roof_middle - middle))
    parts.append(Part("cabin", cabin, (0.0, shoulder - sunk, middle)))

    tire = draw.number("tire width", 0.17, 0.25)
    hub = wheel * draw.number("rim", 0.5, 0.7)
    dish = 0.7 * tire
    rubber = ((0.0, 0.0), (wheel, 0.0), (wheel, tire), (hub, tire), (0.85 * hub, dish), (0.0, dish))
    axle = length * draw.number("wheelbase", 0.28, 0.315)
    inset = width / 2 - 0.85 * tire
    for z in (-axle, axle):
        parts.append(Part("wheel", Revolution(rubber), (inset, wheel, z), RIGHT))
        parts.append(Part("wheel", Revolution(rubber), (-inset, wheel, z), LEFT))
    mirror = draw.number("mirror", 0.1, 0.16)
    at = (0.48 * width + 0.04, shoulder + 0.06, begin + 0.25 * windshield)
    parts += [block("mirror", (s * at[0], at[1], at[2]), (0.28, mirror, 0.08)) for s in (-1, 1)]

    extra = draw.choice("extra", ("none", "one"), (0, 1) if kind == "pickup" else (2, 1))
    if kind == "pickup":
        wall, rim = 0.09, draw.number("bed wall", 0.25, 0.4)
        bed = rear - 0.25 * bumper - end
        y, z = trunk - 0.1 + rim / 2, end + bed / 2 - 0.15
        parts += [block("bed wall", (s * (width / 2 - 0.06), y, z), (wall, rim, bed)) for s in (-1, 1)]
        parts.append(block("tailgate", (0.0, y - 0.01, z + bed / 2 - wall), (width - 0.1, rim - 0.02, wall)))
    elif extra == "one" and high:
        size = (0.05, 0.12, 0.8 * (roof_end - roof_begin))
        parts += [
            block("rail", (s * 0.42 * narrow * width, shoulder + roof + 0.03, roof_middle), size) for s in (-1, 1)
        ]
    elif extra == "one" and kind == "hatchback":
        parts.append(
            block("spoiler", (0.0, shoulder + roof - 0.01, roof_end + 0.1), (0.8 * narrow * width, 0.04, 0.26))
        )
    elif extra == "one":
        parts.append(block("spoiler", (0.0, shoulder + 0.16, rear - 0.16), (0.8 * width, 0.04, 0.26)))
        parts += [block("strut", (s * 0.3 * width, shoulder + 0.02, rear - 0.16), (0.05, 0.28, 0.1)) for s in (-1, 1)]
    return parts
