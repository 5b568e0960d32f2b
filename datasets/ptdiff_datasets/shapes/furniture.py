"""Table and bookshelf. Meters; the front is towards -Z."""

from ptdiff_datasets.shapes.draw import Draw
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import block, leg, rod
from ptdiff_datasets.shapes.polyhedra import Loft, oval, rectangle, rounded
from ptdiff_datasets.shapes.revolution import Revolution


def table(draw: Draw) -> list[Part]:
    """A top (rectangular, cut corners, round, oval) on four legs, a pedestal, trestles or side panels."""
    kind = draw.choice("kind", ("dining", "coffee", "side"), (5, 2, 2))
    outline = draw.choice("top", ("rectangle", "cut", "round", "oval"), (5, 1, 3, 1))
    height = {"dining": 0.74, "coffee": 0.42, "side": 0.58}[kind] * draw.number("height", 0.93, 1.1)
    depth = {"dining": 0.85, "coffee": 0.65, "side": 0.48}[kind] * draw.number("depth", 0.85, 1.2)
    width = (
        depth if outline == "round" else depth * draw.number("aspect", 1.0, 2.1 if kind != "side" else 1.4)
    )
    thick = draw.number("top thickness", 0.02, 0.06)
    is_round = outline in ("round", "oval")
    edge = {
        "rectangle": rectangle(width, depth),
        "cut": rounded(width, depth, 0.2 * depth),
        "round": oval(width, depth, 28),
        "oval": oval(width, depth, 28),
    }[outline]
    bevel = draw.number("bevel", 0.96, 1.0)
    parts = [Part("top", Loft(edge, thick, (1 / bevel, 1 / bevel)), (0.0, height - thick, 0.0))]
    top = height - 0.4 * thick
    spread = 0.33 if is_round else 0.42
    x, z = width * spread, depth * spread
    base = draw.choice(
        "base",
        ("legs", "pedestal", "trestle", "panels"),
        (5, 3 if is_round else 1, 0 if is_round else 1, 0 if is_round else 1),
    )
    size = draw.number("leg size", 0.02, 0.045) * (0.6 + 0.5 * height)
    corners = [(sx, sz) for sx in (-1, 1) for sz in (-1, 1)]
    if base == "legs":
        style = draw.choice("legs", ("square", "round"))
        splay, thin = draw.number("splay", 0.0, 0.12), draw.number("leg taper", 0.45, 1.0)
        if style == "square":
            stake = Loft(rectangle(2 * size * thin, 2 * size * thin), top, (1 / thin, 1 / thin))
            parts += [Part("leg", stake, (sx * x, 0.0, sz * z)) for sx, sz in corners]
        else:
            out = splay * height
            parts += [
                leg("leg", (sx * (x + out), 0.0, sz * (z + out)), (sx * x, top, sz * z), size * thin, size)
                for sx, sz in corners
            ]
        if not is_round and draw.choice("apron", ("no", "yes")) == "yes":
            apron = draw.number("apron height", 0.06, 0.14)
            y = height - thick - apron / 2 + 0.3 * thick
            parts += [block("apron", (0.0, y, s * z), (2 * x, apron, 0.02)) for s in (-1, 1)]
            parts += [block("apron", (s * x, y - 0.002, 0.0), (0.02, apron, 2 * z)) for s in (-1, 1)]
        if (
            kind != "dining"
            and draw.choice("shelf", ("no", "yes")) == "yes"
            and (style == "square" or splay < 0.04)
        ):
            y = height * draw.number("shelf height", 0.2, 0.4)
            parts.append(block("shelf", (0.0, y, 0.0), (2 * x, 0.02, 2 * z)))
        return parts
    if base == "pedestal":
        foot = min(width, depth) * draw.number("foot", 0.24, 0.36)
        waist, low = foot * draw.number("waist", 0.12, 0.3), 0.04 * height
        turned = ((0.0, 0.0), (foot, 0.0), (foot, low), (1.6 * waist, 2.4 * low), (waist, 0.25 * height))
        turned += ((waist, 0.75 * height), (min(2.2 * waist, 0.9 * foot), top), (0.0, top))
        parts.append(Part("pedestal", Revolution(turned)))
        return parts
    if base == "panels":
        parts += [block("panel", (s * x, top / 2, 0.0), (size * 1.2, top, 2 * z)) for s in (-1, 1)]
        parts.append(block("beam", (0.0, height * 0.6, 0.0), (2 * x, 0.14 * height, size * 0.8)))
        return parts
    for s in (-1, 1):
        cross = z * draw.number("trestle cross", 0.85, 1.0)
        parts += [
            leg(
                "trestle",
                (s * 0.8 * x, 0.0, t * cross),
                (s * 0.8 * x + s * t * 0.002, top, -t * cross * 0.8),
                size,
            )
            for t in (-1, 1)
        ]
    parts.append(rod("beam", (-0.8 * x, height * 0.53, 0.0), (0.8 * x, height * 0.53, 0.0), 0.7 * size))
    return parts


