"""Links, pipes and other names inside a run folder: nothing is read, written or deleted through them."""

from __future__ import annotations

import os
import shutil
import socket
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ptdiff.documents.atomic import clear, temporary
from ptdiff.errors import RunError
from ptdiff.experiments.compare_runs import history, summary
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.run import links
from ptdiff.run.checkpoint import discard_after, save
from ptdiff.run.config import Config, validate
from ptdiff.run.folder import Run

NAMES = [
    *sorted(links.FILES | links.FOLDERS),
    "anything",
    "checkpoints/1",
    "checkpoints/1/ema.safetensors",
    "samples/a.png",
]

DATA = Data((2,), train=TensorSplit(torch.randn(50, 2)))


@pytest.fixture
def config() -> Config:
    return validate({"modality": "points2d"})


@pytest.fixture
def run(tmp_path: Path, config: Config) -> Run:
    made = Run.create(tmp_path / "runs" / "one", config, DATA)
    save(made.checkpoints, 1, {"ema": {"w": torch.zeros(2)}}, {"step": 1})
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of the reader, which must not change."""
    place = tmp_path / "home"
    (place / "letters").mkdir(parents=True)
    (place / "notes.txt").write_text("mine\n")
    return place


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else "folder" for p in folder.rglob("*")}


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["notes.txt", ".", "nowhere", "loop"])
def test_a_link_inside_a_run_is_refused_whatever_it_leads_to(run: Run, home: Path, name: str, target: str) -> None:
    where = run.path / name if target == "loop" else home / target
    replaced(run.path / name, lambda path: path.symlink_to(where))
    before = contents(home)
    for open_ in (Run.open, summary):
        with pytest.raises(RunError, match=r"is a link|is not a run folder"):
            open_(run.path)
    assert contents(home) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_or_a_socket_inside_a_run_is_refused_without_waiting(
    run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listen(path: Path) -> None:
        # the path of a socket has at most 107 characters
        monkeypatch.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)

    for make in (os.mkfifo, listen):
        replaced(run.path / name, make)
        with pytest.raises(RunError, match=r"pipe or a socket|is not a run folder"):
            Run.open(run.path)


@pytest.mark.parametrize("name", sorted(links.FILES | links.FOLDERS))
def test_a_folder_where_a_file_belongs_is_refused_and_the_reverse(run: Run, name: str) -> None:
    replaced(run.path / name, Path.touch if name in links.FOLDERS else Path.mkdir)
    with pytest.raises(RunError, match=r"not a file|not a folder|is not a run folder"):
        Run.open(run.path)


def test_links_survive_an_archive_and_are_refused_after_it(run: Run, tmp_path: Path, home: Path) -> None:
    replaced(run.path / "averages", lambda path: path.symlink_to("../../home"))
    with tarfile.open(tmp_path / "run.tar", "w") as tar:
        tar.add(run.path, "runs/theirs")
    with tarfile.open(tmp_path / "run.tar") as tar:
        # Python 3.11.2, that of Debian 12, has no filters, and needs none to keep links
        trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
        tar.extractall(tmp_path, **trusted)  # type: ignore[arg-type]
    assert (tmp_path / "runs" / "theirs" / "averages").is_symlink()
    with pytest.raises(RunError, match=r"averages is a link"):
        Run.open(tmp_path / "runs" / "theirs")


def test_a_link_to_a_run_is_what_the_user_said(run: Run) -> None:
    latest = run.path.with_name("latest")
    latest.symlink_to("one")
    assert Run.open(latest).checkpoint().step == 1
    assert summary(latest).steps == 0


def test_a_new_run_is_not_written_into_a_folder_with_links(tmp_path: Path, config: Config, home: Path) -> None:
    for name in (".lock", "samples", "env.json", "config.yaml"):
        folder = tmp_path / f"new{name}"
        folder.mkdir()
        (folder / name).symlink_to(home / "notes.txt")
        with pytest.raises((RunError, OSError), match=r"is a link|already contains a run"):
            Run.create(folder, config, DATA)
        assert set(contents(home)) == {"letters", "notes.txt"}
        assert (home / "notes.txt").read_text() == "mine\n"


def test_a_file_with_a_second_name_keeps_its_contents_there(run: Run, home: Path) -> None:
    for name in ("metrics.jsonl", ".lock", "logs/mlflow.db"):
        replaced(run.path / name, lambda path: os.link(home / "notes.txt", path))
    with run.locked():
        run.log({"step": 1})
    links.separate(run.path / "logs")
    assert (home / "notes.txt").read_text() == "mine\n"
    assert (run.path / "metrics.jsonl").read_text() == 'mine\n{"step": 1}\n'
    assert (run.path / "logs" / "mlflow.db").stat().st_nlink == 1


def test_the_links_that_wandb_makes_within_its_own_folder_are_no_problem(run: Run, home: Path) -> None:
    place = run.path / "logs" / "wandb"
    (place / "run-1" / "logs").mkdir(parents=True)
    (place / "run-1" / "logs" / "debug.log").touch()
    (place / "latest-run").symlink_to("run-1")
    (place / "debug.log").symlink_to("run-1/logs/debug.log")
    assert links.check(run.path) is None
    (place / "out").symlink_to(home)
    assert "out is a link" in (links.check(run.path) or "")


def test_the_lock_and_the_log_follow_no_link_that_came_after_the_run_was_opened(run: Run, home: Path) -> None:
    for name, write in ((".lock", run.locked), ("metrics.jsonl", lambda: run.log({"step": 1}))):
        replaced(run.path / name, lambda path: path.symlink_to(home / "notes.txt"))
        with pytest.raises(OSError, match=r"is a link"):
            write()
    assert (home / "notes.txt").read_text() == "mine\n"


def test_only_checkpoints_are_deleted_where_checkpoints_are_kept(run: Run, home: Path) -> None:
    """A folder of the user, with any name, what a file manager leaves, and links stay, and harm nothing."""
    folder = run.path / "averages"
    for step in (1, 5, 9):
        save(folder, step, {"ema": {"w": torch.zeros(2)}}, {"step": step}, keep=9)
    (folder / ".DS_Store").write_bytes(b"mac")
    for name in ("mine", "77", ".tmp-mine", f".tmp-{32 * 'g'}"):
        (folder / name).mkdir()
        (folder / name / "thesis.txt").write_text("years of work")
    (folder / "88").symlink_to(home)
    temporary(folder).symlink_to(home)
    left, kept = temporary(folder), {path.name for path in folder.iterdir()}
    left.mkdir()
    clear(folder)
    discard_after(folder, 4)
    assert {path.name for path in folder.iterdir()} == kept - {"5", "9"}
    assert (folder / "77" / "thesis.txt").read_text() == "years of work"
    assert set(contents(home)) == {"letters", "notes.txt"}


def test_what_a_killed_process_left_is_deleted_and_what_another_writes_is_not(run: Run) -> None:
    old, new = temporary(run.path / "samples").with_suffix(".png"), temporary(run.path)
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - 4000,) * 2)
    run.clear()
    assert not old.exists() and new.exists()


def test_a_line_that_was_cut_off_costs_none_of_the_next(run: Run) -> None:
    run.log({"step": 1})
    with (run.path / "metrics.jsonl").open("a") as file:
        # a full disk takes a part of a line
        file.write('{"step": 2, "lo')
    run.log({"step": 2})
    run.log({"step": 3})
    assert history(run.path) == [{"step": 1}, {"step": 2}, {"step": 3}]


@pytest.mark.parametrize("damage", [('"seconds"', '"secondr"'), ("1.5", '"1.5"'), ("0.25", '"0.25"'), ("0.25", "[]")])
def test_a_damaged_report_is_left_out_of_a_summary(run: Run, damage: tuple[str, str]) -> None:
    run.log({"step": 1, "seconds": 60.0, "loss": 0.5})
    run.log({"step": 2, "seconds": 61.5, "loss": 0.25})
    path = run.path / "metrics.jsonl"
    path.write_text(path.read_text().replace(*damage, 1))
    found = summary(run.path)
    assert found.loss in (0.5, 0.25) and found.steps in (1, 2)
