"""Films through the command line: trained, drawn, played, written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

OPTIONS = ["-o", "frames=3", "-o", "size=tiny", "-o", "width=8", "--set", "training.batch=4"]


@pytest.fixture(scope="module")
def films(ptdiff, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("runs") / "films"
    done = ptdiff("train", "-m", "images", "--steps", 3, "--out", path, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert "they move 2 pixels per frame through videos of 3 frames of 16 x 16 pixels" in " ".join(done.stderr.split())
    return path


def frames(path: Path) -> int:
    with Image.open(path) as image:
        return int(getattr(image, "n_frames", 1))


def test_a_run_and_a_file_of_films_are_played(ptdiff, films: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    few = ("-n", 2, "--steps", 2)
    assert ptdiff("render", films, "--out", tmp_path / "run.gif", *few).returncode == 0
    done = ptdiff("sample", films, "--out", tmp_path / "a.npz", "--trajectory", *few)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "a.npz") as file:
        assert file["samples"].shape == (2, 1, 3, 16, 16)
    for suffix in ("gif", "png"):
        assert ptdiff("render", tmp_path / "a.npz", "--out", tmp_path / f"a.{suffix}").returncode == 0
    # three moments of the film, and not the three states on the way from noise, which begin with others
    assert frames(tmp_path / "run.gif") == frames(tmp_path / "a.gif") == 3
    assert (tmp_path / "run.gif").read_bytes() == (tmp_path / "a.gif").read_bytes()
    done = ptdiff("render", tmp_path / "a.npz", "--turntable")
    assert done.returncode == 1
    assert "no turntable" in done.stderr


def test_every_film_is_a_file(ptdiff, films: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("sample", films, "-n", 2, "--steps", 2, "--format", "gif", "--out", tmp_path / "gifs")
    assert done.returncode == 0, done.stderr
    assert [(path.name, frames(path)) for path in sorted((tmp_path / "gifs").iterdir())] == [
        ("0000-0.gif", 3),
        ("0001-1.gif", 3),
    ]


def test_the_gallery_shows_the_way_from_noise_to_films(ptdiff, films: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name, out in (("film", "a.gif"), ("forward", "b.png")):
        done = ptdiff("gallery", name, films, "-n", 2, "--steps", 2, "--out", tmp_path / out)
        assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size[0] > image.size[1]  # a strip for each film


def test_a_wrong_film_is_one_line(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for wrong, reason in (
        (["-o", "frames=0"], "frames of a video must be from 2"),
        (["-o", "velocity=2"], "set frames too"),
        (["-o", "frames=4", "-o", "network=dit"], "videos need unet"),
        (["-o", "frame=4"], "did you mean 'frames'"),
    ):
        done = ptdiff("train", "-m", "images", *wrong, "--dry-run")
        assert done.returncode == 2
        assert reason in " ".join(done.stderr.split())
