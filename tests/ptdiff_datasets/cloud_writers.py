"""Random valid files of point clouds whose points, normals, colors and classes are known by construction.

Nothing here knows the readers: texts, PCD, PLY and LAS are packed by hand, LAZ by laspy, arrays by NumPy and h5py.
"""

import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from file_examples import lzf

Column = tuple[str, str, np.ndarray]  # name, type of NumPy, values (n,) or (n, k)


@dataclass(frozen=True, eq=False)
class WrittenCloud:
    """A file and the clouds in it: points (m, n, 3) float64, normals and colors of that shape or None.

    labels: a class name for each cloud, "" for none. order: the axes that the reader has to be given.
    near: largest error of a coordinate, relative to the largest coordinate.
    """

    data: bytes
    suffix: str
    points: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    labels: list[str] | None = None
    order: str = "auto"
    near: float = 0


def directions(r: random.Random, count: int) -> np.ndarray:
    """Random directions (count, 3)."""
    found = np.array([[r.gauss(0, 1) for _ in range(3)] for _ in range(count)])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def paint(r: random.Random, count: int) -> np.ndarray:
    """Random colors (count, 3), of which one is bright, so that they are not fractions."""
    found = np.array([[r.randrange(256) for _ in range(3)] for _ in range(count)], np.uint8)
    found[r.randrange(count)] = (255, r.randrange(2, 256), 128)
    return found


