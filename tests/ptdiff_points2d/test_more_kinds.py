"""Tables whose numbers float32 or float64 would blur are refused; columns that are not data are named."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_points2d.source import from_table

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.random((60, 2)).round(4)


def table(path: Path, header: str, *columns: Iterable[object]) -> Path:
    rows = zip(*columns, strict=True)
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize("far", [0.0, 1e12])
def test_a_row_so_far_that_the_others_blur_is_refused_by_column(tmp_path: Path, far: float) -> None:
    x = np.r_[500_000 + VALUES[:59, 0], far]
    path = table(tmp_path / "a.csv", "x,y", x.tolist(), VALUES[:, 1])
    with pytest.raises(DataError, match=f"column 'x' reaches {far:g}, so far from".replace("+", r"\+")):
        from_table(path, "", "", "")
    table(path, "x,y", x[:59].tolist(), VALUES[:59, 1])
    points = from_table(path, "", "", "")
    found = np.concatenate([points.train, points.val]).astype(np.float64) + points.origin
    np.testing.assert_allclose(np.sort(found[:, 0]), np.sort(x[:59]), atol=1e-6, rtol=0)


def test_columns_of_few_values_are_not_taken_for_blurred(tmp_path: Path) -> None:
    often = np.where(np.arange(60) % 10 == 0, 1e6, 0.1)
    points = from_table(table(tmp_path / "a.csv", "x,y", often, VALUES[:, 1]), "", "", "")
    assert len(np.unique(np.concatenate([points.train, points.val])[:, 0])) == 2


def test_whole_numbers_beyond_float64_are_refused_by_column(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "id,y", [10**17 + i for i in range(60)], VALUES[:, 1])
    with pytest.raises(FormatError, match=r"column 'id' holds numbers beyond 2\*\*53, and doubles keep 5 of its 60"):
        from_table(path, "", "", "")


def test_columns_that_count_the_rows_are_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "id,x,y", range(1, 61), VALUES[:, 0], VALUES[:, 1])
    assert "counting up by one from row to row: id; is it data?" in from_table(path, "", "", "").summary["text"]
    table(path, "Unnamed: 0,x,y", range(60), VALUES[:, 0], VALUES[:, 1])
    assert from_table(path, "", "", "").columns == ("x", "y")


def test_a_table_without_numbers_names_the_cells_that_are_none(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "x,y", [f"{x} m" for x in VALUES[:, 0]], VALUES[:, 1])
    with pytest.raises(DataError, match=r"found y; line 2, column 'x': '0\.637 m' is not a number"):
        from_table(path, "", "", "")
