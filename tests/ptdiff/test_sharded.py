"""Samples in shards are the same bits for any number of workers, any engine, killed and interrupted as they may be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ptdiff.errors import UnknownName
from ptdiff.machine.engines import ATTEMPTS, ENGINES, Processes, Ray
from ptdiff.model import Model, load
from ptdiff.model.sharded import remove, sample_in_shards
from ptdiff.sampling.samples import Samples
from ptdiff.training.train import train

sys.path.insert(0, str(Path(__file__).parent))  # for engine_work, which workers import too

from engine_work import Deadly, DeadlyEngine, failing

no_kill = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A run of two moons after a few steps."""
    path = tmp_path_factory.mktemp("run") / "moons"
    train("points2d", steps=5, options={"count": 300}, out=path)
    return load(path)


def made(model: Model, n: int, engine: Any, **options: Any) -> Samples:
    samples, folder = sample_in_shards(model, n, engine, batch=40, steps=3, **options)
    remove(folder)
    assert not folder.exists()
    return samples


def test_a_range_of_samples_is_that_range(model: Model) -> None:
    whole = model.sample(30, steps=3, batch=10)
    part = model.sample(10, first=10, steps=3, batch=10)
    assert torch.equal(part.samples, whole.samples[10:20]) and torch.equal(part.labels, whole.labels[10:20])
    with pytest.raises(ValueError, match="first must be at least 0"):
        model.sample(3, first=-1)


def test_shards_are_the_samples_of_one_process(model: Model) -> None:
    samples = made(model, 150, Processes(1))
    whole = model.sample(150, steps=3, batch=40)
    assert torch.equal(samples.samples, whole.samples) and torch.equal(samples.labels, whole.labels)
    assert samples.calls == whole.calls


def test_more_samples_begin_with_the_same(model: Model) -> None:
    assert torch.equal(made(model, 80, Processes(1)).samples, made(model, 160, Processes(1)).samples[:80])


@pytest.mark.parametrize("label", ["1", "none", [0, 1] * 30])
def test_classes_go_to_their_samples(model: Model, label: Any) -> None:
    samples = made(model, 60, Processes(1), label=label)
    assert torch.equal(samples.samples, model.sample(60, label=label, steps=3, batch=40).samples)


@dataclass
class Stopped:
    """An engine that is interrupted after some items."""

    after: int
    asked: int = 0

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        self.asked = len(items)
        for number, item in enumerate(items):
            if number == self.after:
                raise KeyboardInterrupt
            yield function(item)


def test_interrupted_work_goes_on_and_damaged_shards_are_made_again(model: Model) -> None:
    with pytest.raises(KeyboardInterrupt):
        sample_in_shards(model, 200, Stopped(3), batch=40, steps=3)
    said: list[str] = []
    again = Stopped(99)
    (folder,) = (model.run.outputs / "samples").glob("shards-*")
    spoiled = sorted(folder.glob("*.npz"))[1]
    spoiled.write_bytes(spoiled.read_bytes()[:-30])
    samples, _ = sample_in_shards(model, 200, again, batch=40, steps=3, say=said.append)
    assert again.asked == 3  # two that were missing, and the damaged one
    assert "80 of 200 samples are there" in said[0]
    assert torch.equal(samples.samples, model.sample(200, steps=3, batch=40).samples)
    remove(folder)


def test_shards_of_another_request_are_not_used(model: Model) -> None:
    folders = {
        sample_in_shards(model, 40, Stopped(99), batch=40, steps=3, **options)[1]
        for options in ({}, {"seed": 1}, {"solver": "ddim"}, {"label": "0"}, {"raw": True})
    }
    assert len(folders) == 5
    for folder in folders:
        remove(folder)


def test_files_of_others_stay(model: Model) -> None:
    _, folder = sample_in_shards(model, 40, Processes(1), batch=40, steps=3)
    (folder / "notes.txt").write_text("mine")
    remove(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    folder.rmdir()


def test_what_workers_cannot_do_alike_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="precision auto depends"):
        sample_in_shards(model, 4, Processes(1), precision="auto")
    with pytest.raises(UnknownName, match="did you mean 'processes'"):
        ENGINES["process"]


def test_an_error_in_a_worker_is_raised() -> None:
    with pytest.raises(ValueError, match="three"):
        list(Processes(1).map(failing, range(5)))


@no_kill
@pytest.mark.slow
def test_items_of_a_killed_worker_are_done_by_another(tmp_path: Path) -> None:
    for deaths in (2, 10**6):
        folder = tmp_path / str(deaths)
        folder.mkdir()
        found = Processes(2).map(Deadly(str(folder), deaths), range(6))
        if deaths == 2:
            assert sorted(found) == [0, 1, 4, 9, 16, 25]
        else:
            with pytest.raises(ChildProcessError, match=f"died {ATTEMPTS} times in a row"):
                list(found)
    with pytest.raises(ValueError, match="three"):
        list(Processes(2).map(failing, range(5)))


@no_kill
@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_is_not_the_result_of_an_item(tmp_path: Path) -> None:
    # to the workers alone: with the command, which ends too, nothing would be left to look at
    assert sorted(Processes(2).map(Deadly(str(tmp_path), 1, "SIGINT"), range(4))) == [0, 1, 4, 9]


@no_kill
@pytest.mark.slow
@pytest.mark.parametrize("engine", [Processes(2), Processes(4), Ray(2)], ids=["2", "4", "ray"])
def test_killed_workers_change_no_bit(
    model: Model, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(engine, Ray):
        pytest.importorskip("ray")
        monkeypatch.setenv("PYTHONPATH", ":".join([str(Path(__file__).parent), *sys.path]))
    samples = made(model, 400, DeadlyEngine(engine, str(tmp_path)))
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(samples.samples, made(model, 400, Processes(1)).samples)
