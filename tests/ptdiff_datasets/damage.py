"""Damaged files for every reader: mutated and cut ones, read in a separate process with little memory and time.

    python tests/ptdiff_datasets/damage.py --count 20000 --seed 3 [KIND …]

Prints one line of JSON for each kind of file. Ends with an error, and keeps the file, if a reader does anything but
return a shape or raise FormatError, takes longer than a second, or needs more memory than four times the file and 64 MB
(for an image, also what its pixels may take).
"""

import argparse
import contextlib
import faulthandler
import json
import os
import random
import shutil
import sys
import tempfile
import time
import unicodedata  # noqa: F401  Python imports it to parse a name that is not ASCII, which the limit on memory forbids
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from file_examples import CLOUDS, MESHES, TABLES
from image_examples import IMAGES

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.catalog import read_cloud
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.hdf5 import open_hdf5
from ptdiff_datasets.formats.meshes import read_mesh
from ptdiff_datasets.formats.tables import read_table
from ptdiff_datasets.images import file as picture
from ptdiff_datasets.images.cifar import LAYOUTS, cifar
from ptdiff_datasets.images.idx import read_idx

EXAMPLES = CLOUDS | TABLES | MESHES | IMAGES
OBJ = ("obj", "obj varied")
PICTURES = ("png", "png deep", "jpg", "webp", "bmp", "tif", "tif deep", "gif", "film")
SECONDS, MEMORY = 1.0, 64 << 20
STUCK = 60  # wall-clock seconds, even on a busy machine
os.environ["RUST_BACKTRACE"] = "0"  # a panic of lazrs is caught; its backtrace would need memory that is not available
TEXTS = (
    "ply ascii",
    "pcd ascii",
    "xyz",
    "pts",
    "csv",
    "csv quoted",
    "txt wide",
    "gltf",
    "mesh ply ascii",
    "stl ascii",
    *OBJ,
    "off",
    "off varied",
)
TOKENS = (b"nan", b"-1", b"1e999", b"0", b"99999999999", b"\n", b" ", b"\0", b"\xff" * 4, b"4294967295", b"-inf", b"#")


def read_whole(path: Path) -> list[np.ndarray]:
    """Return all coordinates or pixels in a file, whatever its kind."""
    if path.stem.startswith("image"):
        return [_pixels(path)]
    if path.stem.startswith("table"):
        table = read_table(path)
        if not (names := table.numeric()):
            raise FormatError(path, "no numbers")
        return [table.values(names)]
    if path.suffix == ".h5":
        with open_hdf5(path) as file:
            for name in file.sets:
                file.labels(name)
            pairs = [(name, i) for name, (m, *_) in file.sets.items() for i in range(min(m, 50))]
            clouds = [file.read(name, i).cloud(path) for name, i in pairs]
        if not clouds:
            raise FormatError(path, "no clouds")
        return [cloud.points for cloud in clouds]
    if path.stem.startswith("mesh"):
        mesh = read_mesh(path)
        return [np.asarray(mesh.vertices)[np.asarray(mesh.faces)]]
    cloud: Cloud = read_cloud(path)
    return [cloud.points]


def _pixels(path: Path) -> np.ndarray:
    if path.suffixes == [".film", ".gif"]:  # the name of the example, because an image may be a GIF too
        return picture.read_film(path, 3, 16)
    if path.suffix in picture.SUFFIXES:
        return picture.read_picture(path, 16)
    if path.suffix in (".idx", ".gz"):
        return read_idx(path)
    binary = path.suffix == ".bin"
    data = cifar(path.parent, replace(LAYOUTS[0 if binary else 2], train=(path.name,)))
    return data.train.pixels.reshape(len(data.train), -1)