def numbers(r: random.Random, dtype: str, count: int) -> np.ndarray:
    """Random numbers (count,) of a type, near zero or far away."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        far = r.choice((0, 0, 1e3)) if kind.itemsize == 2 else r.choice((0, 0, 1e3, 4.65e6))
        return np.array([r.gauss(far, 1) for _ in range(count)]).astype(kind)
    limits = np.iinfo(kind)
    return np.array([r.randint(max(limits.min, -(2**31)), min(limits.max, 2**31)) for _ in range(count)]).astype(kind)


def _lost(r: random.Random, count: int) -> np.ndarray:
    """Points without a return (count,): less than half."""
    lost = np.zeros(count, bool)
    if r.random() < 0.3:
        lost[r.sample(range(count), r.randint(1, (count - 1) // 2))] = True
    return lost


def _colors(r: random.Random, colors: np.ndarray, types: dict[str, str]) -> list[Column]:
    """Columns of colors of some type and spelling."""
    kind = r.choice([*types])
    values = {
        "u1": colors, "u2": colors.astype(int) * 257, "f4": colors / np.float32(255), "f8": colors / 255,
    }[types[kind]]  # fmt: skip
    if types[kind][0] == "f" and r.random() < 0.5:
        values = colors
    names = r.choice((
        ("red", "green", "blue"), ("r", "g", "b"), ("Red", "Green", "Blue"),
        ("diffuse_red", "diffuse_green", "diffuse_blue"),
        ("vertex_red", "vertex_green", "vertex_blue"), ("R", "G", "B"),
    ))  # fmt: skip
    return [(name, kind, values[:, i]) for i, name in enumerate(names)]


def ply(r: random.Random) -> WrittenCloud:
    """All scalar types and both spellings, text and both byte orders, other elements before and after."""
    types = {
        "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
        "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
        "float32": "f4", "float64": "f8",
    }  # fmt: skip
    count, encoding = r.randint(4, 9), r.choice(("ascii", "binary_little_endian", "binary_big_endian"))
    columns: list[Column] = []
    for name in r.choice(("xyz", "XYZ")):
        kind = r.choice(["float", "double", "float32", "float64"] if r.random() < 0.8 else [*types])
        columns.append((name, kind, numbers(r, types[kind], count)))
    points = np.stack([values for _, _, values in columns], axis=1).astype(np.float64)
    single = all(types[kind] == "f4" for _, kind, _ in columns)
    normals, colors = None, None
    if r.random() < 0.4:
        normals = directions(r, count)
        kind = r.choice(("float", "double"))
        columns += [(f"n{axis}", kind, normals[:, i].astype(types[kind])) for i, axis in enumerate("xyz")]
    if r.random() < 0.5:
        colors = paint(r, count)
        columns += _colors(r, colors, {"uchar": "u1", "uint8": "u1", "ushort": "u2", "float": "f4", "double": "f8"})
    for name in r.sample(("intensity", "alpha", "label", "scalar_Time"), r.randint(0, 2)):
        kind = r.choice([*types])
        columns.append((name, kind, numbers(r, types[kind], count)))
    r.shuffle(columns)
    end = r.choice(("\n", "\r\n", "\r")) if encoding == "ascii" else r.choice(("\n", "\r\n"))
    order = ">" if "big" in encoding else "<"
    before, after = r.random() < 0.2, r.random() < 0.2

    def record(kinds: list[str], row: list[object]) -> bytes:
        if encoding == "ascii":
            return (" ".join(repr(v) for v in row) + end).encode()
        return b"".join(np.array(v, order + types[kind]).tobytes() for kind, v in zip(kinds, row, strict=True))

    lines = ["ply", f"format {encoding} 1.0", "comment made by hand"]
    lines += ["element view 2", "property list uchar int places", "property float weight"] * before
    lines += [f"element vertex {count}", *(f"property {kind} {name}" for name, kind, _ in columns)]
    lines += ["element note 1", "property uchar x"] * after
    body = b""
    if before:
        body += record(["uchar", "int", "int", "float"], [2, 7, 8, 0.5]) + record(["uchar", "float"], [0, 0.5])
    for i in range(count):
        body += record([kind for _, kind, _ in columns], [values[i].item() for _, _, values in columns])
    body += record(["uchar"], [9]) * after
    data = (end.join([*lines, "end_header"]) + end).encode() + body
    return _cloud(data, ".ply", points.astype(np.float32) if single else points, normals, colors)


def pcd(r: random.Random) -> WrittenCloud:
    """All encodings; organized clouds with lost points; packed colors; padding and fields of several numbers."""
    count, encoding = r.choice((4, 6, 8, 9, 12)), r.choice(("ascii", "binary", "binary_compressed"))
    dtype = r.choice(("f4", "f4", "f8", "i4", "i2"))
    points = np.stack([numbers(r, dtype, count) for _ in range(3)], axis=1)
    lost = _lost(r, count) if dtype[0] == "f" else np.zeros(count, bool)
    shown = points.copy()
    if lost.any():
        shown[lost] = np.nan
    columns: list[Column] = [(axis, dtype, shown[:, i]) for i, axis in enumerate("xyz")]
    normals, colors = None, None
    if r.random() < 0.4:
        normals = directions(r, count).astype(np.float32)
        columns += [(f"normal_{axis}", "f4", np.where(lost, np.nan, normals[:, i])) for i, axis in enumerate("xyz")]
    if r.random() < 0.6:
        colors = paint(r, count)
        packed = colors.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        match r.randrange(4):
            case 0:
                columns.append(("rgb", "f4", packed.view(np.float32)))
            case 1:
                columns.append((r.choice(("rgb", "rgba")), "u4", packed + np.uint32(r.choice((0, 255, 7)) << 24)))
            case 2:
                columns += _colors(r, colors, {"u1": "u1", "f4": "f4"})
            case 3:
                columns.append(("rgb", "i4", packed.astype(np.int32)))
    for name in r.sample(("intensity", "_", "fpfh", "ring"), r.randint(0, 3)):
        kind, width = r.choice(("f4", "u1", "u2", "i1", "u4", "f8")), r.choice((1, 3, 4))
        columns.append((name, kind, np.stack([numbers(r, kind, count) for _ in range(width)], axis=1)))
    r.shuffle(columns)
    parts = [np.reshape(values, (count, -1)).astype("<" + kind) for _, kind, values in columns]
    height = r.choice([h for h in (1, 2, 3) if count % h == 0])
    said = {
        "VERSION": r.choice(("0.7", ".7")), "FIELDS": " ".join(c[0] for c in columns),
        "SIZE": " ".join(c[1][1] for c in columns), "TYPE": " ".join(c[1][0].upper() for c in columns),
        "COUNT": " ".join(str(part.shape[1]) for part in parts), "WIDTH": count // height, "HEIGHT": height,
        "VIEWPOINT": "0 0 0 1 0 0 0", "POINTS": count, "DATA": encoding,
    }  # fmt: skip
    head = "# .PCD v0.7\n" * (r.random() < 0.5) + "".join(f"{key} {value}\n" for key, value in said.items())
    if encoding == "ascii":
        rows = [" ".join(repr(v.item()) for part in parts for v in part[i]) for i in range(count)]
        body = "\n".join(rows).encode()
    elif encoding == "binary":
        body = b"".join(part[i].tobytes() for i in range(count) for part in parts)
    else:
        whole = b"".join(part.tobytes() for part in parts)
        small = lzf(whole)
        body = struct.pack("<2I", len(small), len(whole)) + small
    kept = ~lost
    named = (None if part is None else part[kept] for part in (normals, colors))
    return _cloud(head.encode() + body, ".pcd", points[kept].astype(np.float64), *named)


def las(r: random.Random) -> WrittenCloud:
    """LAS 1.0 to 1.4 by hand: point formats 0 to 8, extra bytes, colors of 8 and 16 bits, records before the points."""
    kind, count = r.choice((0, 1, 2, 3, 6, 7, 8)), r.randint(3, 9)
    minor = 4 if kind > 5 else r.choice((0, 1, 2, 3, 4))
    size = {0: 20, 1: 28, 2: 26, 3: 34, 6: 30, 7: 36, 8: 38}[kind]
    place = {2: 20, 3: 28, 7: 30, 8: 30}.get(kind)
    extra = r.choice((0, 0, 3, 8))
    scales = [10.0 ** -r.randint(1, 7) for _ in range(3)]
    offsets = [r.choice((0.0, 500000.0, 4649776.25)) for _ in range(3)]
    whole = np.array([[r.randint(-(2**20), 2**20) for _ in range(3)] for _ in range(count)])
    colors = paint(r, count) if place is not None else None
    times = r.choice((1, 257))
    body = b""
    for i in range(count):
        record = bytearray(r.randbytes(size + extra))
        struct.pack_into("<3i", record, 0, *whole[i].tolist())
        if place is not None:
            struct.pack_into("<3H", record, place, *(colors[i].astype(int) * times).tolist())
        body += record
    header = {0: 227, 1: 227, 2: 227, 3: 235, 4: 375}[minor]
    more = b"".join(
        struct.pack("<H16sHH32s", 0, b"somebody", 7, n, b"") + r.randbytes(n) for n in r.choice(((), (5,), (0, 9)))
    )
    start = header + len(more)
    head = bytearray(header)
    struct.pack_into("<4s", head, 0, b"LASF")
    head[24:26] = bytes((1, minor))
    records = {0: 0, 5: 1, 9: 2}[len(more) - 54 * (0 if not more else 1 if len(more) == 59 else 2)]
    struct.pack_into("<HIIBHI", head, 94, header, start, records, kind, size + extra, 0 if kind > 5 else count)
    struct.pack_into("<6d", head, 131, *scales, *offsets)
    points = whole * scales + np.array(offsets)
    bounds = [bound for axis in range(3) for bound in (points[:, axis].max(), points[:, axis].min())]
    struct.pack_into("<6d", head, 179, *bounds)
    if minor == 4:
        struct.pack_into("<QIQ", head, 235, 0, 0, count)
    return _cloud(bytes(head) + more + body, ".las", points, None, colors, near=1e-12)


def laz(r: random.Random) -> WrittenCloud:
    """Compressed points of all formats, by laspy and lazrs."""
    import laspy

    kind = r.choice((0, 1, 2, 3, 6, 7, 8))
    count = r.randint(3, 40)
    header = laspy.LasHeader(point_format=kind, version="1.4" if kind > 5 else "1.2")
    header.scales = np.array([10.0 ** -r.randint(1, 6) for _ in range(3)])
    header.offsets = np.array([r.choice((0.0, 5e5)) for _ in range(3)])
    file = laspy.LasData(header)
    whole = np.array([[r.randint(-(2**20), 2**20) for _ in range(3)] for _ in range(count)], np.int32)
    file.X, file.Y, file.Z = whole.T
    colors = paint(r, count) if kind in (2, 3, 7, 8) else None
    if colors is not None:
        file.red, file.green, file.blue = colors.T.astype(np.uint16) * np.uint16(r.choice((1, 257)))
    stream = io.BytesIO()
    file.write(stream, do_compress=True)
    return _cloud(stream.getvalue(), ".laz", whole * header.scales + header.offsets, None, colors, near=1e-12)


def _number(r: random.Random, style: dict[str, str]) -> tuple[str, float]:
    """A number as text, and its value: at least four decimals, so that 1,0432 cannot be thousands."""
    whole, part = str(r.choice((r.randrange(10), r.randrange(10**4), r.randrange(10**7)))), f"{r.randrange(10**6):06d}"
    sign = r.choice(("", "", "-", "+"))
    value = float(f"{sign}{whole}.{part}")
    if style["form"] == "exponent":
        power = r.randint(-3, 3)
        value = float(f"{sign}{whole}.{part}e{power}")
        return f"{sign}{whole}{style['mark']}{part}{r.choice(style['letters'])}{power}", value
    groups = style["thousands"]
    grouped = f"{int(whole):,}".replace(",", groups) if groups else whole
    return f"{sign}{grouped}{style['mark']}{part}", value


def text(r: random.Random) -> WrittenCloud:
    """Text tables: separators, decimal marks, thousands, percentages, names, row names, comments, counts, encodings."""
    count, separator = r.randint(5, 9), r.choice(("\t", ";", "|", ",", " "))
    mark = "." if separator == "," else r.choice(".,")
    form = r.choice(("plain", "plain", "exponent"))
    thousands = (
        r.choice(("", "", "'", *({".": ",", ",": "."}[mark] if separator != "," else ""))) if form == "plain" else ""
    )
    style = {"mark": mark, "form": form, "thousands": thousands, "letters": r.choice(("e", "E", "eE", "D"))}
    points, cells = np.empty((count, 3)), []
    percent = [r.random() < 0.1 for _ in range(3)]
    for i in range(count):
        row = []
        for axis in range(3):
            word, value = _number(r, style)
            points[i, axis] = value / 100 if percent[axis] else value
            row.append(word + "%" * percent[axis])
        cells.append(row)
    names = list(r.choice(("xyz", "XYZ", ("X [m]", "Y [m]", "Z [m]") if separator != " " else "xyz")))
    normals, colors = None, None
    if r.random() < 0.4:
        normals = directions(r, count)
        names += ["nx", "ny", "nz"]
        cells = [
            row + [f"{v:.9f}".replace(".", mark) for v in n] for row, n in zip(cells, normals.tolist(), strict=True)
        ]
    if r.random() < 0.5:
        colors = paint(r, count)
        found = _colors(r, colors, {"u1": "u1"})
        names += [name for name, _, _ in found]
        cells = [row + [str(v) for v in c] for row, c in zip(cells, colors.tolist(), strict=True)]
    headed = r.random() < 0.7 or (normals is not None and colors is not None)
    said = r.choice(("row", "row", "comment")) if headed else ""
    if said == "row" and r.random() < 0.3:
        names.append("what")
        words = ("tree", "a wall", "7 up") if separator != " " else ("tree", "wall")
        cells = [[*row, r.choice(words)] for row in cells]
    if headed:
        places = r.sample(range(len(names)), len(names))
        names, cells = [names[i] for i in places], [[row[i] for i in places] for row in cells]
    lost = _lost(r, count) if said == "row" else np.zeros(count, bool)
    nothing = r.choice(("NaN", "nan", *(("NA", "null") if separator != " " else ())))
    for i in np.flatnonzero(lost):
        cells[i] = [
            nothing if n.lower()[0] in "xyz" and n != "what" else c for n, c in zip(names, cells[i], strict=True)
        ]
    indexed = r.choice(("", "", "R", "pandas")) if said == "row" else ""
    if indexed == "pandas" and separator == " ":
        indexed = "R"
    if indexed:
        first = r.choice((0, 1))
        cells = [[str(first + i), *row] for i, row in enumerate(cells)]
        names = ["", *names] if indexed == "pandas" else names
    quotes = r.choice(("", "", "names", "all"))

    def line(row: list[str], quoted: bool) -> str:
        return separator.join(f'"{cell}"' if quoted else cell for cell in row)

    lines = [line(row, quotes == "all") for row in cells]
    if separator == " " and r.random() < 0.5 and quotes != "all":
        lines = [
            r.choice(("", " ", "   ")) + row.replace(" ", r.choice((" ", "  ", "\t "))) + r.choice(("", " "))
            for row in lines
        ]
    if r.random() < 0.2:
        lines.insert(r.randrange(len(lines)), r.choice(("# a comment", "// another", "% and one", "")))
    if said == "row":
        lines.insert(0, line(names, quotes != ""))
    elif said == "comment":
        lines.insert(0, r.choice(("# ", "//", "#")) + line(names, False))
    if r.random() < 0.2:
        lines.insert(0, r.choice(("# made by hand", "% made by hand")))
    if separator != " " and said != "comment" and r.random() < 0.1:
        lines.insert(0, f"sep={separator}")
    elif not headed and r.random() < 0.3:
        lines.insert(0, str(count))
    end = r.choice(("\n", "\r\n", "\r"))
    whole = end.join(lines) + end * r.choice((0, 1, 1, 2))
    data = whole.encode(r.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16")))
    if r.random() < 0.05:
        data = b"\xfe\xff" + whole.encode("utf-16-be")
    kept = ~lost
    named = (None if part is None else part[kept] for part in (normals, colors))
    suffix = r.choice((".xyz", ".txt", ".asc", ".csv", ".pts"))
    return _cloud(data, suffix, points[kept], *named, near=1e-14)


def _labels(r: random.Random, count: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Classes of clouds as arrays of any type, and their names."""
    numbers = [r.randrange(9) for _ in range(count)]
    names = [f"{n:03d}" for n in numbers]
    key = r.choice(("label", "labels", "y", "class", "target"))
    whole = np.array(numbers)
    match r.randrange(8):
        case 0:
            return {key: whole.astype(r.choice(("i1", "u1", "i2", ">i4", "i8", "u8", "f2", "f4", ">f8")))}, names
        case 1:
            return {key: whole[:, None]}, names
        case 2:
            return {key: np.eye(9, dtype=r.choice(("u1", "f4", "?")))[whole]}, names
        case 3:
            return {key: whole > 4}, [f"{n > 4:03d}" for n in numbers]
        case 4:
            big = [2**53 + n for n in numbers]
            return {key: np.array(big, r.choice(("i8", "u8")))}, [str(n) for n in big]
        case 5:
            gone = [n if n else -1 for n in numbers]
            return {key: np.array(gone)}, ["" if n < 0 else f"{n:03d}" for n in gone]
        case 6:
            words = [f"kind {n}" for n in range(9)]
            return {key: whole, "classes": np.array(words, "S" if r.random() < 0.5 else "U")}, [
                words[n] for n in numbers
            ]
        case _:
            words = [f"kind {n}" for n in numbers]
            return {key: np.array(words, "S" if r.random() < 0.5 else "U")}, words


