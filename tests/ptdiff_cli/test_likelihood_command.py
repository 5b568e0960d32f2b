"""``ptdiff likelihood``: figures in the units of the data, with their errors, and close to a known density."""

import json
import math
from pathlib import Path

import numpy as np
import pytest


def test_the_likelihood_of_held_out_data_in_json_and_a_file(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "nats.npz"
    done = ptdiff("likelihood", run, "-n", 12, "--steps", 8, "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["n"] == 12
    assert result["given"] == ["label"]
    assert result["divergence"] == {"name": "hutchinson", "probes": 8, "law": "rademacher", "chunk": 16}
    assert result["calls"] == 48 * 9
    assert result["bin_width"] is None
    for name in ("nats", "nats_in_model_units", "bits_per_dimension"):
        assert result[name]["standard_error"] > result[name]["probe_error"] > 0
    # two dimensions of one scale: the Jacobian, and bits
    scale = json.loads((run / "data.json").read_text())["scale"]
    assert result["nats"]["value"] == pytest.approx(result["nats_in_model_units"]["value"] + 2 * math.log(scale))
    assert result["bits_per_dimension"]["value"] == pytest.approx(result["nats"]["value"] / 2 / math.log(2))
    assert f"{result['calls']} network evaluations" in done.stderr
    with np.load(out, allow_pickle=False) as file:
        assert file["nats"].shape == file["standard_error"].shape == file["id"].shape == file["label"].shape == (12,)
        assert -file["nats"].mean() == pytest.approx(result["nats"]["value"])
        assert file["start_gap"].mean() == pytest.approx(result["start_gap"])
    assert result["sigma_min"] == 1e-3
    extrapolated = result["nats"]["value"] - result["start_gap"]
    assert result["nats_without_noise"]["value"] == pytest.approx(extrapolated)


def test_the_noise_of_the_process_itself_is_printed(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("likelihood", run, "-n", 4, "--steps", 2, "--process", "ve-geometric")
    assert done.returncode == 0, done.stderr
    assert "nats, data with noise of 0.01" in done.stdout
    assert "nats, extrapolated to no noise" in done.stdout


def test_values_belong_to_samples_and_exact_has_no_probe_error(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    results = []
    for extra in (["--exact"], ["--exact", "--batch", 5], ["--exact", "--unconditional"], ["--seed", 1, "--exact"]):
        done = ptdiff("likelihood", run, "-n", 12, "--steps", 4, "--json", *extra)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout))
    values = [result["nats"]["value"] for result in results]
    assert results[0]["nats"]["probe_error"] == 0
    assert values[1] == pytest.approx(values[0], abs=1e-4)
    assert results[2]["given"] == []
    assert len({round(value, 3) for value in values}) == 3


def test_a_table_for_people(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("likelihood", run, "-n", 4, "--steps", 2, "--split", "train")
    assert done.returncode == 0, done.stderr
    for words in ("NLL given the label, n = 4", "bits per dimension", "± probes"):
        assert words in done.stdout
    assert "density in world units" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--exact", "--probes", 4], "leave out"),
        (["--split", "test"], "unknown split 'test'"),
        (["--steps", 7], "steps must be even"),
        (["--process", "vpp"], "did you mean 'vp'"),
        (["--out", "values.csv"], "must end in .npz"),
    ],
)
def test_mistakes_end_with_one_line(ptdiff, run: Path, arguments: list[object], words: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("likelihood", run, "-n", 4, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_quantised_images_are_measured_in_bits_of_their_values(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "digits"
    done = ptdiff("train", "-m", "images", "--steps", 2, "-o", "width=8", "-o", "layers=1", "--out", path)
    assert done.returncode == 0, done.stderr
    done = ptdiff("likelihood", path, "-n", 2, "--steps", 2, "--probes", 2, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bin_width"] == 1 / 16
    expected = (result["nats"]["value"] / 64 + math.log(16)) / math.log(2)
    assert result["bits_per_dimension"]["value"] == pytest.approx(expected)


@pytest.mark.slow
def test_a_trained_model_comes_near_the_entropy_of_its_data(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "two"
    options = ["-o", "count=4096", "-o", "width=48", "-o", "blocks=2", "--set", "training.batch=256"]
    done = ptdiff("train", "-m", "points2d", "--data", "two-gaussians", "--steps", 3000, "--out", path, *options)
    assert done.returncode == 0, done.stderr
    done = ptdiff("likelihood", path, "-n", 400, "--exact", "--steps", 24, "--json", "--out", tmp_path / "v.npz")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # each class is normal with deviation 0.5 in the plane
    entropy = 1 + math.log(2 * math.pi * 0.25)
    assert result["nats"]["value"] == pytest.approx(entropy, abs=3 * result["nats"]["standard_error"] + 0.05)
    assert result["step_error"] < 0.01
