"""Files of samples: what is written is read again, and what is spoiled is refused in one line."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptdiff.errors import DataError, UnknownName
from ptdiff.modality import registry
from ptdiff.sampling import files
from ptdiff.sampling.files import Stored
from ptdiff.sampling.samples import Samples

RNG = np.random.default_rng(0)


def stored(n: int = 3, **changes: Any) -> Stored:
    given: dict[str, Any] = {
        "samples": RNG.normal(size=(n, 5, 3)).astype(np.float32),
        "label": np.arange(n) - 1,
        "classes": ("chair", "tïsch", "x"),
        "modality": "pointcloud",
        "options": {"points": 5},
        "trajectory": RNG.normal(size=(4, n, 5, 3)).astype(np.float32),
    }
    return Stored(**(given | changes))


def test_what_is_written_is_read_again_to_the_bit(tmp_path: Path) -> None:
    before = stored()
    files.write(tmp_path / "new" / "a.npz", before, registry.load("pointcloud"))
    after = files.read(tmp_path / "new" / "a.npz")
    for name in ("samples", "label", "trajectory"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert (after.classes, after.modality, after.options) == (before.classes, before.modality, before.options)
    assert after.titles == ["", "chair", "tïsch"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]


@pytest.mark.parametrize("suffix", ["ply", "npy", "xyz"])
def test_single_samples_are_read_again(tmp_path: Path, suffix: str) -> None:
    kind = registry.load("pointcloud")
    if suffix not in kind.formats():
        pytest.skip("not a format of point clouds")
    before = Samples(stored(), kind)
    before.save(tmp_path / f"a.{suffix}")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"a-{i:04d}.{suffix}" for i in range(3)]
    after = Samples.read(tmp_path / names[1], "pointcloud")
    assert after.samples[0] == pytest.approx(before.samples[1], abs=1e-5)
    assert after.source == tmp_path / names[1]


def test_a_cloud_in_an_archive_without_samples_is_read_as_data(tmp_path: Path) -> None:
    kind, cloud = registry.load("pointcloud"), RNG.normal(size=(5, 3)) + np.array([500_000, 4_650_000, 0])
    np.savez(tmp_path / "a.npz", points=cloud)
    found = files.read(tmp_path / "a.npz", kind)
    assert np.abs(found.samples[0].astype(np.float64) + found.origin - cloud).max() < 1e-6
    assert len(Samples.read(tmp_path / "a.npz").samples) == 1
    np.savez(tmp_path / "b.npz", weights=cloud[0])
    with pytest.raises(DataError, match=r"b\.npz: it has no array 'samples'.*no array named points"):
        files.read(tmp_path / "b.npz", kind)


def test_tables_hold_all_samples(tmp_path: Path) -> None:
    kind = registry.load("points2d")
    flat = Stored(RNG.normal(size=(4, 2)).astype(np.float32), np.array([0, 1, 0, -1]), ("left", "right"), "points2d")
    assert Samples(flat, kind).save(tmp_path / "folder") == tmp_path / "folder" / "samples.csv"
    assert len((tmp_path / "folder" / "samples.csv").read_text().split()) >= 4
    with pytest.raises(UnknownName, match="did you mean 'csv'"):
        Samples(flat, kind).save(tmp_path / "a.csw")


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kind = tmp_path / "a.npz", registry.load("pointcloud")
    files.write(path, stored(), kind)
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        files.write(path, stored(2), kind)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


FINE = {"samples": np.zeros((2, 5, 3), np.float32)}
SPOILED: dict[str, tuple[dict[str, Any], str]] = {
    "no samples": ({"points": np.zeros(3)}, "no array 'samples'"),
    "whole numbers": ({"samples": np.zeros((2, 3), np.int64)}, "floating-point"),
    "complex": ({"samples": np.zeros((2, 3), np.complex64)}, "floating-point"),
    "no axis of samples": ({"samples": np.zeros(3, np.float32)}, "floating-point"),
    "empty": ({"samples": np.zeros((0, 3), np.float32)}, "empty"),
    "without numbers": ({"samples": np.zeros((3, 0), np.float32)}, "empty"),
    "nan": ({"samples": np.full((2, 3), np.nan, np.float32)}, "not finite"),
    "infinite": ({"samples": np.array([[0.0, np.inf]])}, "not finite"),
    "beyond float32": ({"samples": np.array([[0.0, 1e300]])}, "not finite"),
    "too few labels": (FINE | {"label": np.zeros(1, np.int64)}, "'label' must be one whole number"),
    "labels of two axes": (FINE | {"label": np.zeros((2, 1), np.int64)}, "'label' must be one whole number"),
    "labels of floats": (FINE | {"label": np.zeros(2)}, "'label' must be one whole number"),
    "label below": (FINE | {"label": np.array([-2, 0])}, "'label' must lie between"),
    "label above": (FINE | {"label": np.array([0, 1]), "classes": np.array(["a"])}, "'label' must lie between"),
    "classes of numbers": (FINE | {"classes": np.zeros(2)}, "'classes' must be a list of names"),
    "classes of two axes": (FINE | {"classes": np.array([["a"]])}, "'classes' must be a list of names"),
    "modality of two": (FINE | {"modality": np.array(["a", "b"])}, "'modality' must be a single string"),
    "modality of numbers": (FINE | {"modality": np.array(3)}, "'modality' must be a single string"),
    "options no json": (FINE | {"options": np.array("{")}, "Expecting"),
    "options no mapping": (FINE | {"options": np.array("[1]")}, "'options' must be a JSON object"),
    "trajectory of others": (FINE | {"trajectory": np.zeros((4, 3, 5, 3))}, "'trajectory' has the shape"),
    "trajectory of one step": (FINE | {"trajectory": np.zeros((2, 5, 3))}, "'trajectory' must be an array"),
    "trajectory of nan": (FINE | {"trajectory": np.full((1, 2, 5, 3), np.nan)}, "'trajectory': some numbers"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_archive_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    arrays, message = SPOILED[name]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError) as found:
        files.read(tmp_path / "a.npz")
    assert message in str(found.value)
    assert str(found.value).startswith(str(tmp_path / "a.npz"))
    assert "\n" not in str(found.value)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "opened",)

    np.savez(tmp_path / "a.npz", samples=np.array([[Bomb()]], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        files.read(tmp_path / "a.npz")
    np.save(tmp_path / "b.npy", np.zeros((2, 3)))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(DataError, match="a single array"):
        files.read(tmp_path / "b.npz")
    assert not (tmp_path / "opened").exists()


def test_every_cut_or_flipped_byte_is_refused_or_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    files.write(path, stored(2, trajectory=None), registry.load("pointcloud"))
    whole = path.read_bytes()
    draws = np.random.default_rng(1)
    refused = 0
    for i in range(200):
        data = bytearray(whole)
        if i % 2:
            data[int(draws.integers(len(data)))] ^= 1 << int(draws.integers(8))
        else:
            del data[int(draws.integers(len(data))) :]
        path.write_bytes(bytes(data))
        try:
            files.read(path)
        except DataError:
            refused += 1
    assert refused > 150


def test_a_header_that_promises_a_huge_array_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3), }"
    header += b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("samples.npy", raw)
    with pytest.raises(DataError):
        files.read(tmp_path / "a.npz")


def test_a_file_does_not_decide_what_is_imported(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", modality=np.array("stranger:Thing"), **FINE)
    with pytest.raises(UnknownName, match="add -m stranger:Thing if you trust it"):
        Samples.read(tmp_path / "a.npz")
    # with a modality of the caller's nothing of the file's is loaded
    assert len(Samples.read(tmp_path / "a.npz", registry.load("pointcloud"))) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_config_of_another_program_around_the_file_is_none_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("theme: dark\n")
    (tmp_path / "environment").symlink_to("/")
    data = tmp_path / "table.csv"
    data.write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(20)))
    options = np.array(json.dumps({"data": str(data)}))
    np.savez(tmp_path / "x.npz", samples=np.zeros((3, 2)), modality=np.array("points2d"), options=options)
    with pytest.raises(FileNotFoundError, match="not opened"):
        Samples.read(tmp_path / "x.npz").modality.dataset()


def test_samples_of_a_file_are_what_was_saved(tmp_path: Path) -> None:
    before = Samples(stored(), registry.load("pointcloud"))
    before.save(tmp_path / "a.npz")
    after = Samples.read(tmp_path / "a.npz")
    assert torch.equal(after.samples, before.samples)
    assert torch.equal(after.labels, before.labels)
    assert after.classes == before.classes
    assert after.first(2).trajectory is not None
    assert after.first(2).trajectory.shape == (4, 2, 5, 3)  # type: ignore[union-attr]
    with pytest.raises(DataError, match="the file does not exist"):
        Samples.read(tmp_path / "b.npz")


def test_a_single_array_called_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"array\.npz: it contains a single array"):
        files.read(path)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_was_cut_is_refused_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    np.savez(path, samples=np.zeros((3, 2)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"cut\.npz: not a valid .npz file"):
        files.read(path)
