"""Table and bookshelf, in meters; the front faces -Z."""

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import block, leg, rod
from ptdiff_datasets.shapes.polyhedra import Loft, Outline, oval, rectangle, rounded
from ptdiff_datasets.shapes.revolution import Revolution

_HEIGHT = {"dining": 0.74, "coffee": 0.42, "side": 0.58}
_DEPTH = {"dining": 0.85, "coffee": 0.65, "side": 0.48}
_SIDES = (-1, 1)
_CORNERS = [(x, z) for x in _SIDES for z in _SIDES]


def table(draw: Draw) -> list[Part]:
    """A top (rectangular, cut corners, round, oval) on four legs, a pedestal, trestles or side panels."""
    kind = draw.choice("kind", ("dining", "coffee", "side"), (5, 2, 2))
    outline = draw.choice("top", ("rectangle", "cut", "round", "oval"), (5, 1, 3, 1))
    height = _HEIGHT[kind] * draw.number("height", 0.93, 1.1)
    depth = _DEPTH[kind] * draw.number("depth", 0.85, 1.2)
    width = depth * draw.number("aspect", 1.0, 1.06 if outline == "round" else 1.4 if kind == "side" else 2.1)
    thick = draw.number("top thickness", 0.02, 0.06)
    flare = draw.number("top flare", 1.0, 1.05)
    edge: Outline
    curved = outline in ("round", "oval")
    if curved:
        edge, spread = oval(width, depth, 28), 0.33
    elif outline == "cut":
        edge, spread = rounded(width, depth, 0.18 * depth), 0.37
    else:
        edge, spread = rectangle(width, depth), 0.44
    parts = [Part("top", Loft(edge, thick, (flare, flare)), (0.0, height - thick, 0.0))]
    spread *= draw.number("leg place", 0.86, 1.0)
    x, z, top = spread * width, spread * depth, height - 0.4 * thick
    size = draw.number("leg size", 0.02, 0.045) * (0.6 + 0.5 * height)
    base = draw.choice("base", ("legs", "pedestal", "trestle", "panels"), (5, 3, 0, 0) if curved else (5, 1, 1, 1))
    brace = draw.number("brace height", 0.2, 0.6) * height
    if base == "pedestal":
        foot = min(width, depth) * draw.number("foot", 0.24, 0.36)
        waist, low = foot * draw.number("waist", 0.12, 0.3), 0.04 * height
        plate = ((0.0, 0.0), (foot, 0.0), (foot, low), (1.6 * waist, 2.4 * low), (waist, 0.25 * height))
        stem = ((waist, 0.75 * height), (min(2.2 * waist, 0.9 * foot), top), (0.0, top))
        return [*parts, Part("pedestal", Revolution(plate + stem))]
    if base == "panels":
        parts += [block("panel", (s * x, top / 2, 0.0), (1.2 * size, top, 2 * z)) for s in _SIDES]
        return [*parts, block("beam", (0.0, brace, 0.0), (2 * x, 0.14 * height, 0.8 * size))]
    if base == "trestle":
        cross = z * draw.number("trestle spread", 0.85, 1.0)
        for side in _SIDES:
            # The two legs of a trestle cross at the beam, slightly offset so that they share no side.
            parts += [
                leg(
                    "trestle",
                    (0.8 * side * x, 0.0, t * cross),
                    (0.8 * side * x + 0.2 * t * size, top, -t * cross),
                    size,
                )
                for t in _SIDES
            ]
        return [*parts, rod("beam", (-0.8 * x, top / 2, 0.0), (0.8 * x, top / 2, 0.0), 0.7 * size)]
    style = draw.choice("legs", ("square", "round"))
    thin = draw.number("leg taper", 0.45, 1.0)
    splay = draw.number("splay", 0.0, 0.12) * height
    if style == "square":
        stake = Loft(rectangle(2 * size * thin, 2 * size * thin), top, (1 / thin, 1 / thin))
        parts += [Part("leg", stake, (sx * x, 0.0, sz * z)) for sx, sz in _CORNERS]
    else:
        parts += [
            leg("leg", (sx * (x + splay), 0.0, sz * (z + splay)), (sx * x, top, sz * z), size * thin, size)
            for sx, sz in _CORNERS
        ]
    if not curved and draw.choice("apron", ("no", "yes")) == "yes":
        apron = draw.number("apron height", 0.06, 0.14)
        y = height - thick - apron / 2 + 0.3 * thick
        parts += [block("apron", (0.0, y, s * z), (2 * x, apron, 0.02)) for s in _SIDES]
        parts += [block("apron", (s * x, y - 0.002, 0.0), (0.02, apron, 2 * z)) for s in _SIDES]
    if kind != "dining" and draw.choice("shelf", ("no", "yes")) == "yes":
        out = splay * (1 - brace / top) if style == "round" else 0.0
        parts.append(block("shelf", (0.0, brace, 0.0), (2 * (x + out), 0.02, 2 * (z + out))))
    return parts


