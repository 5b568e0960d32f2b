"""The modality: sources, splits, options, pictures, files."""

import csv
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.errors import UnknownName
from ptdiff.modality import Unsupported
from ptdiff.modality.data import Data
from ptdiff.pictures.plot import COLORS
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.points.toys import TOYS
from ptdiff_points2d import Points2D
from ptdiff_points2d.picture import Pictures


def samples(data: Data, split: str = "train") -> torch.Tensor:
    part = getattr(data, split)
    return part.batch(torch.arange(len(part)), seed=0)[0]


@pytest.mark.parametrize("name", TOYS)
def test_every_distribution_is_normalized_labelled_and_split(name: str) -> None:
    data = Points2D(data=name, count=3000).dataset()
    width = TOYS[name].width
    assert data.shape == (width,)
    assert data.classes == TOYS[name].classes
    z = data.normalize(samples(data))
    assert z.shape == (3000, width)
    assert z.mean(dim=0).abs().max() < 1e-5
    assert z.square().mean() == pytest.approx(1, abs=1e-5)
    held = samples(data, "val")
    assert held.shape == (1500, width)
    assert len(torch.cat([held, samples(data)]).unique(dim=0)) == 4500
    assert data.train is not None
    condition = data.train.batch(torch.arange(50), 0)[1]
    assert ("label" in condition) == bool(data.classes)


def test_the_seed_chooses_the_points_and_nothing_else_does() -> None:
    first = samples(Points2D(seed=4, count=100).dataset())
    assert torch.equal(first, samples(Points2D(seed=4, count=100).dataset()))
    assert torch.equal(first, samples(Points2D(seed=4, count=200).dataset())[:100])
    assert not torch.equal(first, samples(Points2D(seed=5, count=100).dataset()))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(60, 2)) * [3, 1] + [10, -5]
    lines = [f"{'ab'[i % 2]}\t{i}\t{x!r}\t{y!r}" for i, (x, y) in enumerate(rows.tolist())]
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(["set\tnumber\tx\ty", *lines]))
    return path


