"""``ptdiff runs``: tables that are read whole in a narrow terminal, and figures beside those they compare with."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

FIGURES = {"sliced_wasserstein": 0.28931, "energy": 0.2397, "mmd_squared": -0.0015934, "memorization": 10.891}
SETTINGS = {"training": {"lr": 1e-3, "ema": {"decay": 0.99}}, "process": {"name": "flow"}}


def a_run(path: Path, figures: Mapping[str, float] | None = None, n: int = 100, **config: object) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"modality": "m", "seed": 0} | config))
    (path / "data.json").write_text("{}")
    (path / "metrics.jsonl").write_text(json.dumps({"step": 20, "seconds": 90.0, "loss": 1.3217}) + "\n")
    if figures is not None:
        values = {name: {"value": value} for name, value in figures.items()}
        (path / "eval.json").write_text(json.dumps({"protocol": "full-set", "n": n, "metrics": values}))
    return path


def whole(text: str, *words: str) -> None:
    """Every line fits, nothing is cut off, and every word is there."""
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert [word for word in words if word not in text.split()] == []


@pytest.mark.parametrize("count", [2, 5, 12])
def test_every_word_is_read_whole_at_80_columns(ptdiff, count: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for i in range(count):
        config = {"training": {"lr": 0.1 + i, "ema": {"decay": i / 16}}, "process": {"name": f"process-{i}"}}
        figures = {f"{name}_{k}": value + i for name, value in FIGURES.items() for k in "ab"}
        a_run(tmp_path / f"trial-{i:03d}", figures, **config)
    done = ptdiff("runs", "compare", tmp_path)
    assert done.returncode == 0, done.stderr
    names = [f"trial-{i:03d}" for i in range(count)]
    values = [f"{value + i:.4g}" for value in FIGURES.values() for i in range(count)]
    decays = [f"{i / 16:.4g}" for i in range(1, count)]
    whole(done.stdout, *names, *values, *decays, "lr", "ema.decay", "process", "minutes", "sliced_wasserstein_b")


def test_a_few_runs_that_differ_in_much_are_columns(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name, step in (("one", 1), ("two", 2)):
        a_run(tmp_path / name, options={f"option_{k}": k * step for k in range(1, 30)})
    done = ptdiff("runs", "compare", tmp_path)
    whole(done.stdout, "one", "two", *(f"option_{k}" for k in range(1, 30)), "58")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["option_29", "29", "58"] in lines and ["minutes", "1.5", "1.5"] in lines


def test_a_word_longer_than_the_terminal_goes_on_in_the_next_line(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    places = ["".join(chr(97 + (i * k) % 26) for i in range(120)) for k in (3, 5)]
    for name, place in zip(("one", "two"), places, strict=True):
        a_run(tmp_path / name, options={"data": place})
    done = ptdiff("runs", "compare", tmp_path)
    whole(done.stdout)
    assert all(place in "".join(done.stdout.replace("one", "").replace("two", "").split()) for place in places)


def test_runs_of_one_name_are_told_apart_by_their_folders(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for folder in ("rates", "widths"):
        a_run(tmp_path / folder / "trial-000", FIGURES, **SETTINGS)
    done = ptdiff("runs", "compare", tmp_path / "rates", tmp_path / "widths")
    whole(done.stdout, "rates/trial-000", "widths/trial-000")


def test_settings_that_end_alike_keep_their_sections(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for k in (1, 2):
        a_run(tmp_path / str(k), training={"steps": k, "batch": k}, sampling={"steps": k}, options={"width": k})
    done = ptdiff("runs", "compare", tmp_path)
    whole(done.stdout, "training.steps", "sampling.steps", "batch", "width", "steps")


def test_figures_that_do_not_compare_stand_apart(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name, n in (("one", 100), ("two", 50), ("three", 100)):
        a_run(tmp_path / name, {"energy": n / 8}, n=n)
    a_run(tmp_path / "four")
    done = ptdiff("runs", "compare", tmp_path)
    whole(done.stdout)
    assert [line.split() for line in done.stdout.splitlines() if line.split()][-10:-1] == [
        ["full-set,", "n", "=", "100"],
        ["run", "energy"],
        ["─" * 14],
        ["one", "12.5"],
        ["three", "12.5"],
        ["full-set,", "n", "=", "50"],
        ["run", "energy"],
        ["─" * 12],
        ["two", "6.25"],
    ]
    assert done.stdout.endswith("Scores in different tables were measured in different ways; do not compare them.\n")
    rows = {
        Path(row["run"]).name: row
        for row in csv.DictReader(io.StringIO(ptdiff("runs", "compare", tmp_path, "--csv").stdout))
    }
    assert rows["one"]["energy (full-set, n = 100)"] == rows["three"]["energy (full-set, n = 100)"] == "12.5"
    assert (rows["two"]["energy (full-set, n = 100)"], rows["two"]["energy (full-set, n = 50)"]) == ("", "6.25")
    assert (rows["two"]["measured"], rows["four"]["measured"]) == ("full-set, n = 50", "")
    found = {Path(run["run"]).name: run for run in json.loads(ptdiff("runs", "compare", tmp_path, "--json").stdout)}
    assert found["two"]["measured"] == {"protocol": "full-set", "n": 50, "calls": None}
    assert found["four"]["measured"] is None


def test_figures_measured_alike_share_a_table_without_a_warning(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("one", "two"):
        a_run(tmp_path / name, FIGURES)
    done = ptdiff("runs", "compare", tmp_path)
    assert done.stdout.count("energy") == 1 and "do not compare" not in done.stdout
    rows = list(csv.DictReader(io.StringIO(ptdiff("runs", "compare", tmp_path, "--csv").stdout)))
    assert [row["energy"] for row in rows] == ["0.2397", "0.2397"]
