"""Columns that hold two values alone: samples take the nearer one, unless the raw values are asked for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ptdiff.experiments.scores import measured
from ptdiff.modality.data import Data
from ptdiff_points2d import Points2D
from ptdiff_points2d.scores import two_valued


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """x of any value, flag 0 or 1, sex 1 or 2, odd 0 or 1 but for one 7, level of three values."""
    rows = [(0.37 * i, i % 2, 1 + (i % 3 == 0), 7 if i == 5 else i % 2, i % 3) for i in range(60)]
    path = tmp_path / "table.csv"
    path.write_text("x,flag,sex,odd,level\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def test_samples_take_the_nearer_of_two_values_and_nothing_else_is_touched(table: Path) -> None:
    kind = Points2D(data=str(table), columns="all")
    data = kind.dataset()
    assert data.summary["two_valued"] == [[1, 0.0, 1.0], [2, 1.0, 2.0]]
    assert str(data.summary["text"]).endswith(
        "\n  flag, sex hold only two values: samples are rounded to the nearer one, unless --raw"
    )
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    # on a machine without the file there are the facts of the run
    table.unlink()
    found = kind.postprocess(x, Data.from_facts(json.loads(json.dumps(data.facts()))))
    assert torch.equal(x, before)
    for column, values in ((1, [0.0, 1.0]), (2, [1.0, 2.0])):
        distance = (x[:, column, None] - torch.tensor(values)).abs()
        assert torch.equal(found[:, column], torch.tensor(values)[distance.argmin(1)])
    assert torch.equal(found[:, [0, 3, 4]], x[:, [0, 3, 4]])
    assert torch.equal(kind.postprocess(found, data), found)
    # runs of before know nothing of it
    assert torch.equal(kind.postprocess(x, Data((5,))), x)


def test_real_rows_stay_as_they_are(table: Path) -> None:
    for kind in (Points2D(data=str(table), columns="all"), Points2D(data="coins", count=100)):
        data = kind.dataset()
        assert data.train is not None
        x = data.train.batch(torch.arange(len(data.train)), 0)[0]
        assert torch.equal(kind.postprocess(x, data), x)
    assert "two_valued" not in Points2D(data="moons", count=50).dataset().summary


def test_figures_say_whether_they_are_of_rounded_values() -> None:
    real = torch.tensor([[0.0, 1.0, 0.2], [1.0, 1.0, 0.3], [0.0, 2.0, 0.4], [1.0, 2.0, 0.5]])
    assert two_valued(real, real, real) == {"measured_on": "2 columns with two values, rounded to the nearer one"}
    assert two_valued(real + 0.1, real, real) == {"measured_on": "2 columns with two values, raw"}
    assert two_valued(real[:, 2:], real[:, 2:], real[:, 2:]) == {}
    # two rows always have two values
    assert two_valued(real[:1], real[:1], real[1:2]) == {}


def test_the_command_line_gives_both(tmp_path: Path) -> None:
    import sys
    from unittest import mock

    from ptdiff_cli.main import main

    def ptdiff(*arguments: object) -> None:
        with mock.patch.object(sys, "argv", ["ptdiff", *map(str, arguments)]), pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code

    run = tmp_path / "run"
    small = ["-o", "data=coins", "-o", "count=60", "-o", "width=8", "-o", "blocks=1"]
    ptdiff("train", "-m", "points2d", *small, "--steps", 3, "--out", run)
    drawn = {}
    for name, raw in (("rounded", []), ("raw", ["--raw"])):
        ptdiff("sample", run, "-n", 20, "--steps", 3, *raw, "--out", tmp_path / f"{name}.npz")
        with np.load(tmp_path / f"{name}.npz") as file:
            drawn[name] = file["samples"]
    assert set(np.unique(drawn["rounded"])) == {0.0, 1.0}
    assert np.array_equal(drawn["rounded"], (drawn["raw"] > 0.5).astype(np.float32))
    assert len(np.unique(drawn["raw"])) > 900
    labels = []
    for raw, file in (([], "full-set-n20.json"), (["--raw"], "full-set-n20-raw.json")):
        ptdiff("eval", run, "-n", 20, "--steps", 3, *raw)
        found = measured(run / "eval" / file)
        assert found is not None
        labels.append((found.label, str(found.basis["measured_on"]).rpartition(", ")[2]))
    assert labels == [
        ("full-set, n = 20, coins val", "rounded to the nearer one"),
        ("full-set, raw, n = 20, coins val", "raw"),
    ]
