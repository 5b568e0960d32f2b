"""Text tables: separators, names, numbers, and clear words for what is wrong."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.formats.tables import read_table
from ptdiff_datasets.formats.text import read_text


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


DIALECTS = {
    "byte order mark": b"\xef\xbb\xbfx,y,z\n0.5,1,2\n3,4,5.25\n",
    "quotes": b'"x","y","z"\n"0.5","1","2"\n"3","4","5.25"\n',
    "sep=;": b"sep=;\nx;y;z\n0.5;1;2\n3;4;5.25\n",
    "decimal commas": b"x;y;z\n0,5;1,0;2\n3;4;5,25\n",
    "decimal commas and spaces": b"x y z\n0,5 1,0 2\n3 4 5,25\n",
    "row names of R": b'"","x","y","z"\n"1",0.5,1,2\n"2",3,4,5.25\n',
    "row names without a name": b"x y z\n1 0.5 1 2\n2 3 4 5.25\n",
    "row names of write.table": b'"x" "y" "z"\n"a" 0.5 1 2\n"b" 3 4 5.25\n',
    "tabs and spaces": b"x\ty z\n0.5\t 1   2\n 3 4\t5.25\n",
    "comments": b"# made by hand\nx,y,z\n0.5,1,2 # the first\n# the second\n3,4,5.25\n// the end\n",
    "names in a comment": b"# x y z\n0.5 1 2\n3 4 5.25\n",
    "ends of old Macs": b"x,y,z\r0.5,1,2\r3,4,5.25\r",
    "UTF-16": "x,y,z\n0.5,1,2\n3,4,5.25\n".encode("utf-16"),
    "UTF-16 without a mark": "x,y,z\n0.5,1,2\n3,4,5.25\n".encode("utf-16-le"),
    "bars": b"x|y|z\n0.5|1|2\n3|4|5.25\n",
    "a separator at the end": b"x,y,z,\n0.5,1,2,\n3,4,5.25,\n",
    "one only in the rows": b"x,y,z\n0.5,1,2,\n3,4,5.25,\n",
    "exponents of Fortran": b"x y z\n5.0D-01 1 2\n3 4 5.25d0\n",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clouds_and_tables_understand_the_same_dialects(tmp_path: Path, dialect: str) -> None:
    found = read_table(table(tmp_path, DIALECTS[dialect]))
    assert found.numeric() == ("x", "y", "z")
    assert found.numbers(["x", "y", "z"]).tolist() == [[0.5, 1, 2], [3, 4, 5.25]]
    for suffix in (".csv", ".xyz", ".txt"):
        (tmp_path / f"a{suffix}").write_bytes(DIALECTS[dialect])
        assert read_text(tmp_path / f"a{suffix}").points.tolist() == [[0.5, 1, 2], [3, 4, 5.25]]


def test_tables_of_numbers_alone_may_be_separated_by_white_space(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "0.126  -132\n0.105\t-536\n1.304 947\n"))
    assert found.names == ("c1", "c2") and found.numbers(["c2"]).ravel().tolist() == [-132, -536, 947]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (['"1,043.00"', '"-5.5"'], [1043, -5.5]),
        (['"1,043,000"', '"7"'], [1043000, 7]),
        (['"1.043,00"', '"0,5"'], [1043, 0.5]),
        (["1'043.5", "2"], [1043.5, 2]),
        (["1\u00a0043.5", "2"], [1043.5, 2]),
        (["0.126%", "12 %"], [0.00126, 0.12]),
        (["\u2212132", "4"], [-132, 4]),
        (['"1,043"', '"2.5"'], [1043, 2.5]),
        (['"1,043"', '"2,5"'], [1.043, 2.5]),
    ],
)
def test_numbers_are_read_as_they_are_written(tmp_path: Path, cells: list[str], numbers: list[float]) -> None:
    found = read_table(table(tmp_path, "a,b\n" + "".join(f"{cell},x\n" for cell in cells)))
    assert found.numeric() == ("a",)
    assert found.numbers(["a"]).ravel().tolist() == pytest.approx(numbers, rel=1e-15)


def test_a_number_that_may_be_two_is_refused_with_the_option_that_settles_it(tmp_path: Path) -> None:
    path = table(tmp_path, 'a,b\n"1,043",2\n"2,100",3\n')
    with pytest.raises(FormatError, match=r"line 2, column 'a': '1,043' may be 1.043 or 1043; -o decimal=, or"):
        read_table(path).numbers(["a"])
    assert read_table(path, decimal=",").numbers(["a"]).ravel().tolist() == [1.043, 2.1]
    assert read_table(path, decimal=".").numbers(["a"]).ravel().tolist() == [1043, 2100]
    # another column settles it too
    path = table(tmp_path, 'a,b\n"1,043","0,5"\n')
    assert read_table(path).numbers(["a", "b"]).tolist() == [[1.043, 0.5]]


def test_per_cent_among_plain_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="line 3, column 'a': '5' is not a percentage, unlike the cells before"):
        read_table(table(tmp_path, "a,b\n12%,1\n5,2\n")).numbers(["a"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("2019,2020\n0.126,-132\n0.105,-536\n1.304,947\n", ("2019", "2020")),
        (",0,1,2\n0,0.5,0.25,1.5\n1,1.5,2.5,3\n2,0.1,0.2,0.3\n", ("", "0", "1", "2")),
        ("city,2019,2020\nParis,2.5,3\nRome,4,5\n", ("city", "2019", "2020")),
        ("0,0\n0.5,0.25\n1,1\n2,3\n", ("c1", "c2")),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ("c1", "c2", "c3")),
        ("1,2,a\n3,4,b\n5,6,a\n", ("c1", "c2", "c3")),
        ("1,2\n3,4\n5,7\n8,9\n", ("c1", "c2")),
    ],
)
def test_names_that_are_numbers_are_told_from_rows(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    assert read_table(table(tmp_path, text)).names == names


def test_a_first_line_that_may_be_either_is_refused_with_the_option(tmp_path: Path) -> None:
    path = table(tmp_path, "1,2\n0.126,-132\n0.105,-536\n1.304,947\n")
    with pytest.raises(FormatError, match=r"first line \(1, 2\) may be names or numbers; -o header=true or false"):
        read_table(path)
    assert read_table(path, header=True).names == ("1", "2")
    assert len(read_table(path, header=False).rows) == 4


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("t x y z quality\n0 1.5 2 3\n1 4 5 6\n", "5 names, but line 2 has 4 cells"),
        ("x,y\n0.5,1,2\n3,4,5\n", "2 names, but line 2 has 3 cells"),
        ("x,y\n1,1,2\n1,4,5\n", "2 names, but line 2 has 3 cells"),
        ("x,y,z\n1,2,3,4,5\n", "3 names, but line 2 has 5 cells"),
    ],
)
def test_names_that_do_not_fit_the_rows_are_refused_with_both_counts(tmp_path: Path, text: str, counts: str) -> None:
    for read in (read_table, read_text):
        with pytest.raises(FormatError, match=counts if read is read_table or "z" in text else "no columns|is not a"):
            read(table(tmp_path, text))


def test_a_number_sign_in_text_is_no_comment(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "x,language\n1,C#\n2,http://a.org\n3,F #\n"))
    assert found.column("language") == ("C#", "http://a.org", "F #")


def test_every_dropped_column_is_named_with_its_first_bad_cell(tmp_path: Path) -> None:
    found = read_table(table(tmp_path, "x,price,kind\n1,$5,a\n2,$6,b\n"))
    assert found.dropped == {
        "price": "line 2, column 'price': '$5' is not a number",
        "kind": "line 2, column 'kind': 'a' is not a number",
    }
