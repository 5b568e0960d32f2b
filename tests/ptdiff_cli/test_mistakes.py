"""A mistake ends with one line, the right exit code, no traceback and nothing half-written."""

from pathlib import Path

import numpy as np
import pytest

USAGE = [
    (["train", "-m", "pointclod"], "did you mean 'pointcloud'?"),
    (["train"], "no kind of data given"),
    (["train", "-m", "points2d", "-o", "widht=3"], "did you mean 'width'?"),
    (["train", "-m", "points2d", "-o", "width=many"], "width"),
    (["train", "-m", "points2d", "-o", "width"], "key=value"),
    (["train", "-m", "points2d", "--set", "trainig.lr=1"], "did you mean 'training'?"),
    (["train", "-m", "points2d", "--set", "training.lr=-1"], "greater than 0"),
    (["train", "-m", "points2d", "--process", "flwo"], "did you mean 'flow'?"),
    (["train", "-m", "points2d", "--prediction", "velocty"], "did you mean 'velocity'?"),
    (["train", "-m", "points2d", "--prediction", "eps"], "eps-prediction cannot start at pure noise"),
    (["train", "-m", "points2d", "--logger", "wanb"], "did you mean 'wandb'?"),
    (["train", "-m", "points2d", "-c", "none.yaml"], "none.yaml"),
    (["train", "-m", "points2d", "--set", "objective=consistent"], "did you mean 'consistency'?"),
    (["train", "-m", "points2d", "--set", "objective=consistency"], "needs solver consistency"),
    (["sample", "nowhere"], "not a run folder"),
    (["modalities", "imges"], "did you mean 'images'?"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE, ids=[" ".join(a) for a, _ in USAGE])
def test_wrong_usage_ends_with_two(ptdiff, arguments: list[str], message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert list(tmp_path.iterdir()) == []


BAD_DATA = [
    ["train", "-m", "points2d", "--data", "mooons"],
    ["train", "-m", "points2d", "--data", "none.csv"],
    ["train", "-m", "images", "--data", "no-folder"],
    ["train", "-m", "pointcloud", "--data", "no-folder"],
    ["train", "-m", "pointcloud", "--data", "empty"],
    ["render", "none.npz"],
    ["render", "bad.npz"],
    ["render", "other.npz"],
]


@pytest.mark.parametrize("arguments", BAD_DATA, ids=lambda arguments: " ".join(arguments))
def test_bad_data_ends_with_three(ptdiff, arguments: list[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not an archive")
    np.savez(tmp_path / "other.npz", points=np.zeros(3))
    before = sorted(tmp_path.iterdir())
    done = ptdiff(*arguments, cwd=tmp_path, env={"PTDIFF_CACHE": str(tmp_path / "empty")})
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


WRONG_FOR_A_RUN = [
    (["sample", "--solver", "huen"], "did you mean 'heun'?"),
    (["sample", "--spacing", "karas"], "did you mean 'karras'?"),
    (["sample", "--label", "5"], "unknown class"),
    (["sample", "--points", "100"], "--points is only for sets"),
    (["sample", "--format", "plyy"], "unknown format"),
    (["sample", "--set", "solver.eta=3", "--solver", "ddim"], "eta must lie in"),
    (["sample", "--set", "sampler.eta=3"], "did you mean 'solver'?"),
    (["sample", "--solver", "heun", "--set", "solver.chart=noise"], "cannot start at pure noise"),
    (["eval", "--protocol", "mine"], "unknown protocol"),
    (["eval", "--split", "tests"], "unknown split"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_FOR_A_RUN, ids=[" ".join(a) for a, _ in WRONG_FOR_A_RUN])
def test_wrong_options_for_a_run_end_with_two(ptdiff, run: Path, arguments: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(arguments[0], run, *arguments[1:])
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_existing_run_is_not_overwritten(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    before = (run / "config.yaml").read_text()
    done = ptdiff("train", "-m", "points2d", "--steps", 1, "--out", run)
    assert done.returncode == 2
    assert "already contains a run" in done.stderr
    assert (run / "config.yaml").read_text() == before


def test_debug_shows_the_traceback_before_the_error(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "-m", "pointclod", "--debug")
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback") and "registry.py" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: unknown modality 'pointclod'")


def test_a_file_cannot_name_what_is_imported(ptdiff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    np.savez(tmp_path / "x.npz", samples=np.zeros((2, 5, 3), np.float32), modality=np.array("stranger:Thing"))
    done = ptdiff("render", tmp_path / "x.npz")
    assert done.returncode == 2
    assert "add -m stranger:Thing if you trust it" in done.stderr
    assert not (tmp_path / "x.png").exists()


UNKNOWN_HOME = [
    ["render", "HOME"],
    ["mesh", "HOME"],
    ["sample", "HOME"],
    ["resume", "HOME"],
    ["eval", "RUN", "-n", 4, "--steps", 2, "--reference", "HOME"],
    ["edit", "RUN", "HOME"],
    ["interpolate", "RUN", "HOME", "HOME"],
    ["export", "HOME", "--to", "out"],
    ["train", "-m", "points2d", "--data", "HOME", "--steps", 1],
    ["train", "-m", "images", "--data", "HOME", "--steps", 1],
    ["train", "-m", "pointcloud", "--data", "HOME", "--steps", 1],
    ["train", "-m", "points2d", "-c", "HOME", "--steps", 1],
    ["data", "check", "HOME"],
    ["data", "import", "HOME", "HOME"],
    ["config", "validate", "HOME"],
]


@pytest.mark.parametrize("arguments", UNKNOWN_HOME, ids=lambda arguments: " ".join(map(str, arguments)))
def test_the_home_of_a_user_who_does_not_exist_is_a_name_like_any_other(
    ptdiff, run: Path, arguments, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    words = {"HOME": "~no-such-user/x.npz", "RUN": run}
    done = ptdiff(*[words.get(word, word) for word in arguments], cwd=tmp_path)
    assert done.returncode in (2, 3), done.stderr
    assert "no-such-user" in done.stderr and "bug of ptdiff" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_width_of_zero_columns_is_an_unknown_width(ptdiff) -> None:  # type: ignore[no-untyped-def]
    for columns in ("0", "00"):
        done = ptdiff("list", "solver", env={"COLUMNS": columns})
        assert done.returncode == 0 and "heun" in done.stdout
        done = ptdiff("render", "nowhere.npz", env={"COLUMNS": columns})
        assert done.returncode == 3 and "nowhere.npz does not exist" in done.stderr


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ([], "the samples so far are lost; those of --workers are kept, and a repeated command continues"),
        (["--trajectory"], "the samples so far are lost\n"),
        (["--workers", 1], "the same command continues after the last finished batch"),
    ],
)
def test_ctrl_c_says_what_is_left_of_the_samples(  # type: ignore[no-untyped-def]
    ptdiff, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[object], left: str
) -> None:
    import ptdiff.model.loaded as loaded

    real, batches = loaded.walk, []

    def walk(*arguments, **more):  # type: ignore[no-untyped-def]
        batches.append(1)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    words = ["sample", run, "-n", 40, "--batch", 10, "--steps", 2, "--out", tmp_path / "x.npz", *options]
    with monkeypatch.context() as patch:
        patch.setattr(loaded, "walk", walk)
        done = ptdiff(*words)
    assert done.returncode == 130 and f"error: stopped: {left}" in done.stderr
    assert not (tmp_path / "x.npz").exists()
    done = ptdiff(*words)
    assert done.returncode == 0 and ("20 of 40 samples are there from before" in done.stderr) == (
        "--workers" in options
    )
