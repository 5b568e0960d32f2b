"""Chair and sofa. Meters; the sitter looks towards -Z."""

import math

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import FORWARD, LEFT, Point, block, leg, rod, turn_x
from ptdiff_datasets.shapes.polyhedra import Loft, oval, rounded
from ptdiff_datasets.shapes.revolution import frustum


def chair(draw: Draw) -> list[Part]:
    """Seat, a base (legs, pedestal, sled), a back (panel, slats, ladder, rail) and perhaps arms."""
    width, depth = draw.number("width", 0.4, 0.56), draw.number("depth", 0.4, 0.52)
    height = draw.number("seat height", 0.38, 0.52)
    thick = draw.number("seat thickness", 0.025, 0.08)
    outline = draw.choice("seat", ("square", "cut", "round"), (4, 4, 2))
    base = draw.choice("base", ("legs", "pedestal", "sled"), (5, 2, 1))
    back = draw.choice("back", ("panel", "slats", "ladder", "rail"), (3, 3, 3, 1))
    arms = draw.choice("arms", ("no", "yes"), (3, 2))
    corner = {"square": 0.01, "cut": 0.22 * min(width, depth), "round": 0.0}[outline]
    edge = oval(width, depth) if outline == "round" else rounded(width, depth, corner)
    narrowing = draw.number("seat taper", 0.88, 1.0)
    seat = Loft(edge, thick, (1 / narrowing, 1 / narrowing))
    parts = [Part("seat", seat, (0.0, height - thick, 0.0))]
    under = height - 0.4 * thick
    parts += _chair_base(draw, base, width, depth, under, 0.32 if outline == "round" else 0.42)

    tall, tilt = draw.number("back height", 0.35, 0.62), draw.number("back tilt", 0.02, 0.28)
    bar, post = draw.number("back thickness", 0.016, 0.04), draw.number("post width", 0.025, 0.045)
    across = width * (0.72 if outline == "round" else draw.number("back width", 0.82, 0.98))
    hinge = 0.36 * depth if outline == "round" else depth / 2 - post
    lean = turn_x(tilt)

    def on_back(x: float, up: float, behind: float = 0.0) -> Point:
        c, s = math.cos(tilt), math.sin(tilt)
        return (x, height - 0.6 * thick + c * up - s * behind, hinge + s * up + c * behind)

    side = across / 2 - post / 2
    if back == "panel":
        gap = tall * draw.number("gap", 0.0, 0.3)
        parts.append(block("back", on_back(0.0, (gap + tall) / 2), (across, tall - gap, bar), lean))
        if gap:
            parts += [
                block("post", on_back(s * side * 0.7, (gap + 0.1) / 2), (post, gap + 0.1, bar * 0.7), lean)
                for s in (-1, 1)
            ]
    else:
        parts += [rod("post", on_back(s * side, 0.0), on_back(s * side, tall), post / 2) for s in (-1, 1)]
        crest = draw.number("crest", 0.04, 0.1)
        parts.append(block("crest", on_back(0.0, tall - crest * 0.6), (2 * side, crest, 0.6 * post), lean))
        if back == "slats":
            count = draw.choice("slats", (3, 4, 5, 6))
            for i in range(count):
                x = side * (2 * (i + 1) / (count + 1) - 1)
                parts.append(rod("slat", on_back(x, 0.0), on_back(x, tall - 0.5 * crest), 0.3 * post))
        elif back == "ladder":
            count = draw.choice("rungs", (2, 3, 4))
            for i in range(count):
                up = tall * (0.25 + 0.55 * i / count)
                parts.append(
                    block("rung", on_back(0.0, up), (2 * side, 0.35 * tall / count, 0.4 * post), lean)
                )
    if arms == "yes":
        lift, pad = draw.number("arm height", 0.16, 0.26), draw.number("arm width", 0.03, 0.06)
        long = depth * draw.number("arm length", 0.7, 0.95)
        reach = hinge + math.tan(tilt) * lift
        for s in (-1, 1):
            x, y = s * (width / 2 + pad / 4 - 0.01), height + lift
            parts.append(block("arm", (x, y, reach - long / 2), (pad, 0.03, long)))
            parts.append(
                rod(
                    "arm post",
                    (x - s * pad / 4 - s * 0.012, under, reach - 0.85 * long),
                    (x, y, reach - 0.85 * long),
                    0.011,
                )
            )
            parts.append(
                block(
                    "arm joint",
                    (s * (side + width / 2) / 2, y - 0.001, reach),
                    (abs(width / 2 - side) + pad, 0.024, 0.024),
                )
            )
    return parts


