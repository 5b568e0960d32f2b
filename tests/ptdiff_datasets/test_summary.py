"""`ptdiff_datasets.clouds.summary`: everything fits 80 columns and says what was left out."""

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from ptdiff_datasets.clouds.summary import Summary

PLAIN = Summary(
    root="data/kaykit",
    layout="classes",
    normalize="box",
    counts={"chair": {"train": 9, "val": 1}},
    skipped=(),
    other=0,
    low=(-1, -2, -3),
    high=(1, 2, 3),
    diagonal=1.5,
    points=81920,
    seconds=0.25,
    cached=False,
)


def test_long_class_lists_are_folded_to_the_largest() -> None:
    counts = {f"class {i:02}": {"train": 100 - i, "val": i % 3} for i in range(41)}
    text = replace(PLAIN, counts=counts).text()
    assert "class 11" in text
    assert "class 12" not in text
    assert "… and 29 more" in text
    rest = range(12, 41)
    assert f"{sum(100 - i for i in rest):,}" in text
    assert f"{sum(100 - i for i in range(41)):,}" in text.splitlines()[-3]
    assert "13 classes" in replace(PLAIN, counts=dict(list(counts.items())[:13])).text()


def test_what_was_left_out_is_named() -> None:
    text = replace(PLAIN, skipped=tuple((f"chair/{i}.obj", "no faces") for i in range(9)), other=3).text()
    assert "9 files skipped, 3 files of other types" in text
    assert "chair/4.obj: no faces" in text
    assert "chair/5.obj" not in text
    assert "… and 4 more" in text


def test_a_long_path_leaves_room_for_the_reason() -> None:
    text = replace(PLAIN, skipped=(("very/long/" * 20 + "end.obj", "no faces"),)).text()
    assert "end.obj: no faces" in text


def test_a_folder_that_holds_everything_is_named() -> None:
    assert "layout     class folders inside set/models\n" in replace(PLAIN, inside="set/models").text()
    assert "inside" not in PLAIN.text()


def test_the_cache_is_told() -> None:
    assert PLAIN.text().endswith("  read in 0.25 s from the files, not cached because some could not be opened")
    kept = replace(PLAIN, cache=str(Path.home() / "clouds"))
    assert kept.text().endswith("  read in 0.25 s from the files, cached for next time in ~/clouds")
    assert replace(kept, cached=True).text().endswith("  read in 0.25 s from the cache in ~/clouds")
    assert replace(kept, cache="/" + "x" * 80).text().endswith("from the files, cached for next time")
    assert "rebuilt: truncated" in replace(PLAIN, damaged="truncated").text()


anything = st.text(max_size=200)


@given(
    root=anything,
    names=st.lists(anything.filter(bool), min_size=1, max_size=20, unique=True),
    skipped=st.lists(st.tuples(anything, anything.map(lambda s: "".join(filter(str.isprintable, s))))),
    value=st.floats(allow_nan=False, allow_infinity=False),
    damaged=st.none() | st.just("x" * 200),
)
@example(root="", names=["train"], skipped=[], value=1.7e308, damaged=None)
def test_no_line_is_longer_than_80_columns_whatever_the_names(
    root: str, names: list[str], skipped: list[tuple[str, str]], value: float, damaged: str | None
) -> None:
    summary = replace(
        PLAIN, root=root, counts={name: {"train": 10**6, "val": 0, "test": 10**5} for name in names},
        skipped=tuple(skipped), low=(value,) * 3, high=(-value,) * 3, diagonal=abs(value), damaged=damaged,
        inside=root, cache=root,
    )  # fmt: skip
    lines = summary.text().split("\n")
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    json.dumps(summary.as_dict())
