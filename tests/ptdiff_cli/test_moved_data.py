"""``ptdiff resume --data``: the same content in another place is taken, other content is refused."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

OPTIONS = {
    "pointcloud": ["-o", "points=16", "-o", "size=tiny"],
    "points2d": ["-o", "width=32", "-o", "blocks=1"],
    "images": ["-o", "pixels=8", "-o", "size=tiny"],
}


def made(kind: str, place: Path) -> Path:
    """Data of a modality: a folder of arrays, a table or a folder of pictures."""
    random = np.random.default_rng(0)
    place.mkdir()
    if kind == "points2d":
        np.savetxt(place / "table.csv", random.random((60, 2)), header="x,y", delimiter=",", comments="")
        return place / "table.csv"
    for label in ("a", "b"):
        (place / label).mkdir()
        for i in range(6):
            if kind == "images":
                from PIL import Image

                Image.fromarray(random.integers(0, 256, (80, 80, 3), np.uint8)).save(place / label / f"{i}.png")
            else:
                np.save(place / label / f"{i}.npy", random.random((100, 3)).astype(np.float32))
    return place


def spoil(data: Path) -> None:
    """Change one number, so that neither the counts nor the names differ."""
    if data.is_file():
        rows = data.read_text().splitlines()
        data.write_text("\n".join([*rows[:-1], "0.25,0.75"]) + "\n")
        return
    file = sorted(data.rglob("3.*"))[0]
    if file.suffix == ".png":
        from PIL import Image

        image = Image.open(file).convert("RGB").rotate(180)
        image.save(file)
        return
    points = np.load(file)
    points[5] *= 0.999
    np.save(file, points)


@pytest.fixture(params=OPTIONS)
def trained(request: pytest.FixtureRequest, ptdiff: Callable[..., Any], tmp_path: Path) -> Mapping[str, Path]:
    kind = str(request.param)
    env = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    data, run = made(kind, tmp_path / "before"), tmp_path / "run"
    train = ["train", "-m", kind, "--data", data, "--steps", 2, "--set", "training.batch=4", *OPTIONS[kind]]
    done = ptdiff(*train, "--out", run, env=env)
    assert done.returncode == 0, done.stderr
    (tmp_path / "before").rename(tmp_path / "after")
    return {"run": run, "moved": tmp_path / "after" / data.relative_to(tmp_path / "before")}


def test_data_that_moved_is_found_by_its_content(trained, ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    env = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    run, place = trained["run"], trained["moved"]
    assert ptdiff("resume", run, env=env).returncode == 3
    done = ptdiff("resume", run, "--data", place, env=env)
    assert done.returncode == 0, done.stderr
    assert f"data: {place}" in (run / "config.yaml").read_text()
    # from now on without the option
    assert ptdiff("resume", run, env=env).returncode == 0


def test_other_content_is_refused_in_one_line_and_nothing_written(trained, ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    env = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    run, place = trained["run"], trained["moved"]
    spoil(place)
    before = {name: (run / name).read_bytes() for name in ("config.yaml", "data.json")}
    done = ptdiff("resume", run, "--data", place, env=env)
    assert done.returncode == 3
    last = done.stderr.strip().splitlines()[-1]
    assert f"--data {place}: not the data that {run} started with: sha256 of the content was" in last
    assert before == {name: (run / name).read_bytes() for name in before}


def test_a_run_without_a_hash_is_compared_by_mean_and_scale(trained, ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    env = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    run, place = trained["run"], trained["moved"]
    facts = json.loads((run / "data.json").read_text())
    (run / "seal.json").unlink(missing_ok=True)
    del facts["summary"]["sha256"]
    facts["scale"] = np.multiply(facts["scale"], 1.01).tolist()
    (run / "data.json").write_text(json.dumps(facts))
    done = ptdiff("resume", run, "--data", place, env=env)
    assert done.returncode == 3
    assert "scale was" in done.stderr


def test_fewer_samples_and_a_missing_place_are_named(trained, ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    env = {"PTDIFF_CACHE": str(tmp_path / "cache")}
    run, place = trained["run"], trained["moved"]
    done = ptdiff("resume", run, "--data", tmp_path / "nowhere" / "at-all", env=env)
    assert done.returncode == 3
    assert "nowhere" in done.stderr
    if place.is_dir():
        shutil.rmtree(place / "b")
        done = ptdiff("resume", run, "--data", place, env=env)
        assert done.returncode == 3
        assert "classes were ['a', 'b'] and are ['a']" in done.stderr or "and are []" in done.stderr