def _many(r: random.Random, floats: bool = False) -> tuple[dict[str, np.ndarray], WrittenCloud]:
    """Arrays of several clouds, with channels last or first, and what they hold."""
    m, n = r.randint(1, 4), r.randint(10, 14)
    dtype = r.choice(("f2", "f4", "f8", ">f4", ">f8", *(() if floats else ("i2", ">i4"))))
    stored = np.stack([numbers(r, dtype, 3 * n).reshape(n, 3) for _ in range(m)])
    named, normals, colors = {"points": stored}, None, None
    if r.random() < 0.4:
        normals = np.stack([directions(r, n) for _ in range(m)]).astype("f4")
        named["normals"] = normals
    if r.random() < 0.4:
        colors = np.stack([paint(r, n) for _ in range(m)])
        named["colors"] = r.choice(
            (colors, colors.astype("f4"), colors / 255, colors.astype("u2") * 257, colors.astype(int))
        )
        if r.random() < 0.2:
            named["colors"] = np.concatenate([named["colors"], named["colors"][..., :1]], axis=2)
    first = r.random() < 0.3
    if first:
        named = {name: np.ascontiguousarray(np.swapaxes(array, 1, 2)) for name, array in named.items()}
    if r.random() < 0.3:
        named = {name: np.asfortranarray(array) for name, array in named.items()}
    order = "channels-first" if first else "auto"
    return named, WrittenCloud(b"", "", stored.astype(np.float64), normals, colors, None, order)