def mutated(data: bytes, random: random.Random) -> bytes:
    """Damage data one to three times: flip bytes, replace words and numbers, cut out, double or swap pieces."""
    out = bytearray(data)
    # half of the damage goes where the claims are
    reach = len(out) if random.random() < 0.5 else min(len(out), 600)
    for _ in range(random.randint(1, 3)):
        at, size = random.randrange(max(1, min(reach, len(out)))), random.randint(0, 16)
        match random.randrange(6):
            case 0:
                out[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                out[at : at + 1] = bytes([(out[at] if at < len(out) else 0) ^ (1 << random.randrange(8))])
            case 2:
                out[at : at + size] = random.choice(TOKENS)
            case 3:
                del out[at : at + size]
            case 4:
                out[at:at] = out[at : at + size]
            case 5:
                out[at : at + 4] = random.choice((2**31 - 1, 2**32 - 1, 10**6, 0, 65536)).to_bytes(4, "little")
    return bytes(out)


def damaged(kind: str, data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield ``count`` mutated copies, addressed by kind, seed and place."""
    for i in range(count):
        yield mutated(data, random.Random(f"{kind} {seed} {i}"))


def same_beginning(read: list[np.ndarray], whole: list[np.ndarray], records: int) -> bool:
    """True if the records read are the first ones of the whole, except for the last number of the last."""
    return all(
        len(a) >= min(records, len(b)) and np.array_equal(a[: len(a) - 1], b[: len(a) - 1])
        for a, b in zip(read, whole, strict=True)
    )


def cut(kind: str, data: bytes, path: Path, offsets: range) -> None:
    """Check that every cut is refused, except in a text that ends within its last number."""
    suffix = EXAMPLES[kind][0]
    path.with_suffix(suffix).write_bytes(data)
    whole = read_whole(path.with_suffix(suffix))
    counted = kind not in ("xyz", "csv", "csv quoted", "txt wide", *OBJ)
    words = len(data.split())
    for length in offsets:
        short = data[:length]
        path.with_suffix(suffix).write_bytes(short)
        try:
            read = read_whole(path.with_suffix(suffix))
        except FormatError:
            continue
        if kind in PICTURES:  # the end of an image may lie behind its last pixel
            assert np.array_equal(read[0], whole[0]), f"{kind}: other pixels, cut at {length} of {len(data)}"
            continue
        if kind == "cifar":  # records have no count before them
            assert length % 3073 == 0, f"{kind}: cut at {length} of {len(data)}"
            continue
        missing = words - len(short.split())
        assert kind in TEXTS or data[length:].strip(b"\0\n") == b"", f"{kind}: cut at {length} of {len(data)}"
        assert missing == 0 or not counted, f"{kind}: {missing} words are missing at {length} of {len(data)}"
        assert same_beginning(read, whole, len(whole[0]) if counted else 0), f"{kind}: other points at {length}"


def survive(kind: str, path: Path, files: Iterator[bytes]) -> dict[str, object]:
    """Read every file; a failure is raised, with the file kept as ``path``."""
    path = path.with_suffix(EXAMPLES[kind][0])
    refused = read = 0
    slowest = 0.0
    for data in files:
        path.write_bytes(data)
        faulthandler.dump_traceback_later(STUCK, exit=True)
        started = time.process_time()
        try:
            read_whole(path)
            read += 1
        except FormatError as error:
            lines = str(error).splitlines()
            if len(lines) != 1:
                raise AssertionError(f"{kind}: an error of {len(lines)} lines") from error
            refused += 1
        slowest = max(slowest, time.process_time() - started)
        assert slowest < SECONDS, f"{kind}: {slowest:.1f} s for {path}"
    faulthandler.cancel_dump_traceback_later()
    return {"kind": kind, "read": read, "refused": refused, "slowest": round(slowest, 3)}


@contextlib.contextmanager
def little_memory(extra: int) -> Iterator[None]:
    """Limit the address space to what is used now and ``extra`` bytes, on Linux."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + extra, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main(kinds: list[str], count: int, seed: int, say: Callable[[str], None] = print) -> None:
    """Cut and mutate ``kinds``."""
    folder = Path(tempfile.mkdtemp(prefix="damage-"))
    for kind in kinds:
        data = EXAMPLES[kind][1](folder)
        what = "table-" if kind in TABLES else "mesh-" if kind in MESHES else "image-" if kind in IMAGES else "cloud-"
        name = what + kind.replace(" ", "-")
        if kind not in TABLES:  # less of a table may be another table
            cut(kind, data, folder / name, range(0, len(data), max(1, len(data) // 150)))
        # an image may have many pixels in a few bytes: four bytes each, as much for a copy, and numbers of deep ones
        claimed = (16 if "deep" in kind else 8) * picture.MOST_PIXELS if kind in PICTURES else 0
        with little_memory(4 * len(data) + MEMORY + claimed):
            result = survive(kind, folder / name, damaged(kind, data, count, seed))
        say(json.dumps(result))
    # the file of a failure stays
    shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=[])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}, {given.count} files of each kind", file=sys.stderr)
    main(given.kinds or list(EXAMPLES), given.count, seed)