def test_a_table_gives_its_columns_classes_and_rows(table: Path) -> None:
    data = Points2D(data=str(table), columns="x, y", label="set").dataset()
    assert data.classes == ("a", "b")
    assert (len(samples(data)), len(samples(data, "val"))) == (50, 10)
    assert samples(data).mean(dim=0).tolist() == pytest.approx([10, -5], abs=1.5)
    half = Points2D(data=str(table), columns="x,y", where="set=b").dataset()
    assert half.classes == ()
    assert len(samples(half)) + len(samples(half, "val")) == 30
    # without names of columns the first two that hold numbers
    assert samples(Points2D(data=str(table)).dataset())[:3, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"data": "mons"}, UnknownName, "did you mean 'moons'"),
        ({"data": "nowhere.csv"}, FileNotFoundError, "nowhere.csv"),
        ({"data": "no/where"}, FileNotFoundError, "no/where"),
        ({"data": "/"}, IsADirectoryError, "/"),
        ({"label": "set"}, ValueError, "apply to tables only, not to moons"),
        ({"data": "tree", "noise": 0.1}, ValueError, "only for distributions of blurred points or curves"),
        ({"noise": 0.0}, ValueError, "noise must be positive"),
        ({"count": 0}, ValueError, "count must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
    ],
)
def test_wrong_options_are_answered_clearly(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Points2D(**options).dataset()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "x,z"}, "no column 'z'"),
        ({"columns": "set,x"}, "is not a number"),
        ({"where": "set"}, "column=value"),
        ({"where": "set=c"}, "no row has"),
        ({"where": "number=7"}, "1 rows are too few"),
    ],
)
def test_wrong_options_of_a_table_are_answered_clearly(table: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Points2D(data=str(table), **options).dataset()  # type: ignore[arg-type]


def test_a_table_with_one_column_of_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x,name\n1,a\n2,b\n")
    with pytest.raises(DataError, match="two columns of numbers are needed, found x"):
        Points2D(data=str(path)).dataset()


def ink(picture: np.ndarray) -> np.ndarray:
    """Where the picture has a color that is not gray."""
    return np.ptp(picture.astype(int), axis=2) > 40


def test_the_picture_shows_points_where_they_are() -> None:
    picture = Points2D(data="checkerboard").visualizer()
    corner = picture.sheet(np.full((1, 2), 1.5, np.float32), [])
    assert corner.shape == (720, 720, 3)
    assert corner.dtype == np.uint8
    rows, columns = ink(corner).nonzero()
    assert len(rows) > 20
    assert rows.max() < 200
    assert columns.min() > 500
    middle = ink(picture.sheet(np.zeros((1, 2), np.float32), [])).nonzero()
    assert abs(middle[0].mean() - 0.495 * 720) < 3
    assert abs(middle[1].mean() - 0.525 * 720) < 3


def test_the_frame_is_fixed_and_colors_follow_the_class() -> None:
    picture = Points2D(data="moons").visualizer()
    one = np.array([[0.5, 0.25]], np.float32)
    for titles in (["upper"], ["lower"]):
        sheet = picture.sheet(one, titles)
        center = sheet[356, 378].tolist()
        assert center[2] > center[0] if titles == ["upper"] else center[0] > center[2]
    strays = np.array([[0.5, 0.25]] * 19 + [[1e6, 0]], np.float32)
    assert ink(picture.sheet(strays, []))[340:372, 362:394].any()


def colored(picture: np.ndarray, color: str) -> np.ndarray:
    """Where the picture has about a color given as #rrggbb."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(picture.astype(int) - wanted) < 40).all(axis=2)


def test_what_lies_outside_is_drawn_at_the_edge_and_counted() -> None:
    picture = Points2D(data="moons").visualizer()
    inside = np.full((39, 2), (0.5, 0.25), np.float32)
    plain = picture.sheet(inside, [])
    strays = picture.sheet(np.concatenate([inside, [[1e6, 0.25]]]).astype(np.float32), [])
    # a mark at the right edge, and words below the axes
    changed = (plain != strays).any(axis=2)
    assert ink(strays)[330:380, 670:702].sum() > ink(plain)[330:380, 670:702].sum() + 10
    assert changed[700:].any() and not changed[60:300, 100:600].any()
    many = Points2D(data="lost.csv").visualizer()
    points = np.zeros((800, 2), np.float32)
    points[:, 0] = np.linspace(-1, 1, 800)
    points[0, 1] = 1e4
    assert ink(many.sheet(points, []))[:60].sum() > 5


def test_the_legend_names_the_classes_that_there_are_in_their_colors() -> None:
    picture = Pictures((0.0, 0.0, 1.0), ("left", "middle", "right"))
    points = np.zeros((20, 2), np.float32)
    first, second, third = COLORS[:3]
    sheet = picture.sheet(points, [picture.classes[1]] * 20)
    assert colored(sheet, second)[:50].sum() > 10 and not colored(sheet, first).any()
    sheet = picture.sheet(points, [picture.classes[0], picture.classes[1]] * 10)
    assert colored(sheet, first)[:50].sum() > 10 and colored(sheet, second)[:50].sum() > 10
    assert not colored(sheet, third).any()


def test_many_classes_have_a_panel_each_in_one_frame() -> None:
    # a ninth would be gray, as words are
    names = tuple(f"class {k}" for k in range(8))
    picture = Pictures((0.0, 0.0, 1.0), names)
    points = np.array([[0.5, 0.5], [-0.5, -0.5]] * 8, np.float32)
    points[::2, 0] = np.linspace(-0.8, 0.8, 8)
    points[1] = (0, 50)
    # dots are not opaque: many at one place
    sheet = picture.sheet(points.repeat(15, axis=0), [name for name in names for _ in range(30)])
    assert sheet.shape == (720, 720, 3)
    for k, name in enumerate(names):
        rows, columns = colored(sheet, COLORS[k]).nonzero()
        row, column = divmod(k, 3)
        # each class in its third of the page alone
        own = (rows // 240 == row) & (columns // 240 == column)
        # the edge of a letter may have its color too
        assert own.sum() > 20 and own.mean() > 0.95, name
        rows, columns = rows[own], columns[own]
        # the one in the upper half lies as far to the right as it should
        left = columns[rows < 240 * row + 120].mean() - (18 + 228 * column + 16)
        if k:
            assert left / 196 == pytest.approx((points[2 * k, 0] + 1) / 2, abs=0.03)
    # a few classes are told apart by their colors alone
    few = picture.sheet(points[4:8].repeat(15, axis=0), ["class 2"] * 30 + ["class 3"] * 30)
    assert np.ptp(colored(few, COLORS[3]).nonzero()[0]) > 250


def test_samples_of_another_distribution_are_shown_whole() -> None:
    # a file of samples need not know the options of the run that it comes from
    rings, _ = TOYS["rings"].draw(500, seed=0)
    moons = ink(Points2D(data="moons").visualizer().sheet(rings, []))
    right = ink(Points2D(data="rings").visualizer().sheet(rings, []))
    assert moons.sum() > 0.9 * right.sum()


def test_numbered_samples_have_no_legend_and_titles_must_match() -> None:
    picture = Points2D(data="moons").visualizer()
    points = np.zeros((30, 2), np.float32)
    plain = picture.sheet(points, [])
    assert np.array_equal(plain, picture.sheet(points, [str(n) for n in range(30)]))
    with pytest.raises(ValueError, match="2 titles for 30 samples"):
        picture.sheet(points, ["a", "b"])


def test_any_samples_give_a_picture(table: Path) -> None:
    for picture in (Points2D(data=str(table)).visualizer(), Points2D(data="lost.csv").visualizer()):
        for points in (np.zeros((0, 2)), np.full((3, 2), np.nan), np.zeros((1, 2)), np.eye(2) * 1e30):
            assert picture.sheet(points.astype(np.float32), []).shape == (720, 720, 3)
        with pytest.raises(Unsupported, match="no turntable"):
            picture.turntable(np.zeros((1, 2), np.float32), [])


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_points_are_written_to_the_bit_under_their_names_and_read_back(
    tmp_path: Path, suffix: str, separator: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("height,weight,kind\n" + "".join(f"{i},{i * i},{'ab'[i % 2]}\n" for i in range(30)))
    kind = Points2D(data=str(table), label="kind")
    points = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    classes = ["a", 'b, "and" c'] * 20
    kind.tables()[suffix](tmp_path / f"p.{suffix}", points, classes)
    with (tmp_path / f"p.{suffix}").open(newline="") as file:
        rows = list(csv.reader(file, delimiter=separator))
    assert rows[0] == ["height", "weight", "kind"]
    assert [row[2] for row in rows[1:]] == classes
    assert np.array_equal(np.array([row[:2] for row in rows[1:]], dtype=np.float32), points)
    again = Points2D(data=str(tmp_path / f"p.{suffix}"), label="kind").dataset()
    assert again.classes == ("a", 'b, "and" c') and again.shape == (2,)
    # where the data is not at hand, and without classes
    Points2D(data="lost.csv").tables()[suffix](tmp_path / f"q.{suffix}", points[:1], [])
    assert (tmp_path / f"q.{suffix}").read_text().splitlines()[0] == f"x{separator}y"
    assert Points2D().formats() == {}


def test_every_option_explains_itself_and_importing_is_light() -> None:
    assert all(option.metadata["help"] for option in dataclasses.fields(Points2D))
    for name in TOYS:
        assert name in {f.name: f for f in dataclasses.fields(Points2D)}["data"].metadata["help"]
    heavy = "[m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules]"
    code = f"import sys, ptdiff_points2d; print({heavy})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