def bookshelf(draw: Draw) -> list[Part]:
    """Two sides, two to six shelves, perhaps a back panel, a divider, feet, and books on the shelves."""
    height = draw.number("height", 0.9, 2.1)
    width = height * draw.number("aspect", 0.38, 0.85)
    depth = draw.number("depth", 0.24, 0.38) * (0.6 + 0.3 * height)
    board = draw.number("board", 0.018, 0.032)
    plinth = draw.number("plinth", 0.02, 0.12)
    shelves = draw.choice("shelves", (2, 3, 4, 5), (1, 3, 3, 2))
    grow = draw.number("lower shelves taller", 0.0, 0.35)
    back = draw.choice("back", ("open", "panel"), (1, 2))
    divider = draw.choice("divider", ("none", "middle", "side"), (5, 1, 1))
    books = draw.number("books", 0.0, 0.9)
    shallow = depth - 0.012
    parts = [
        block("side", (s * (width - board) / 2, height / 2, 0.0), (board, height, depth)) for s in (-1, 1)
    ]
    overhang = draw.choice("top", ("between", "over"))
    lid = height - board / 2 - 0.006 if overhang == "between" else height
    parts.append(
        block(
            "top",
            (0.0, lid, 0.0),
            (
                width - board if overhang == "between" else width + 0.03,
                board,
                shallow if overhang == "between" else depth + 0.02,
            ),
        )
    )
    weights = [1 + grow * (shelves - i) for i in range(shelves + 1)]
    room = (lid - plinth) / sum(weights)
    levels = [plinth + room * sum(weights[:i]) for i in range(shelves + 1)]
    parts += [block("shelf", (0.0, y, 0.0), (width - board, board, shallow)) for y in levels]
    if back == "panel":
        parts.append(
            block("back", (0.0, (lid + plinth) / 2, depth / 2 - 0.014), (width - board, lid - plinth, 0.01))
        )
    split = 0.0
    if divider != "none":
        split = 0.0 if divider == "middle" else (width - board) * draw.number("divider place", -0.22, 0.22)
        parts.append(
            block("divider", (split, (lid + plinth) / 2, 0.0), (board, lid - plinth, shallow - 0.01))
        )
    left, right = -width / 2 + board + 0.004, width / 2 - board - 0.004
    bays = (
        [(left, right)]
        if divider == "none"
        else [(left, split - board / 2 - 0.004), (split + board / 2 + 0.004, right)]
    )
    for level, (y, weight) in enumerate(zip(levels, weights, strict=True)):
        for bay, (begin, end) in enumerate(bays):
            if draw.number(f"fill {level} {bay}", 0.0, 1.0) > books:
                continue
            free = room * weight - board
            share, rise = (
                draw.number(f"row {level} {bay}", 0.3, 0.95),
                draw.number(f"book height {level} {bay}", 0.55, 0.9),
            )
            x = (
                begin + (end - begin) * share / 2
                if (level + bay) % 2 == 0
                else end - (end - begin) * share / 2
            )
            tall, deep = free * rise + board / 2, depth * 0.65
            parts.append(block("books", (x, y + tall / 2, 0.02 * depth), ((end - begin) * share, tall, deep)))
    return parts