def npz(r: random.Random) -> WrittenCloud:
    """Archives of one cloud or many, with normals, colors and labels, packed or not."""
    named, cloud = _many(r)
    labels = None
    if r.random() < 0.6:
        more, labels = _labels(r, len(cloud.points))
        named |= more
    name = r.choice(("points", "pos", "xyz", "pc", "pointcloud", "samples", "arr_0", "coordinates"))
    if name == "coordinates" and len(named) > 1:
        name = "points"
    named[name] = named.pop("points")
    stream = io.BytesIO()
    r.choice((np.savez, np.savez_compressed))(stream, **named)
    return WrittenCloud(stream.getvalue(), ".npz", cloud.points, cloud.normals, cloud.colors, labels, cloud.order)


def npy(r: random.Random) -> WrittenCloud:
    """Arrays of one cloud or many, and structured ones."""
    stream = io.BytesIO()
    if r.random() < 0.3:
        count = r.randint(4, 9)
        points, colors = np.stack([numbers(r, "f8", count) for _ in range(3)], axis=1), paint(r, count)
        fields = [(axis, r.choice(("<f8", ">f8")), points[:, i]) for i, axis in enumerate("xyz")]
        fields += _colors(r, colors, {"u1": "u1", "f4": "f4", "u2": "u2"})
        fields.append(("time", "u8", np.arange(count)))
        r.shuffle(fields)
        table = np.empty(count, [(name, kind) for name, kind, _ in fields])
        for name, _, values in fields:
            table[name] = values
        np.save(stream, table)
        return _cloud(stream.getvalue(), ".npy", points, None, colors)
    named, cloud = _many(r)
    single = r.random() < 0.5
    np.save(stream, named["points"][0] if single else named["points"])
    points = cloud.points[:1] if single else cloud.points
    return WrittenCloud(stream.getvalue(), ".npy", points, order=cloud.order)


