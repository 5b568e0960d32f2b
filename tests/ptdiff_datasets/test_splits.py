"""`ptdiff_datasets.clouds.splits`: about one in ten, addressed, and never an empty class."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ptdiff_datasets.clouds.splits import assign_splits, together

names = st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True)


@given(numbers=names, classes=st.integers(1, 5))
def test_every_class_trains_and_something_validates(numbers: list[int], classes: int) -> None:
    ids, labels = [f"{n}.obj" for n in numbers], [str(n % classes) for n in numbers]
    splits = assign_splits(ids, labels, [None] * len(ids))
    trained = {label for label, split in zip(labels, splits, strict=True) if split == "train"}
    assert trained == set(labels)
    assert ("val" in splits) == (max(Counter(labels).values()) > 1)
    assert "test" not in splits


def test_one_in_ten_validates() -> None:
    ids = [f"chair/{i}.obj" for i in range(5000)]
    count = assign_splits(ids, ["chair"] * 5000, [None] * 5000).count("val")
    assert abs(count - 500) < 5 * (5000 * 0.1 * 0.9) ** 0.5


def test_a_new_file_moves_no_other() -> None:
    ids = [f"chair/{i}.obj" for i in range(300)]
    few = assign_splits(ids[:200], ["chair"] * 200, [None] * 200)
    many = assign_splits(ids, ["chair"] * 300, [None] * 300)
    assert many[:200] == few
    turned = assign_splits(ids[::-1], ["chair"] * 300, [None] * 300)
    assert turned[::-1] == many


def test_the_format_of_a_file_does_not_count() -> None:
    stems = [f"chair/{i}.v2" for i in range(300)]
    one, other = (
        assign_splits([stem + suffix for stem in stems], ["x"] * 300, [None] * 300) for suffix in (".obj", ".glb")
    )
    assert one == other
    assert 0 < one.count("val") < 60


def test_splits_of_the_folders_are_kept() -> None:
    given_splits = ["train", "val", "test", "train"]
    assert assign_splits(list("abcd"), ["x"] * 4, given_splits) == given_splits


def test_validation_is_taken_from_training_and_never_from_test() -> None:
    ids = [str(i) for i in range(100)]
    given_splits = ["train"] * 60 + ["test"] * 40
    splits = assign_splits(ids, ["x"] * 100, given_splits)
    assert splits[60:] == ["test"] * 40
    assert 0 < splits[:60].count("val") < 20


@given(numbers=names, size=st.integers(2, 7))
def test_twins_are_on_one_side_and_every_class_still_trains(numbers: list[int], size: int) -> None:
    ids, labels = [f"{n}.obj" for n in numbers], [str(n % 3) for n in numbers]
    twins = [list(range(i, min(i + size, len(ids)))) for i in range(0, len(ids) // 2, size)]
    splits = assign_splits(ids, labels, [None] * len(ids), twins)
    assert all(len({splits[i] for i in group}) == 1 for group in twins)
    assert {label for label, split in zip(labels, splits, strict=True) if split == "train"} == set(labels)


def test_a_group_of_twins_goes_with_its_first_and_moves_no_other() -> None:
    ids = [f"chair/{i:04d}.obj" for i in range(2000)]
    alone = assign_splits(ids, ["chair"] * 2000, [None] * 2000)
    twins = [list(range(i, i + 4)) for i in range(0, 400, 4)]
    splits = assign_splits(ids, ["chair"] * 2000, [None] * 2000, twins)
    assert splits[400:] == alone[400:]
    assert all(splits[group[-1]] == alone[group[0]] for group in twins)
    assert "val" in splits[:400]


def test_twins_in_test_stay_there_and_those_in_train_may_validate() -> None:
    ids = [str(i) for i in range(100)]
    given_splits = ["train"] * 60 + ["test"] * 40
    splits = assign_splits(ids, ["x"] * 100, given_splits, [[58, 59, 60, 61]])
    assert splits[60:] == ["test"] * 40
    assert splits[58] == splits[59]


def test_twins_are_moved_to_where_the_first_of_the_splits_is() -> None:
    given_splits = ["train", "val", "test", "val", "test", "test"]
    assert together(given_splits, [[1, 0], [3, 4]]) == ["train", "train", "test", "val", "val", "test"]
