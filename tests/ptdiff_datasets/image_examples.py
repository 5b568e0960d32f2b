"""Small image files in every format, as their authors write them."""

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

COUNT = 12


def idx(array: np.ndarray) -> bytes:
    """Encode an array of bytes as IDX."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def cifar_pixels(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Random bytes (count, 3072)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def cifar_binary(count: int = COUNT, seed: int = 0, coarse: bool = False) -> bytes:
    """Records of CIFAR-10, labels 0, 1, …; of CIFAR-100 if ``coarse``."""
    label = np.arange(count, dtype=np.uint8)[:, None] % (100 if coarse else 10)
    ahead = [label // 5, label] if coarse else [label]
    return np.concatenate([*ahead, cifar_pixels(count, seed)], axis=1).tobytes()


def text(value: bytes) -> bytes:
    """Pickle a short byte string as Python 2 does."""
    return b"U" + bytes([len(value)]) + value


def whole(value: int) -> bytes:
    """Pickle a number as Python 2 does."""
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def listed(entries: list[bytes]) -> bytes:
    return b"](" + b"".join(entries) + b"e"


def pickled_array(values: np.ndarray) -> bytes:
    """Pickle the program that rebuilds an array of bytes, as cPickle of Python 2 wrote it."""
    made = b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t"
    sizes = whole(values.shape[0]) + whole(values.shape[1]) + b"\x86"
    dtype = b"cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    raw = b"T" + struct.pack("<i", values.size) + values.tobytes()
    return made + b"(K\x01" + sizes + dtype + b"\x89" + raw + b"tb"


def cifar_pickled(count: int = COUNT, seed: int = 0, coarse: bool = False) -> bytes:
    """A batch of the Python version."""
    label = [whole(n % (100 if coarse else 10)) for n in range(count)]
    entries = [text(b"data") + pickled_array(cifar_pixels(count, seed))]
    if coarse:
        entries += [text(b"coarse_labels") + listed([whole(n % 100 // 5) for n in range(count)])]
    entries += [text(b"fine_labels" if coarse else b"labels") + listed(label)]
    entries += [text(b"batch_label") + text(b"training batch 1 of 5") + b"q\x03"]
    entries += [text(b"filenames") + listed([text(b"leptodactylus_%d.png" % n) for n in range(count)])]
    return b"\x80\x02}q\x01(" + b"".join(entries) + b"u."


def photo(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth colors (height, width, 3): red grows to the right, green downwards."""
    down, across = np.mgrid[0:height, 0:width]
    blue = 128 + 100 * np.sin(across / 5) * np.cos(down / 7)
    return np.stack([255 * across / (width - 1), 255 * down / (height - 1), blue], axis=-1).astype(np.uint8)


def encoded(pixels: np.ndarray, format: str, **options: object) -> bytes:
    """Encode the pixels as a file with Pillow."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def deep(format: str) -> bytes:
    """Write the image in gray with sixteen bits."""
    return encoded(photo()[..., 0].astype(np.uint16) * 257, format)


def film(frames: int = 3, height: int = 20, width: int = 30) -> list[np.ndarray]:
    """Frames (height, width, 3) of few colors: a square that moves to the right over a gray background."""
    found = [np.full((height, width, 3), 90, np.uint8) for _ in range(frames)]
    for n, picture in enumerate(found):
        picture[6:14, 6 + 4 * n : 14 + 4 * n] = (200, 30 * n, 0)
    return found


def animated(frames: list[np.ndarray]) -> bytes:
    """Encode the frames as a GIF with Pillow, which stores what changes."""
    from PIL import Image

    stream = io.BytesIO()
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(stream, "GIF", save_all=True, append_images=rest, duration=100, loop=0)
    return stream.getvalue()


IMAGES: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "idx": (".idx", lambda _: idx(cifar_pixels(6).reshape(6, 48, 64))),
    "idx packed": (".gz", lambda _: gzip.compress(idx(cifar_pixels(6).reshape(6, 48, 64)), mtime=0)),
    "cifar": (".bin", lambda _: cifar_binary()),
    "cifar pickled": (".pickle", lambda _: cifar_pickled()),
    "png": (".png", lambda _: encoded(photo(), "PNG")),
    "jpg": (".jpg", lambda _: encoded(photo(), "JPEG", quality=90)),
    "webp": (".webp", lambda _: encoded(photo(), "WEBP")),
    "bmp": (".bmp", lambda _: encoded(photo(), "BMP")),
    "gif": (".gif", lambda _: encoded(photo(), "GIF")),
    "png deep": (".png", lambda _: deep("PNG")),
    "tif": (".tif", lambda _: encoded(photo(), "TIFF", compression="tiff_deflate")),
    "tif deep": (".tif", lambda _: deep("TIFF")),
    "film": (".film.gif", lambda _: animated(film())),
}
"""Examples by name: suffix and bytes, as in file_examples."""
