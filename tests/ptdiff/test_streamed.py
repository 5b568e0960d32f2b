"""Samples in a litData dataset: read by id, as a pure function, and never a pickle."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptdiff.errors import Unsupported
from ptdiff.modality.data import Data
from ptdiff.modality.streamed import StreamedSplit

CLOUDS = np.random.default_rng(0).standard_normal((300, 20, 3)).astype(np.float32)


def written(folder: Path, items: list[Any]) -> Path:
    """Write a litData dataset of several chunks."""
    pytest.importorskip("litdata", reason="litdata is not installed: pip install 'ptdiff[litdata]'")
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_bytes=20_000)
    for i, item in enumerate(items):
        writer[i] = item
    writer.done()
    writer.merge()
    return folder


def test_a_batch_holds_the_items_with_these_ids(tmp_path: Path) -> None:
    items = [{"points": cloud, "kind": i % 4} for i, cloud in enumerate(CLOUDS)]
    samples = StreamedSplit(written(tmp_path / "set", items), "points", "kind")
    assert len(list((tmp_path / "set").glob("*.bin"))) > 3
    assert len(samples) == 300
    ids = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    x, cond = samples.batch(ids, 5)
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x.numpy(), CLOUDS[ids.numpy()])
    assert torch.equal(cond["label"], ids % 4)
    again, _ = samples.batch(ids[[7, 7, 200]], 6)
    assert torch.equal(again, x[[7, 7, 200]])
    data = Data((20, 3), ("a", "b", "c", "d"), train=samples, unordered=True).measured(keep=(-1,))
    assert data.scale == pytest.approx(float(CLOUDS.std()), rel=0.01)
    for wrong in (-1, 300):
        with pytest.raises(IndexError, match=f"sample {wrong} of 300"):
            samples.batch(torch.tensor([wrong]), 0)


def test_items_without_the_key_or_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    place = written(tmp_path / "set", [{"points": CLOUDS[0]}, {"points": CLOUDS[1, :9]}])
    with pytest.raises(ValueError, match=r"item 0 has no 'x', only points"):
        StreamedSplit(place).batch(torch.tensor([0]), 0)
    with pytest.raises(ValueError, match=r"item 1 has the shape \(9, 3\), others \(20, 3\)"):
        StreamedSplit(place, "points").batch(torch.tensor([0, 1]), 0)


def test_a_dataset_with_pickles_is_refused_before_one_is_read(tmp_path: Path) -> None:
    place = written(tmp_path / "set", [{"x": CLOUDS[0], "more": object}])
    with pytest.raises(Unsupported, match="values in the format pickle: only numbers and arrays are read"):
        StreamedSplit(place)


def test_a_place_without_a_dataset_is_named(tmp_path: Path) -> None:
    pytest.importorskip("litdata", reason="litdata is not installed: pip install 'ptdiff[litdata]'")
    for place in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ValueError, match="is not a litData dataset"):
            StreamedSplit(place)


def test_without_litdata_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litdata", None)
    with pytest.raises(Unsupported, match=r"needs the package litdata: pip install 'ptdiff\[litdata\]'"):
        StreamedSplit(tmp_path)
