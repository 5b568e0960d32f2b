"""IDX files: round trips through an independent writer, and every way in which a header can lie."""

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.images.idx import read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def packed(array: np.ndarray[Any, Any]) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


IMAGES = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("wrap", [bytes, gzip.compress])
def test_arrays_of_every_type_come_back(tmp_path: Path, dtype: str, wrap: Any) -> None:
    array = (np.arange(24).reshape(2, 3, 4) - 7).astype(dtype)
    path = tmp_path / "a.idx"
    path.write_bytes(wrap(packed(array)))
    back = read_idx(path)
    assert back.dtype == np.dtype(dtype)
    assert back.dtype.isnative
    assert np.array_equal(back, array)


def test_an_empty_array_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(packed(np.zeros((0, 28, 28), np.uint8)))
    assert read_idx(path).shape == (0, 28, 28)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message", "offset"),
    [
        (b"", "not an IDX file: it starts with nothing", 0),
        (b"\0\0\x08", "not an IDX file", 0),
        (b"\x89PNG\r\n\x1a\n" * 3, "not an IDX file: it starts with 89 50 4e 47", 0),
        (b"\0\1\x08\1" + bytes(4), "not an IDX file", 0),
        (b"\0\0\x07\1" + bytes(4), "not an IDX file", 0),
        (b"\0\0\x08\0" + bytes(4), "0 dimensions", 3),
        (b"\0\0\x08\x09" + bytes(36), "9 dimensions", 3),
        (b"\0\0\x08\3" + bytes(8), "ends within its 3 sizes", 4),
        (packed(IMAGES)[:-1], "promises 60 bytes", 16),
        (packed(IMAGES) + b"x", "promises 60 bytes", 16),
        (
            b"\0\0\x08\3" + b"\xff" * 12 + bytes(100),
            "promises 79228162458924105385300197375 bytes of .* the file holds at most",
            16,
        ),
        (b"\0\0\x0e\1\x40\0\0\0" + bytes(100), "promises 8589934592 bytes of .* the file holds at most", 8),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, content: bytes, message: str, offset: int, wrap: Any) -> None:
    path = tmp_path / "bad.idx"
    path.write_bytes(wrap(content))
    with pytest.raises(FormatError, match=message) as caught:
        read_idx(path)
    assert caught.value.offset == offset
    assert caught.value.path == path


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    header = packed(IMAGES)[:16]
    # 64 MB behind a header that promises 60 bytes
    path.write_bytes(gzip.compress(header + bytes(64 << 20), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"promises 60 bytes of .*, but more follow"):
            read_idx(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("keep", [1, 5, 12, 30, -9, -4, -1])
def test_a_truncated_gzip_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(packed(IMAGES))[:keep])
    with pytest.raises(FormatError):
        read_idx(path)


def test_a_flipped_bit_in_the_compressed_payload_is_noticed(tmp_path: Path) -> None:
    whole = gzip.compress(packed(np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)))
    path = tmp_path / "flip.gz"
    for at in range(30, len(whole) - 4, 97):
        spoiled = bytearray(whole)
        spoiled[at] ^= 16
        path.write_bytes(spoiled)
        with pytest.raises(FormatError):
            read_idx(path)


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=60),
    start=st.sampled_from([b"", b"\0\0\x08\1", b"\0\0\x0d\2", b"\x1f\x8b\x08\0"]),
)
def test_no_bytes_do_more_than_raise_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(start + content)
    try:
        array = read_idx(path)
    except FormatError:
        return
    assert packed(array) == start + content


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


def test_classes_are_those_that_occur_in_training(tmp_path: Path) -> None:
    from ptdiff_datasets.images.sets import mnist

    def write(part: str, labels: list[int]) -> None:
        pixels = np.zeros((len(labels), 4, 4), np.uint8) + np.array(labels, np.uint8)[:, None, None]
        for kind, array, rank in (("images-idx3", pixels, 3), ("labels-idx1", np.array(labels, np.uint8), 1)):
            head = bytes([0, 0, 8, rank]) + struct.pack(f">{rank}I", *array.shape)
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())

    write("train", [1, 2, 5, 1, 2, 5])
    write("t10k", [5, 1, 9, 2])
    found = mnist(tmp_path)
    assert found.classes == ("1", "2", "5")
    assert found.train.label is not None and found.val.label is not None
    assert found.train.label.tolist() == [0, 1, 2, 0, 1, 2]
    # nothing can be learned about the nine
    assert found.val.label.tolist() == [2, 0, 1] and found.val.pixels[:, 0, 0, 0].tolist() == [5, 1, 2]
    assert found.notes == ("1 validation images left out: no training image has label 9",)