def h5(r: random.Random) -> WrittenCloud:
    """HDF5 files of many clouds: chunks, filters, byte orders, groups, labels of all types."""
    import h5py

    named, cloud = _many(r, floats=True)
    labels = None
    if r.random() < 0.6:
        more, labels = _labels(r, len(cloud.points))
        named |= more
    named[r.choice(("data", "points", "pc"))] = named.pop("points")
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=r.choice(("earliest", "latest"))) as file:
        place = file.create_group("train") if r.random() < 0.2 else file
        for name, array in named.items():
            options = r.choice(
                ({}, {}, {"compression": "gzip", "shuffle": True}, {"compression": "lzf"}, {"fletcher32": True})
            )
            if array.dtype.kind == "U":
                place.create_dataset(name, data=[str(v) for v in array.tolist()], dtype=h5py.string_dtype())
            elif array.dtype.kind == "S":
                place.create_dataset(name, data=array)
            else:
                place.create_dataset(name, data=array, **options)
    return WrittenCloud(stream.getvalue(), ".h5", cloud.points, cloud.normals, cloud.colors, labels, cloud.order)


def _cloud(
    data: bytes, suffix: str, points: np.ndarray, normals: object, colors: object, near: float = 0
) -> WrittenCloud:
    parts = (None if part is None else np.asarray(part)[None] for part in (normals, colors))
    return WrittenCloud(data, suffix, points[None].astype(np.float64), *parts, near=near)


CLOUD_WRITERS: dict[str, Callable[[random.Random], WrittenCloud]] = {
    "cloud ply": ply, "pcd": pcd, "las": las, "laz": laz, "text": text, "npz": npz, "npy": npy, "h5": h5,
}  # fmt: skip
