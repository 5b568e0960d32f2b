"""Tables of any width, folders, pictures: what becomes of them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ptdiff.modality.data import Data
from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_points2d import Points2D


def rows(data: Data, split: str = "train") -> torch.Tensor:
    part = getattr(data, split)
    return part.batch(torch.arange(len(part)), seed=0)[0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(90, 5)) * [1, 10, 1000, 0.01, 3] + [0, 5, -1e4, 2, 0]
    lines = [f"{'ab'[i % 2]},{','.join(repr(v) for v in row)}" for i, row in enumerate(values.tolist())]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["kind,p,q,r,s,t", *lines]))
    return path


def test_all_columns_of_a_table_are_taken_when_asked_and_each_has_its_own_scale(table: Path) -> None:
    data = Points2D(data=str(table), columns="all", label="kind").dataset()
    assert data.shape == (5,)
    assert data.classes == ("a", "b")
    x = rows(data)
    z = data.normalize(x)
    assert z.mean(dim=0).abs().max() < 1e-4
    assert (z.square().mean(dim=0) - 1).abs().max() < 1e-3
    assert torch.allclose(data.world(z), x, rtol=1e-4, atol=1e-5)
    assert 1 <= data.spread < 1.5
    again = Data.from_facts(data.facts())
    assert torch.equal(again.normalize(x), z)


def test_three_columns_are_points_in_space_and_share_a_scale_unless_told(table: Path) -> None:
    one = Points2D(data=str(table), columns="p,q,t").dataset()
    assert isinstance(one.scale, float)
    own = Points2D(data=str(table), columns="p,q,t", one_scale=False).dataset()
    assert isinstance(own.scale, tuple)
    assert len(own.scale) == 3
    assert own.scale[1] / own.scale[0] == pytest.approx(10, rel=0.4)
    wide = Points2D(data=str(table), columns="all", one_scale=True).dataset()
    assert isinstance(wide.scale, float)


def test_a_single_column_is_a_datum_too(table: Path) -> None:
    data = Points2D(data=str(table), columns="q").dataset()
    assert data.shape == (1,)
    assert rows(data).shape == (75, 1)


def test_columns_that_depend_on_each_other_are_known_to_be_wide(tmp_path: Path) -> None:
    common = np.random.default_rng(1).normal(size=(400, 1)) + np.zeros((1, 9))
    path = tmp_path / "same.csv"
    path.write_text("\n".join(",".join(map(repr, row)) for row in common.tolist()))
    # nine copies of one column vary along one direction only: sqrt(9)
    assert Points2D(data=str(path), columns="all").dataset().spread == pytest.approx(3, rel=0.05)


def test_a_constant_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("a,b,c,d\n" + "\n".join(f"{i},{i % 3},7,{-i}" for i in range(30)))
    with pytest.raises(ValueError, match="column 'c' is constant"):
        Points2D(data=str(path), columns="all").dataset()


def test_rows_with_empty_cells_are_left_out_and_it_is_said(table: Path) -> None:
    lines = table.read_text().splitlines()
    # of rows 3 and 5, which are of both kinds, p and the kind are missing
    lines[3] = lines[3].replace(lines[3].split(",")[1], "", 1)
    lines[5] = lines[5][1:]
    table.write_text("\n".join(lines))
    data = Points2D(data=str(table), label="kind").dataset()
    assert data.classes == ("a", "b")
    assert len(rows(data)) + len(rows(data, "val")) == 88
    assert str(data.summary["text"]).splitlines()[1:] == [
        "  2 rows are skipped for lack of a value: the first in line 4, column 'p'"
    ]
    other = Points2D(data=str(table), columns="q,r").dataset()
    assert len(rows(other)) + len(rows(other, "val")) == 90


def test_columns_that_are_passed_over_for_a_few_cells_are_named(table: Path) -> None:
    lines = table.read_text().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[2], "seven", 1)
    table.write_text("\n".join(lines))
    said = ["  not used: line 2, column 'kind': 'a' is not a number"]
    said.append("  not used: line 8, column 'q': 'seven' is not a number")
    for columns, taken in (("", "p, r"), ("all", "p, r, s, t")):
        text = str(Points2D(data=str(table), columns=columns).dataset().summary["text"])
        assert text.startswith(f"table.csv: {taken} of 75 rows") and text.splitlines()[1:] == said
    with pytest.raises(FormatError, match="line 8, column 'q': 'seven' is not a number; correct the file or choose"):
        Points2D(data=str(table), columns="p,q").dataset()
    only = table.with_name("only.csv")
    only.write_text("x,y\n" + "".join(f"{i},{'two' if i == 2 else i}\n" for i in range(30)))
    with pytest.raises(DataError, match="two columns of numbers are needed, found x; line 4, column 'y': 'two' is"):
        Points2D(data=str(only)).dataset()


def test_where_may_be_a_value_that_one_column_holds(table: Path, tmp_path: Path) -> None:
    short, long = (Points2D(data=str(table), columns="p,q", where=where).dataset() for where in ("a", "kind=a"))
    assert torch.equal(rows(short), rows(long))
    assert len(rows(short)) + len(rows(short, "val")) == 45
    with pytest.raises(DataError, match="no column of text holds 'c'; use where=column=value"):
        Points2D(data=str(table), columns="p,q", where="c").dataset()
    two = tmp_path / "two.csv"
    two.write_text("k,l,x,y\na,a,1,2\nb,a,3,4\n")
    with pytest.raises(DataError, match="columns k, l hold 'a'"):
        Points2D(data=str(two), where="a").dataset()


def test_a_folder_with_one_table_is_that_table(table: Path) -> None:
    (table.parent / "README.md").write_text("no table")
    assert torch.equal(rows(Points2D(data=str(table.parent)).dataset()), rows(Points2D(data=str(table)).dataset()))
    (table.parent / "other.tsv").write_text("x\ty\n1\t2\n")
    with pytest.raises(IsADirectoryError, match="2 tables"):
        Points2D(data=str(table.parent)).dataset()


def test_a_folder_is_not_mistaken_for_the_distribution_of_its_name(table: Path) -> None:
    # a run called moons holds a table, too
    folder = table.parent / "moons"
    folder.mkdir()
    (folder / "metrics.csv").write_text(table.read_text())
    with pytest.raises(ValueError, match="moons is a folder, and moons a distribution"):
        Points2D(data=str(folder)).dataset()


def test_the_dark_of_a_picture_is_a_distribution(tmp_path: Path) -> None:
    pixels = np.full((40, 80), 255, dtype=np.uint8)
    pixels[:, 60:] = 0
    path = tmp_path / "bar.png"
    Image.fromarray(pixels).save(path)
    kind = Points2D(data=str(path), count=500)
    x = rows(kind.dataset())
    assert x.shape == (500, 2)
    assert (x[:, 0] >= 0.5).all()
    assert (x[:, 0] <= 1).all()
    assert x[:, 1].abs().max() <= 0.5
    assert len(rows(kind.dataset(), "val")) == 250
    assert torch.equal(rows(Points2D(data=str(path), count=100).dataset()), x[:100])
    with pytest.raises(ValueError, match="apply to tables only"):
        Points2D(data=str(path), label="x").dataset()
    assert kind.visualizer().sheet(x.numpy(), []).shape == (720, 720, 3)
