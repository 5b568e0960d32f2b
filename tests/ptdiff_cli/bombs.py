"""Small files and options that ask for much: each in a process of its own, with little memory and little time.

    python tests/ptdiff_cli/bombs.py [NAME …]

prints one line of JSON for each.  The process imports everything once and forks, so that the limits are what a bomb
takes above the interpreter.  Works on Linux.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, MEMORY = 2.0, 512 << 20
"""Processor time, and memory above the interpreter, that a bomb may take."""

HANG = 20
"""Seconds after which a bomb is ended."""

Arguments = list[object]
Bomb = Callable[[Path], Arguments]
"""Makes a bomb in a folder, and returns the arguments of the command that meets it."""

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
)
DEEP = "[" * 200_000
TRAIN = ["train", "-m", "points2d", "--dry-run"]


def text(name: str, content: str | bytes, *command: str) -> Bomb:
    """A file with that content, at the end of a command."""

    def make(folder: Path) -> Arguments:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return [*command, path]

    return make


def sparse(name: str, *command: str, size: int = 1 << 40) -> Bomb:
    """A file of a tebibyte of zeros, which takes no space on the disk."""

    def make(folder: Path) -> Arguments:
        with (folder / name).open("wb") as file:
            file.truncate(size)
        return [*command, folder / name]

    return make


def pipe(name: str, *command: str) -> Bomb:
    """A pipe without a writer."""

    def make(folder: Path) -> Arguments:
        os.mkfifo(folder / name)
        return [*command, folder / name]

    return make


def options(*arguments: str) -> Bomb:
    """A command without a file."""
    return lambda folder: list(arguments)


def in_run(change: Callable[[Path], None], *command: str) -> Bomb:
    """A run with a change, at the end of a command."""

    def make(folder: Path) -> Arguments:
        run = folder / "run"
        shutil.copytree(RUN, run)
        change(run)
        return [*command, run]

    return make


def replaced(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Replace a file of a run."""

    def change(run: Path) -> None:
        (run / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def grown(name: str) -> Callable[[Path], None]:
    """Make a file of a run a tebibyte long."""

    def change(run: Path) -> None:
        with (run / name).open("ab") as file:
            file.truncate(1 << 40)

    return change


def piped(name: str) -> Callable[[Path], None]:
    """Replace a file of a run by a pipe."""

    def change(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return change


def facts(**values: Any) -> Callable[[Path], None]:
    """Change data.json."""

    def change(run: Path) -> None:
        known = json.loads((run / "data.json").read_text())
        (run / "data.json").write_text(json.dumps(known | values))

    return change


def weights(content: bytes) -> Callable[[Path], None]:
    """Replace the averaged weights, and seal the checkpoint again."""

    def change(run: Path) -> None:
        (folder,) = (run / "checkpoints").iterdir()
        (folder / "ema.safetensors").write_bytes(content)
        files = sorted(path for path in folder.iterdir() if path.name not in ("MANIFEST.sha256", "COMMITTED"))
        manifest = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
        (folder / "MANIFEST.sha256").write_text(manifest)
        (folder / "COMMITTED").write_text(hashlib.sha256(manifest.encode()).hexdigest() + "\n")

    return change


def header_of(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """The beginning of an .npy file that declares an array."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zeros(shape: tuple[int, ...], method: int) -> Bomb:
    """An archive of samples that are all zero."""

    def make(folder: Path) -> Arguments:
        block = bytes(1 << 24)
        with (
            zipfile.ZipFile(folder / "x.npz", "w", method, compresslevel=9) as archive,
            archive.open("samples.npy", "w", force_zip64=True) as member,
        ):
            member.write(header_of(shape))
            for _ in range(int(np.prod(shape)) * 4 // len(block)):
                member.write(block)
        return ["render", folder / "x.npz"]

    return make


def declared(shape: tuple[int, ...], name: str = "samples", dtype: str = "<f4") -> Bomb:
    """An archive whose array declares far more than the file has."""

    def make(folder: Path) -> Arguments:
        with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.npy", header_of(shape, dtype) + bytes(64))
            if name != "samples":
                archive.writestr("samples.npy", header_of((1, 4, 3)) + bytes(48))
        return ["render", folder / "x.npz"]

    return make


def png(width: int, height: int) -> bytes:
    """A picture of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj(9)
    # pixels for one side of 60,000 at most: a larger header stands alone
    rows = b"".join(pack.compress(bytes(1 + min(width, 60_000))) for _ in range(min(height, 600))) + pack.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture(content: Callable[[], bytes], name: str = "a.png") -> Bomb:
    """A folder with one image."""

    def make(folder: Path) -> Arguments:
        (folder / "images").mkdir()
        (folder / "images" / name).write_bytes(content())
        return ["data", "check", "-m", "images", folder / "images"]

    return make


def glb(tree: dict[str, Any], claimed: int | None = None) -> bytes:
    """A binary glTF with that JSON."""
    body = json.dumps(tree).encode()
    body += b" " * (-len(body) % 4)
    whole = 20 + len(body)
    length = len(body) if claimed is None else claimed
    return struct.pack("<4sIIII", b"glTF", 2, whole if claimed is None else claimed, length, 0x4E4F534A) + body


def accessor(count: int) -> dict[str, Any]:
    """A glTF with one triangle set of that many corners."""
    return {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3"},
            {"componentType": 5126, "count": count, "type": "VEC3"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 1}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }


def doubling(levels: int) -> dict[str, Any]:
    """A glTF whose nodes each have the next one twice as a child."""
    nodes: list[dict[str, Any]] = [{"children": [i + 1, i + 1]} for i in range(levels)]
    return accessor(3) | {"nodes": [*nodes, {"mesh": 0}]}


def hdf5(make_set: Callable[[Any], None]) -> Bomb:
    """An HDF5 file."""

    def make(folder: Path) -> Arguments:
        import h5py

        with h5py.File(folder / "x.h5", "w") as file:
            make_set(file)
        return ["data", "check", folder / "x.h5"]

    return make


def las(count: int) -> bytes:
    """A LAS 1.4 header with that many points."""
    head = bytearray(375)
    head[:4] = b"LASF"
    head[24:26] = bytes([1, 4])
    struct.pack_into("<H", head, 94, 375)
    struct.pack_into("<I", head, 96, 375)
    head[104] = 6
    struct.pack_into("<H", head, 105, 30)
    struct.pack_into("<6d", head, 131, 1, 1, 1, 0, 0, 0)
    struct.pack_into("<Q", head, 247, count)
    return bytes(head) + bytes(300)


def ply(elements: str, body: bytes = b"", form: str = "binary_little_endian") -> bytes:
    """A PLY file."""
    return f"ply\nformat {form} 1.0\n{elements}end_header\n".encode() + body


XYZ = "property float x\nproperty float y\nproperty float z\n"
CLOUD = ("data", "check")
TENSOR = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
PCD = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {n}\nHEIGHT 1\nPOINTS {n}\nDATA {data}\n"
RUN = Path()

BOMBS: dict[str, Bomb] = {
    "yaml: aliases that double": text("c.yaml", LAUGHS, *TRAIN, "-c"),
    "yaml: an alias of itself": text("c.yaml", "modality: &a [*a]", *TRAIN, "-c"),
    "yaml: very deep": text("c.yaml", DEEP, *TRAIN, "-c"),
    "yaml: very deep mappings": text("c.yaml", "{a: " * 30_000, *TRAIN, "-c"),
    "yaml: one number of many digits": text("c.yaml", "seed: " + "9" * 120_000, *TRAIN, "-c"),
    "yaml: very long": text("c.yaml", "options: {" + "a: 1, " * 10**7, *TRAIN, "-c"),
    "yaml: as long as it may be": text("c.yaml", "x: [" + "1," * 65_000 + "]", *TRAIN, "-c"),
    "yaml: a tebibyte": sparse("c.yaml", *TRAIN, "-c"),
    "yaml: a pipe": pipe("c.yaml", *TRAIN, "-c"),
    "yaml: a device": options(*TRAIN, "-c", "/dev/zero"),
    "yaml: aliases, validated": text("c.yaml", LAUGHS, "config", "validate"),
    "setting: very deep": options(*TRAIN, "--set", "training.lr=" + DEEP[:100_000]),
    "setting: aliases": options(*TRAIN, "--set", "training.lr={" + LAUGHS.replace("\n", ", ")[:-2] + "}"),
    "option: many blocks": options(*TRAIN, "-o", "blocks=1000000000"),
    "option: very wide": options(*TRAIN, "-o", "width=1000000000"),
    "option: as large as it may be": options(*TRAIN, "-o", "blocks=1000", "-o", "width=16384"),
    "option: many layers": options("train", "-m", "images", "--dry-run", "-o", "layers=100000000"),
    "option: many heads": options("train", "-m", "pointcloud", "--dry-run", "-o", "heads=1000000000"),
    "option: wide resolutions": options("train", "-m", "images", "--dry-run", "-o", "multipliers=[100000,100000]"),
    "option: many points": options(*TRAIN, "-o", "count=1000000000000"),
    "option: large batch": options(*TRAIN, "--set", "training.batch=1000000000000"),
    "option: many averages": options(*TRAIN, "--set", f"training.averages={[0.9] * 20_000}"),
    "option: a long chain": options(*TRAIN, "--set", "process={name: chain, steps: 1000000000}"),
    "option: many solver steps": options(*TRAIN, "--set", "sampling.steps=1000000000"),
    "sweep: a large grid": text(
        "s.yaml", "".join(f"x{i}: {[*range(20)]}\n" for i in range(20)), "train", "-m", "points2d", "--sweep"
    ),
    "sweep: many trials": text(
        "s.yaml", "search: random\ntrials: 1000000000000\nseed: [1, 2]\n", "train", "-m", "points2d", "--sweep"
    ),
    "sweep: aliases": text("s.yaml", LAUGHS, "train", "-m", "points2d", "--sweep"),
    "run: aliases in config.yaml": in_run(replaced("config.yaml", LAUGHS), "sample"),
    "run: aliases in config.yaml, listed": in_run(replaced("config.yaml", LAUGHS), "runs", "list"),
    "run: deep data.json": in_run(replaced("data.json", DEEP), "sample"),
    "run: data.json of a tebibyte": in_run(grown("data.json"), "sample"),
    "run: data.json is a pipe": in_run(piped("data.json"), "sample"),
    "run: huge shape": in_run(facts(shape=[10**12]), "sample"),
    "run: shape with many axes": in_run(facts(shape=[2] * 100_000), "sample"),
    "run: shape beyond integers": in_run(facts(shape=[10**30]), "sample"),
    "run: deep mean": in_run(
        lambda run: replaced(
            "data.json",
            (run / "data.json").read_text().replace('"mean": ', '"mean": ' + "[" * 900 + "]" * 900 + ', "x": '),
        )(run),
        "sample",
    ),
    "run: metrics.jsonl of a tebibyte": in_run(grown("metrics.jsonl"), "runs", "list"),
    "run: metrics.jsonl is a pipe": in_run(piped("metrics.jsonl"), "runs", "list"),
    "run: deep metrics.jsonl": in_run(replaced("metrics.jsonl", DEEP), "runs", "list"),
    "run: deep eval.json": in_run(replaced("eval.json", DEEP), "runs", "compare"),
    "run: env.json of a tebibyte": in_run(grown("env.json"), "resume"),
    "checkpoint: weights are a pipe": in_run(
        lambda run: piped(f"{next((run / 'checkpoints').iterdir()).relative_to(run)}/ema.safetensors")(run), "sample"
    ),
    "checkpoint: the manifest is a pipe": in_run(
        lambda run: piped(f"{next((run / 'checkpoints').iterdir()).relative_to(run)}/MANIFEST.sha256")(run), "sample"
    ),
    "checkpoint: the manifest is a tebibyte": in_run(
        lambda run: grown(f"{next((run / 'checkpoints').iterdir()).relative_to(run)}/MANIFEST.sha256")(run), "sample"
    ),
    "weights: a header beyond the file": in_run(weights(struct.pack("<Q", 1 << 60) + b"{}"), "sample"),
    "weights: a huge tensor": in_run(
        weights((lambda h: struct.pack("<Q", len(h)) + h)(json.dumps({"x": TENSOR}).encode())), "sample"
    ),
    "weights: a deep header": in_run(weights(struct.pack("<Q", len(DEEP)) + DEEP.encode()), "sample"),
    "npz: zeros, packed": zeros((60, 1 << 20, 3), zipfile.ZIP_DEFLATED),
    "npz: lzma": zeros((60, 1 << 20, 3), zipfile.ZIP_LZMA),
    "npz: declares a huge array": declared((10**6, 10**6, 3)),
    "npz: declares more than integers hold": declared((2**62, 2**62, 3)),
    "npz: long class names": declared((1,), "classes", "<U500000000"),
    "npy: declares a huge array": text("x.npy", header_of((10**12, 3)), *CLOUD),
    "ply: many points": text("x.ply", ply(f"element vertex {10**15}\n{XYZ}"), *CLOUD),
    "ply: many points in a text": text("x.ply", ply(f"element vertex {10**15}\n{XYZ}", b"0 0 0\n", "ascii"), *CLOUD),
    "ply: many points without columns": text("x.ply", ply(f"element vertex {10**15}\n"), *CLOUD),
    "ply: many empty faces": text(
        "x.ply",
        ply(f"element vertex 1\n{XYZ}element face {10**12}\nproperty list uchar int vertex_indices\n", bytes(100)),
        *CLOUD,
    ),
    "ply: a long list": text(
        "x.ply",
        ply(f"element vertex 3\n{XYZ}element face 1\nproperty list uint int vertex_indices\n", bytes(36) + b"\xff" * 4),
        *CLOUD,
    ),
    "pcd: many points": text("x.pcd", PCD.format(n=10**12, data="binary"), *CLOUD),
    "pcd: unpacks to much": text(
        "x.pcd",
        PCD.format(n=10**8, data="binary_compressed").encode() + struct.pack("<II", 12, 12 * 10**8) + bytes(12),
        *CLOUD,
    ),
    "las: many points": text("x.las", las(10**12), *CLOUD),
    "off: many points": text("x.off", "OFF\n1000000000000 1000000000000 0\n", *CLOUD),
    "stl: many triangles": text("x.stl", bytes(80) + b"\xff" * 4 + bytes(50), *CLOUD),
    "obj: a far index": text("x.obj", "v 0 0 0\nf 1 2 1000000000000\n", *CLOUD),
    "obj: a polygon of many corners": text("x.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf " + "1 2 3 " * 100_000, *CLOUD),
    "xyz: one line of many numbers": text("x.xyz", "1 " * 10**6, *CLOUD),
    "gltf: a large accessor": text("x.glb", glb(accessor(10**12)), *CLOUD),
    "gltf: nodes that double": text("x.glb", glb(doubling(40)), *CLOUD),
    "gltf: very deep": text("x.gltf", DEEP, *CLOUD),
    "gltf: claims 4 GiB": text("x.glb", glb(accessor(3), 2**32 - 4), *CLOUD),
    "h5: a huge array of nothing": hdf5(
        lambda file: file.create_dataset("data", (10**6, 10**6, 3), "f4", chunks=(1, 1024, 3))
    ),
    "h5: zeros, packed": hdf5(
        lambda file: file.create_dataset("data", (2000, 100_000, 3), "f4", chunks=(50, 100_000, 3), compression="gzip")
    ),
    "csv: one line of many columns": text(
        "x.csv",
        ",".join(f"c{i}" for i in range(100_000)) + "\n" + "1," * 100_000,
        "train",
        "-m",
        "points2d",
        "--dry-run",
        "--data",
    ),
    "csv: an open quotation": text("x.csv", 'a,b\n"' + "x\n" * 10**6, "train", "-m", "points2d", "--dry-run", "--data"),
    "csv: a pipe": pipe("x.csv", "train", "-m", "points2d", "--dry-run", "--data"),
    "npz: a pipe": pipe("x.npz", "render"),
    "ply: a pipe": pipe("x.ply", "render"),
    "png: four gigapixels": picture(lambda: png(60_000, 60_000)),
    "png: a header alone": picture(lambda: png(2**31 - 1, 2**31 - 1)[:100]),
    "idx: many images, packed": picture(
        lambda: gzip.compress(struct.pack(">IIII", 2051, 10**6, 1000, 1000) + bytes(1 << 28), 9),
        "train-images-idx3-ubyte.gz",
    ),
    "render: samples are a tebibyte": sparse("x.npz", "render"),
    "render: a cloud of a tebibyte": sparse("x.xyz", "render"),
    "spacing: aliases": lambda folder: [*text("g.yaml", LAUGHS, "sample", str(RUN), "--spacing")(folder)],
}


def attack(name: str) -> dict[str, Any]:
    """Meet one bomb in a process of its own; exit code, processor time in s, memory above the interpreter in MiB."""
    folder = Path(tempfile.mkdtemp(prefix="bomb-"))
    arguments = [str(argument) for argument in BOMBS[name](folder)]
    before = {path: path.lstat().st_size for path in folder.rglob("*")}
    child = os.fork()
    if child == 0:
        _child(arguments, folder)
    status = _ended(child)
    used = status[1]
    said = (folder / "err").read_text(errors="replace")
    made = [path.name for path in folder.rglob("*") if path not in before and path.name not in ("out", "err", "peak")]
    peak = int((folder / "peak").read_text()) if (folder / "peak").exists() else -1
    shutil.rmtree(folder)
    return {
        "bomb": name,
        "code": os.waitstatus_to_exitcode(status[0]),
        "seconds": round(used.ru_utime + used.ru_stime, 2),
        "MiB": round(peak / 1024, 1),
        "lines": len(said.splitlines()),
        "said": said.strip()[-400:],
        "left": made,
    }


def _ended(child: int) -> tuple[int, Any]:
    end = time.monotonic() + HANG
    while True:
        found, status, used = os.wait4(child, os.WNOHANG)
        if found:
            return status, used
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def _child(arguments: list[str], folder: Path) -> None:
    from ptdiff_cli.main import main

    code: int | str | None = 1
    size, resident, *_ = map(int, Path("/proc/self/statm").read_text().split())
    try:
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        limit = size * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        sys.argv = ["ptdiff", *arguments]
        main()
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
    sys.stderr.flush()
    try:
        high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        (folder / "peak").write_text(str(int(high.split()[1]) - resident * resource.getpagesize() // 1024))
    finally:
        os._exit(code if isinstance(code, int) else int(code is not None))


def prepare(folder: Path) -> None:
    """Import what commands import, and train the run that bombs are put into."""
    global RUN
    for module in (
        "h5py",
        "laspy",
        "trimesh",
        "ptdiff.training.fit",
        "ptdiff_images.networks.unet",
        "ptdiff_pointcloud.render.visualizer",
    ):
        import_module(module)
    from ptdiff.training.train import train_run
    from ptdiff_cli.main import app

    app()
    RUN = folder / "run"
    values = {
        "modality": "points2d",
        "options": {"count": 64, "width": 8, "blocks": 1},
        "training": {"steps": 1, "batch": 8},
    }
    train_run(RUN, values, device="cpu")


def main(names: list[str]) -> None:
    """Print one line of JSON for each bomb."""
    folder = Path(tempfile.mkdtemp(prefix="bombs-"))
    prepare(folder)
    for name in names or BOMBS:
        print(json.dumps(attack(name)), flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