def _chair_base(draw: Draw, base: str, width: float, depth: float, top: float, spread: float) -> list[Part]:
    radius = draw.number("leg radius", 0.012, 0.026)
    corners = [(sx, sz) for sx in (-1, 1) for sz in (-1, 1)]
    x, z = width * spread, depth * spread
    if base == "legs":
        splay = draw.number("splay", 0.0, 0.2)
        thin = draw.number("leg taper", 0.5, 1.0)
        parts = [
            leg(
                "leg",
                (sx * (x + splay * 0.45), 0.0, sz * (z + splay * 0.45)),
                (sx * x, top, sz * z),
                radius * thin,
                radius,
            )
            for sx, sz in corners
        ]
        if draw.choice("stretchers", ("no", "yes")) == "yes":
            share = draw.number("stretcher height", 0.25, 0.5)
            out = splay * 0.45 * (1 - share)
            parts += [
                rod(
                    "stretcher",
                    (s * (x + out), share * top, -z - out),
                    (s * (x + out), share * top, z + out),
                    0.5 * radius,
                )
                for s in (-1, 1)
            ]
            parts.append(
                rod("stretcher", (-x - out, share * top, 0.0), (x + out, share * top, 0.0), 0.5 * radius)
            )
        return parts
    if base == "pedestal":
        arms, reach = draw.choice("star", (4, 5)), draw.number("star radius", 0.26, 0.34)
        caster = draw.number("caster", 0.025, 0.035)
        parts = [rod("column", (0.0, 2 * caster, 0.0), (0.0, top, 0.0), 1.3 * radius)]
        parts.append(
            Part("plate", frustum(0.3 * depth * spread, 0.6 * depth * spread, 0.03), (0.0, top - 0.05, 0.0))
        )
        for i in range(arms):
            angle = 2 * math.pi * i / arms + math.pi / 2
            tip = (reach * math.cos(angle), 1.6 * caster, -reach * math.sin(angle))
            parts.append(rod("star", (0.0, 3 * caster, 0.0), tip, 1.1 * radius, 0.6 * radius))
            parts.append(
                Part("caster", frustum(0.7 * caster, 0.7 * caster, 1.8 * caster), (tip[0], 0.0, tip[2]))
            )
        return parts
    radius *= 0.8
    parts = []
    for sx in (-1, 1):
        parts += [rod("leg", (sx * x, radius, sz * z), (sx * x, top, sz * z), radius) for sz in (-1, 1)]
        parts.append(rod("runner", (sx * x, radius, -1.15 * z), (sx * x, radius, 1.15 * z), 1.001 * radius))
    return parts


def sofa(draw: Draw) -> list[Part]:
    """Base, seat cushions, back (with loose cushions), arms (block, round or none), feet, and a chaise on some."""
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
    parts = [block("base", (0.0, foot + base / 2, 0.0), (width - 0.02, base, depth))]
    inset = depth - behind
    for i in range(seats):
        x = place * (i + 0.5) - inner / 2
        parts.append(
            _cushion(
                "cushion", place - 0.015, inset, cushion + 0.05, puff, (x, deck - 0.05, -behind / 2 - 0.015)
            )
        )
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
    if arms != "none":
        top = deck + cushion + rise
        for s in (-1, 1):
            x = s * (inner + arm) / 2
            if arms == "block":
                parts.append(
                    block("arm", (x, (foot - 0.01 + top) / 2, -0.01), (arm, top - foot + 0.01, depth + 0.04))
                )
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
    parts += [
        rod(
            "foot", (sx * (width / 2 - 0.08), 0.0, z), (sx * (width / 2 - 0.08), foot + 0.06, z), 0.022, 0.032
        )
        for sx in (-1, 1)
        for z in (feet_front, depth / 2 - 0.08)
    ]
    return parts


def _cushion(name: str, width: float, depth: float, height: float, corner: float, place: Point) -> Part:
    """A cushion with rounded upper and lower edges: its cross-section carried along X."""
    x, y, z = place
    outline = rounded(height, depth, min(corner, 0.45 * height))
    return Part(name, Loft(outline, width), (x + width / 2, y + height / 2, z), LEFT)
