"""Text tables: separators, names, numbers, and clear words for what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.formats.tables import read_table


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_are_read_whatever_separates_them(tmp_path: Path, mark: str, end: str) -> None:
    rows = [("name", "x", "y"), ("a", "1", "-2.5"), ("b", "3e2", "4")]
    found = read_table(table(tmp_path, end.join(mark.join(row) for row in rows) + end))
    assert found.names == ("name", "x", "y")
    assert found.numeric() == ("x", "y")
    assert found.numbers(["y", "x"]).tolist() == [[-2.5, 1], [4, 300]]
    assert found.where("name", "b").column("x") == ("3e2",)


def test_quotes_a_byte_order_mark_and_empty_lines_are_understood(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, '\ufeffx,"a ""name"", quoted"\n\n1,"two\nlines"\n\n'))
    assert found.names == ("x", 'a "name", quoted')
    assert found.rows == (("1", "two\nlines"),)


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "1,2\n3,4\n"))
    assert found.names == ("c1", "c2")
    assert found.numbers(found.names).tolist() == [[1, 2], [3, 4]]


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1))
def test_written_numbers_come_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, float]]
) -> None:
    text = "x,y\n" + "".join(f"{x!r},{y!r}\n" for x, y in values)
    found = read_table(table(tmp_path_factory.mktemp("t"), text))
    assert np.array_equal(found.numbers(["x", "y"]), np.array(values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("\n \n", "no rows"),
        ("x,y\n", "a header line but no rows"),
        ("x,y\n1,2\n3\n", "line 3 has 1 cells, not 2"),
        ("x,y\n1,2\n3,4,5\n", "line 3 has 3 cells, not 2"),
        ("x,x\n1,2\n", "duplicate column names"),
        ('x,y\n1,"2\n', "line 2: unexpected end of data"),
        (b"x,y\n1,\xff\n", r"not UTF-8 text \(byte 6\)"),
        (b"\x89PNG\r\n\x1a\n", r"not UTF-8 text \(byte 0\)"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_table(table(tmp_path, text))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "line 2, column 'y': '' is not a number; correct the file or choose other columns"),
        ("two", "line 2, column 'y': 'two' is not a number"),
        ("1_000", "line 2, column 'y': '1_000' is not a number"),
        ("nan", "line 2, column 'y': 'nan' is not a number"),
        ("-inf", "line 2, column 'y': '-inf' is not finite"),
        ("1e999", "line 2, column 'y': '1e999' is not finite"),
    ],
)
def test_cells_that_are_no_finite_numbers_are_refused(tmp_path: Path, cell: str, message: str) -> None:
    found = read_table(table(tmp_path, f"x,y\n1,{cell}\n2,3\n"))
    with pytest.raises(FormatError, match=message):
        found.numbers(["x", "y"])


@pytest.mark.parametrize("nothing", ["", "NA", "nan", "null", "None", "?", '""'])
def test_rows_without_a_value_are_left_out_and_counted(tmp_path: Path, nothing: str) -> None:
    text = f"x,y,kind\n1,2,a\n\n3,{nothing},b\n{nothing},6,c\n7,8,NA\n9,10,\n11,12,e\n13,14,f\n"
    found = read_table(table(tmp_path, text))
    assert found.numeric() == ("x", "y")
    whole, words = found.complete(["x", "y"])
    assert whole.numbers(["y"]).flatten().tolist() == [2, 8, 10, 12, 14]
    assert words == "2 rows are skipped for lack of a value: the first in line 4, column 'y'"
    # of text only what is empty has no value: NA may be a name
    whole, words = found.complete(["x"], ["kind"])
    assert whole.column("kind") == ("a", "b", "NA", "e", "f")
    assert words == "2 rows are skipped for lack of a value: the first in line 5, column 'x'"
    assert found.where("kind", "b").complete(["x"])[1] == ""
    # what is not asked for does not matter
    assert found.complete(["x"])[1] == "1 row is skipped for lack of a value: line 5, column 'x'"


def test_a_column_that_is_mostly_empty_is_refused_with_its_name(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "x,y\n1,\n2,\n3,4\n"))
    assert found.numeric() == ("x", "y")
    with pytest.raises(FormatError, match="column 'y' has no value in 2 of 3 rows, first in line 2: fill it or choose"):
        found.complete(["x", "y"])
    assert found.complete(["x"]) == (found, "")


def test_a_column_without_a_name_counts_rows_and_is_no_column_of_numbers(tmp_path: Path) -> None:
    assert read_table(table(tmp_path, ",x,y\n0,1,2\n1,3,4\n")).numeric() == ("x", "y")
    # and a first line of numbers may have gaps
    found = read_table(table(tmp_path, "1,,3\n4,5,6\n"))
    assert (found.names, len(found.rows)) == (("c1", "c2", "c3"), 2)


def test_a_column_of_numbers_but_for_a_few_cells_is_pointed_out(tmp_path: Path) -> None:
    text = "x,y,kind\n" + "".join(f"{i},{'?' if i == 3 else 'two' if i == 7 else i},a{i % 2}\n" for i in range(20))
    found = read_table(table(tmp_path, text))
    assert found.numeric() == ("x",)
    assert found.spoiled() == {"y": "line 9, column 'y': 'two' is not a number"}


def test_a_wrong_name_gets_the_nearest_right_one(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "length,height,kind\n1,2,dino\n3,4,star\n"))
    with pytest.raises(DataError, match="no column 'lenght'; did you mean 'length'"):
        found.column("lenght")
    with pytest.raises(DataError, match="no row has kind = 'dinno'; did you mean 'dino'"):
        found.where("kind", "dinno")
    with pytest.raises(DataError, match="choose from dino, star"):
        found.where("kind", "42")
