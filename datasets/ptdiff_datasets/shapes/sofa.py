"""Sofa, in meters; the sitter faces -Z."""

import math

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import FORWARD, LEFT, Point, block, rod, turn_x
from ptdiff_datasets.shapes.polyhedra import Loft, rounded


def sofa(draw: Draw) -> list[Part]:
    """Base, seat cushions, back (with loose cushions), arms (block, round or none), feet, and sometimes a chaise."""
    seats = draw.choice("seats", (1, 2, 3, 4), (1, 3, 4, 1))
    place = draw.number("seat width", 0.52, 0.7)
    depth = draw.number("depth", 0.78, 1.0)
    foot = draw.number("foot height", 0.03, 0.16)
    base = draw.number("base height", 0.12, 0.26)
    cushion = draw.number("cushion height", 0.1, 0.19)
    arms = draw.choice("arms", ("block", "round", "none"), (4, 3, 1))
    arm = draw.number("arm width", 0.12, 0.26)
    rise = draw.number("arm height", 0.12, 0.28)
    back, behind = draw.number("back height", 0.3, 0.55), draw.number("back depth", 0.14, 0.24)
    tilt = draw.number("back tilt", 0.0, 0.2)
    puff = draw.number("cushion corner", 0.02, 0.05)
    inner = seats * place
    width = inner + (2 * arm if arms != "none" else 0.0)
    deck = foot + base
    # The base ends inside the arms and before the back, so that no two faces share a plane.
    parts = [block("base", (0.0, foot + base / 2, -0.01), ((inner + width) / 2, base, depth - 0.02))]
    inset = depth - behind
    # Seat cushions, sunk into the base.
    for i in range(seats):
        x = place * (i + 0.5) - inner / 2
        parts.append(
            _cushion("cushion", place - 0.015, inset, cushion + 0.05, puff, (x, deck - 0.05, -behind / 2 - 0.015))
        )
    # Back, leaning by ``tilt``.
    lean = turn_x(tilt)
    up = base + cushion + back
    z = depth / 2 - behind / 2 + math.sin(tilt) * up / 2
    parts.append(
        block(
            "back",
            (0.0, foot + 0.02 + up / 2, z),
            (width - 0.06 if arms != "none" else width - 0.04, up, behind),
            lean,
        )
    )
    # Loose back cushions.
    if draw.choice("back cushions", ("no", "yes")) == "yes":
        fat = draw.number("back cushion", 0.1, 0.17)
        high = back * draw.number("back cushion height", 0.85, 1.1)
        for i in range(seats):
            x = place * (i + 0.5) - inner / 2
            y = deck + cushion - 0.03
            front = depth / 2 - behind - 0.6 * fat + math.sin(tilt) * (base + cushion)
            parts.append(
                Part(
                    "back cushion",
                    Loft(rounded(place - 0.03, high, puff), fat),
                    (x, y + high / 2, front + 0.5 * fat),
                    lean @ FORWARD,
                )
            )
    # Arms: a block, or a lower block with a round roll on top.
    if arms != "none":
        top = deck + cushion + rise
        for s in (-1, 1):
            x = s * (inner + arm) / 2
            if arms == "block":
                parts.append(block("arm", (x, (foot - 0.01 + top) / 2, -0.01), (arm, top - foot + 0.01, depth + 0.04)))
            else:
                roll = arm * 0.55
                parts.append(
                    block(
                        "arm",
                        (x, (foot - 0.01 + top - roll) / 2, -0.01),
                        (arm * 0.9, top - roll - foot + 0.01, depth + 0.03),
                    )
                )
                parts.append(
                    rod(
                        "arm roll",
                        (x, top - roll, -depth / 2 - 0.04),
                        (x, top - roll, depth / 2 + 0.03),
                        roll,
                    )
                )
    # Chaise: a base and a cushion in front of the outer seat, and two feet of its own.
    chaise = draw.choice("chaise", ("none", "left", "right"), (5, 1, 1)) if seats > 1 else "none"
    long = depth * draw.number("chaise length", 0.55, 0.85)
    feet_front = -depth / 2 + 0.08
    if chaise != "none":
        x = (inner - place) / 2 * (1 if chaise == "right" else -1)
        parts.append(
            block(
                "chaise",
                (x, foot + base / 2 + 0.001, -depth / 2 - long / 2 + 0.04),
                (place - 0.004, base - 0.006, long),
            )
        )
        parts.append(
            _cushion(
                "cushion",
                place - 0.018,
                long,
                cushion + 0.04,
                puff,
                (x, deck - 0.045, -depth / 2 - long / 2 + 0.02),
            )
        )
        parts += [
            rod(
                "foot",
                (x + s * 0.4 * place, 0.0, -depth / 2 - long + 0.14),
                (x + s * 0.4 * place, deck - 0.04, -depth / 2 - long + 0.14),
                0.025,
            )
            for s in (-1, 1)
        ]
    # Four feet.
    parts += [
        rod("foot", (sx * (width / 2 - 0.08), 0.0, z), (sx * (width / 2 - 0.08), foot + 0.06, z), 0.022, 0.032)
        for sx in (-1, 1)
        for z in (feet_front, depth / 2 - 0.08)
    ]
    return parts


def _cushion(name: str, width: float, depth: float, height: float, corner: float, place: Point) -> Part:
    """A cushion with rounded upper and lower edges: its cross-section carried along X."""
    x, y, z = place
    outline = rounded(height, depth, min(corner, 0.45 * height))
    return Part(name, Loft(outline, width), (x + width / 2, y + height / 2, z), LEFT)
