"""Columns with large offsets: what is subtracted before training comes back with the samples, to the last digit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.modality import Data
from ptdiff.sampling.files import Stored, read, write
from ptdiff_points2d import Points2D

OFFSETS = np.array([500_000.0, 4_649_776.0, 0.0])


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, np.ndarray]:
    values = np.random.default_rng(0).normal(size=(60, 3)).round(3) + OFFSETS
    path = tmp_path / "utm.csv"
    path.write_text("x,y,z\n" + "".join(",".join(f"{v:.3f}" for v in row) + "\n" for row in values))
    return path, values


def test_training_sees_every_value(table: tuple[Path, np.ndarray]) -> None:
    path, values = table
    data = Points2D(data=str(path), columns="all").dataset()
    assert data.train is not None and data.val is not None
    assert np.abs(np.array(data.origin) - OFFSETS).max() < 2 and data.origin[2] == 0
    rows = torch.cat([part.batch(torch.arange(len(part)), 0)[0] for part in (data.train, data.val)]).double().numpy()
    back = np.sort(rows + np.array(data.origin), axis=0)
    np.testing.assert_allclose(back, np.sort(values, axis=0), atol=1e-6)
    assert "added to samples again: x 500000, y 4649776" in str(data.summary["text"])


def test_the_run_keeps_the_origin_and_earlier_versions_have_none(table: tuple[Path, np.ndarray]) -> None:
    kind = Points2D(data=str(table[0]), columns="all")
    facts = kind.dataset().facts()
    assert facts["format"] == 3 and Data.from_facts(facts).origin == tuple(facts["origin"])
    assert kind.as_of(Data.from_facts(facts)) == kind
    # a run that did not know of origins goes on without, because its mean includes it
    before = kind.as_of(replace(Data.from_facts(facts), origin=()))
    assert before.dataset().origin == () and before.dataset().facts()["format"] == 2


def test_ordinary_columns_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    values = np.random.default_rng(0).normal(size=(60, 2)) * [1, 1000] + [5, 1e4]
    path.write_text("x,year\n" + "".join(f"{a!r},{1990 + i % 30}\n" for i, (a, _) in enumerate(values.tolist())))
    assert Points2D(data=str(path)).dataset().origin == ()


@pytest.mark.parametrize("name", ["s.npz", "s.csv", "s.tsv"])
def test_files_of_samples_have_the_offset_and_lose_it_again(
    table: tuple[Path, np.ndarray], tmp_path: Path, name: str
) -> None:
    kind = Points2D(data=str(table[0]), columns="all")
    origin = kind.dataset().origin
    x = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    stored = Stored(x, np.full(20, -1), modality="points2d", options={}, origin=origin, trajectory=np.stack([x, x]))
    path = write(tmp_path / name, stored, kind)
    exact = x.astype(np.float64) + np.array(origin)
    if name != "s.npz":
        found = np.loadtxt(path, delimiter="," if name.endswith("csv") else "\t", skiprows=1)
        np.testing.assert_array_equal(found, exact)
        return
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["samples"], exact)
        assert arrays["trajectory"].dtype == np.float64
    again = read(path)
    assert again.origin == origin
    np.testing.assert_allclose(again.samples, x, atol=1e-6)
    moved = again.moved(())
    np.testing.assert_allclose(moved.samples, exact, rtol=1e-7)
    np.testing.assert_allclose(moved.moved(origin).world(moved.moved(origin).samples), exact, rtol=1e-7)


def test_the_check_shows_columns_and_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{i},{'1.000.000,0' if i == 7 else f'{i},5'},{'ab'[i > 37]},${i}" for i in range(40)]
    path.write_text("n;value;kind;price\n" + "\n".join(row.replace(",", ";", 1) for row in rows).replace(",a", ";a"))
    path.write_text(path.read_text().replace(",b", ";b").replace(",$", ";$"))
    found = Points2D(data=str(path), label="kind").check_data(path)
    text = str(found["text"])
    assert found["ok"] and len(text.splitlines()) < 30
    for words in (
        "40 rows, 4 columns",
        "0.5 to 1e+06, 40 values, 1 far outliers",
        "'$0' is not a number",
        "decimal commas: value",
        "first rows: n | value | kind | price",
        "2 classes of kind: a 38, b 2",
        "classes with none held out: b",
    ):
        assert words in text, words