def bookshelf(draw: Draw) -> list[Part]:
    """Two sides, three to six shelves, sometimes a back panel, a divider, and rows of books."""
    height = draw.number("height", 0.9, 2.1)
    width = height * draw.number("aspect", 0.38, 0.85)
    depth = draw.number("depth", 0.24, 0.38) * (0.6 + 0.3 * height)
    board = draw.number("board", 0.018, 0.032)
    plinth = draw.number("plinth", 0.03, 0.12)
    count = draw.choice("shelves", (3, 4, 5, 6), (1, 3, 3, 2))
    grow = draw.number("lower shelves taller", 0.0, 0.35)
    back = draw.choice("back", ("open", "panel"), (1, 2))
    divider = draw.choice("divider", ("none", "middle", "side"), (5, 1, 1))
    lid = draw.choice("lid", ("between", "over"))
    books, book = draw.number("books", 0.0, 0.8), draw.number("book height", 0.5, 0.85)
    inner, shallow = width - board, depth - 0.012  # shelves end inside the sides and behind their front edge
    parts = [block("side", (s * inner / 2, height / 2, 0.0), (board, height, depth)) for s in _SIDES]
    if lid == "over":
        top = height
        parts.append(block("lid", (0.0, top, 0.0), (width + 0.03, board, depth + 0.02)))
    else:
        top = height - board / 2 - 0.006
        parts.append(block("lid", (0.0, top, 0.0), (inner, board, shallow)))
    rooms = [1 + grow * (count - 1 - i) for i in range(count)]
    unit = (top - plinth) / sum(rooms)
    levels = [plinth + unit * sum(rooms[:i]) for i in range(count)]
    parts += [block("shelf", (0.0, y, 0.0), (inner, board, shallow)) for y in levels]
    middle, tall = (top + plinth) / 2, top - plinth
    if back == "panel":
        parts.append(block("back", (0.0, middle, depth / 2 - 0.014), (inner, tall, 0.01)))
    left, right = -width / 2 + board + 0.004, width / 2 - board - 0.004
    bays = [(left, right)]
    if divider != "none":
        split = draw.number("divider place", -0.05, 0.05) if divider == "middle" else 0.2
        split *= inner
        parts.append(block("divider", (split, middle, 0.0), (board, tall, shallow - 0.01)))
        bays = [(left, split - board / 2 - 0.004), (split + board / 2 + 0.004, right)]
    for level, (y, room) in enumerate(zip(levels, rooms, strict=True)):
        for bay, (begin, end) in enumerate(bays):
            row = draw.number(f"row {level}{'ab'[bay]}", books - 1, books)  # share of the bay's width; none below 0.15
            if row > 0.15:
                share, size = row * (end - begin), unit * room * book * (0.9 if level % 2 else 1.0)
                x = begin + share / 2 if (level + bay) % 2 else end - share / 2
                parts.append(block("books", (x, y + size / 2, 0.02 * depth), (share, size, 0.65 * depth)))
    return parts
