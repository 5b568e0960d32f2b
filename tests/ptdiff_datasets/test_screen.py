"""Reports fit one screen, and no kind of finding is left out of them."""

from ptdiff_datasets.clouds.screen import LINES, WIDTH, screen


def test_every_kind_has_a_line_and_the_rest_is_counted() -> None:
    kinds = {f"kind-{i}": [(f"{'deep/' * 20}{j}.ply", f"{'abcdefgh'[j]} reason") for j in range(8)] for i in range(9)}
    lines = screen(["head"] * 6, kinds, ["end"])
    assert len(lines) == LINES
    assert max(map(len, lines)) <= WIDTH
    assert all(any(kind in line for line in lines) for kind in kinds)
    assert "  … and 56 more kinds of findings; --json lists all" in lines
    assert lines[-1] == "end"


def test_findings_that_differ_in_numbers_only_are_one() -> None:
    found = {"unreadable": [(f"{i}.ply", f"the header claims {i} points") for i in range(400)], "scale": []}
    assert screen(["head"], found, ["end"]) == [
        "head",
        "  unreadable 400  0.ply and 399 more: the header claims 0 points",
        "end",
    ]
