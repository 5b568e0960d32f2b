"""Chair, in meters; the sitter faces -Z."""

import math

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import Point, block, leg, rod, turn_x
from ptdiff_datasets.shapes.polyhedra import Loft, oval, rounded
from ptdiff_datasets.shapes.revolution import frustum


def chair(draw: Draw) -> list[Part]:
    """Seat, base (legs, pedestal, sled), back (panel, slats, ladder, rail) and sometimes arms."""
    width, depth = draw.number("width", 0.4, 0.56), draw.number("depth", 0.4, 0.52)
    height = draw.number("seat height", 0.38, 0.52)
    thick = draw.number("seat thickness", 0.025, 0.08)
    outline = draw.choice("seat", ("square", "cut", "round"), (4, 4, 2))
    base = draw.choice("base", ("legs", "pedestal", "sled"), (5, 2, 1))
    back = draw.choice("back", ("panel", "slats", "ladder", "rail"), (3, 3, 3, 1))
    arms = draw.choice("arms", ("no", "yes"), (3, 2))
    corner = {"square": 0.01, "cut": 0.12 * min(width, depth), "round": 0.0}[outline]
    edge = oval(width, depth) if outline == "round" else rounded(width, depth, corner)
    narrowing = draw.number("seat taper", 0.88, 1.0)
    seat = Loft(edge, thick, (1 / narrowing, 1 / narrowing))
    parts = [Part("seat", seat, (0.0, height - thick, 0.0))]
    under = height - 0.4 * thick
    parts += _chair_base(draw, base, width, depth, under, {"square": 0.42, "cut": 0.4, "round": 0.32}[outline])

    tall, tilt = draw.number("back height", 0.35, 0.62), draw.number("back tilt", 0.02, 0.28)
    bar, post = draw.number("back thickness", 0.016, 0.04), draw.number("post width", 0.025, 0.045)
    widest = {"square": 0.98, "cut": 0.75, "round": 0.7}[outline]  # the posts must stand on the seat
    across = width * draw.number("back width", widest - 0.1, widest)
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
                parts.append(block("rung", on_back(0.0, up), (2 * side, 0.35 * tall / count, 0.4 * post), lean))
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
            parts.append(rod("stretcher", (-x - out, share * top, 0.0), (x + out, share * top, 0.0), 0.5 * radius))
        return parts
    if base == "pedestal":
        arms, reach = draw.choice("star", (4, 5)), draw.number("star radius", 0.26, 0.34)
        caster = draw.number("caster", 0.025, 0.035)
        parts = [rod("column", (0.0, 2 * caster, 0.0), (0.0, top, 0.0), 1.3 * radius)]
        parts.append(Part("plate", frustum(0.3 * depth * spread, 0.6 * depth * spread, 0.03), (0.0, top - 0.05, 0.0)))
        for i in range(arms):
            angle = 2 * math.pi * i / arms + math.pi / 2
            tip = (reach * math.cos(angle), 1.6 * caster, -reach * math.sin(angle))
            parts.append(rod("star", (0.0, 3 * caster, 0.0), tip, 1.1 * radius, 0.6 * radius))
            parts.append(Part("caster", frustum(0.7 * caster, 0.7 * caster, 1.8 * caster), (tip[0], 0.0, tip[2])))
        return parts
    radius *= 0.8
    parts = []
    for sx in (-1, 1):
        parts += [rod("leg", (sx * x, radius, sz * z), (sx * x, top, sz * z), 0.99 * radius) for sz in (-1, 1)]
        parts.append(rod("runner", (sx * x, radius, -1.15 * z), (sx * x, radius, 1.15 * z), radius))
    return parts
