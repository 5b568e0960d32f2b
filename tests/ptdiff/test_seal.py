"""The seal of a run: no cut and no flip of config.yaml or data.json is taken for another run without a word."""

import contextlib
import errno
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptdiff.documents.atomic import write_atomic
from ptdiff.errors import CheckpointError, RunError
from ptdiff.experiments.compare_runs import summary
from ptdiff.run import checkpoint as checkpoints
from ptdiff.run.checkpoint import COMMITTED, STATE, latest, lost
from ptdiff.run.folder import Run
from ptdiff.run.seal import SEAL, changes, read_seal
from ptdiff.training.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after two steps."""
    path = tmp_path_factory.mktemp("seal") / "run"
    train("points2d", steps=2, options={"count": 200}, out=path)
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Its text files, without weights."""
    path = tmp_path / "run"
    path.mkdir()
    for name in ("config.yaml", "data.json", SEAL):
        (path / name).write_bytes((trained / name).read_bytes())
    return path


def opened(path: Path) -> tuple[Run | None, list[str]]:
    """Open a run; None if it is refused, with the lines that were said."""
    said: list[str] = []
    try:
        return Run.open(path, said.append), said
    except (RunError, ValueError) as error:
        return None, [str(error)]


@pytest.mark.parametrize("name", ["config.yaml", "data.json"])
def test_two_thousand_cuts_and_flips_never_become_another_run_silently(run: Path, name: str) -> None:
    right, draw = Run.open(run), random.Random(name)
    text = (run / name).read_bytes()
    silent, refused, named = 0, 0, 0
    for number in range(1000):
        spoiled = bytearray(text)
        if number % 2:
            spoiled = spoiled[: draw.randrange(len(text))]
        else:
            # digits are flipped most often, because these are still numbers afterwards
            digits = [i for i, byte in enumerate(text) if chr(byte).isdigit()]
            place = draw.choice(digits) if number % 4 else draw.randrange(len(text))
            spoiled[place] ^= 1 << draw.randrange(7)
        (run / name).write_bytes(spoiled)
        found, said = opened(run)
        assert "\n" not in "".join(said)
        if found is None:
            refused += 1
        elif said:
            named += 1
        else:
            # only white space, comments and other spellings of the same values
            assert (found.config, found.data) == (right.config, right.data)
            silent += 1
    assert refused > 100 and silent < 300
    assert name == "data.json" or named > 100


def test_an_edit_of_the_configuration_is_named_and_allowed(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("\nseed: 0", "\nseed: 7"))
    found, said = opened(run)
    assert found is not None and found.config.seed == 7
    assert said == [f"{run}/config.yaml was edited: seed 0 -> 7"]
    with pytest.warns(UserWarning, match="seed 0 -> 7"):
        Run.open(run)


def test_a_comparison_names_the_runs_whose_configuration_was_edited(run: Path) -> None:
    said: list[str] = []
    assert summary(run, said.append).settings["seed"] == 0
    assert said == []
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("\nseed: 0", "\nseed: 7"))
    assert summary(run, said.append).settings["seed"] == 7
    assert said == [f"{run}/config.yaml was edited: seed 0 -> 7"]
    with pytest.warns(UserWarning, match="seed 0 -> 7"):
        summary(run)


def test_changed_facts_about_the_data_are_refused(run: Path) -> None:
    facts = json.loads((run / "data.json").read_text())
    facts["scale"] *= 2
    (run / "data.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"data.json is not what training measured: scale .* -> .*delete seal.json"):
        Run.open(run)
    (run / SEAL).unlink()
    assert Run.open(run).data.scale == facts["scale"]


def test_a_damaged_seal_is_said(run: Path) -> None:
    content = (run / SEAL).read_text()
    (run / SEAL).write_text(content.replace('"seed": 0', '"seed": 1'))
    found, said = opened(run)
    assert found is not None and "seal.json is damaged" in said[0]


@pytest.mark.parametrize("written", range(5))
def test_a_crash_while_settings_are_written_is_no_edit(
    run: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    opened_run, real, count = Run.open(run), write_atomic, iter(range(9))

    def crashing(path: Path, text: str) -> None:
        if next(count) == written:
            raise KeyboardInterrupt
        real(path, text)

    with monkeypatch.context() as patch:
        for module in ("seal", "folder"):
            patch.setattr(f"ptdiff.run.{module}.write_atomic", crashing)
        # env.json, the seal of both, config.yaml, the seal of the new one
        with contextlib.suppress(KeyboardInterrupt):
            opened_run.settled(opened_run.config.model_copy(update={"seed": 5}), {})
            assert written == 4
    found, said = opened(run)
    assert found is not None and said == []
    assert found.config.seed == (5 if written > 2 else opened_run.config.seed)
    sealed = read_seal(run)
    assert sealed is not None and len(sealed["config"]) == (2 if written in (2, 3) else 1)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, ""),
        ({"a": {"b": 1}}, {"a": {}}, "a.b is missing"),
        ({}, {"a": [1, 2]}, "a [1, 2] was added"),
        ({"a": 1}, {"a": True}, "a 1 -> true"),
        ({"a": 1}, {"a": 1.0}, "a 1 -> 1.0"),
        ({str(i): i for i in range(9)}, {}, "and 3 more"),
    ],
)
def test_changes_are_named(before: Any, after: Any, words: str) -> None:
    assert changes(before, after).endswith(words) and bool(changes(before, after)) == bool(words)


def failing(code: int, name: str) -> Callable[[Path], Any]:
    """The function that opens files for checkpoints, failing for one name."""
    real = checkpoints.opened

    def opens(path: Path) -> Any:
        if path.name == name:
            raise OSError(code, os.strerror(code), str(path))
        return real(path)

    return opens


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENFILE, errno.ENOMEM])
def test_a_read_error_renames_no_checkpoint_and_ends_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "run"
    train("points2d", steps=4, options={"count": 200}, out=path)
    folder = path / "checkpoints"
    before = sorted(str(p) for p in folder.rglob("*"))
    monkeypatch.setattr(checkpoints, "opened", failing(code, "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"cannot be read: .*nothing was changed"):
        latest(folder, repair=True)
    said: list[str] = []
    assert latest(folder, said.append) is None and "cannot be read" in said[0]
    monkeypatch.undo()
    assert sorted(str(p) for p in folder.rglob("*")) == before
    assert latest(folder, repair=True) is not None


def test_only_committed_checkpoints_are_lost(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, step, {"model": {}}, {"step": step}, keep=3)
    (tmp_path / "3" / COMMITTED).unlink()
    (tmp_path / "2" / STATE).write_text("{}")
    assert [path.name for path in lost(tmp_path)] == ["2"]
    found = latest(tmp_path, repair=True)
    assert found is not None and found.step == 1
    assert [path.name for path in lost(tmp_path)] == ["2.damaged"]


def test_files_beside_the_manifest_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "run"
    model = train("points2d", steps=2, options={"count": 200}, out=path)
    checkpoint = model.run.checkpoint()
    (checkpoint.path / "best.safetensors").write_bytes((checkpoint.path / "model.safetensors").read_bytes())
    assert model.run.checkpoint().parts == checkpoint.parts
    denoiser = model.run.denoiser()
    assert all(
        (a == b).all()
        for a, b in zip(denoiser.parameters(), model.run.denoiser(weights="ema").parameters(), strict=True)
    )
    with pytest.raises(CheckpointError, match="has no best"):
        checkpoint.tensors("best")


def test_all_files_have_the_mode_of_the_umask(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 1, {"model": {}}, {"step": 1})
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "1").iterdir()}
    assert len(modes) == 1


def test_a_reader_takes_the_next_checkpoint_if_training_removes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    model = train("points2d", steps=2, options={"count": 200}, out=path)
    run, real = model.run, checkpoints.Checkpoint.tensors
    found = run.checkpoint()
    parts = {part: found.tensors(part) for part in found.parts}
    removed: list[Path] = []

    def tensors(self: checkpoints.Checkpoint, part: str) -> Any:
        if not removed:
            # as training does between the verification and the reading
            removed.append(self.path)
            checkpoints.save(path / "checkpoints", 9, parts, dict(self.state), keep=1)
        return real(self, part)

    monkeypatch.setattr(checkpoints.Checkpoint, "tensors", tensors)
    run.denoiser()
    assert removed and not removed[0].exists()


def test_a_manifest_names_files_of_its_own_folder(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 1, {"model": {}}, {"step": 1})
    manifest = tmp_path / "1" / "MANIFEST.sha256"
    secret = tmp_path / "secret"
    secret.write_text("x")
    manifest.write_text(manifest.read_text() + f"{checkpoints.sha256(secret)}  ../secret\n")
    (tmp_path / "1" / COMMITTED).write_text(checkpoints._seal(manifest.read_bytes()))
    assert "not in the folder" in str(checkpoints.problem(tmp_path / "1"))


def test_spoiled_text_is_read_as_bytes(run: Path) -> None:
    (run / "config.yaml").write_bytes(b"\xff\xfe" + io.BytesIO(b"seed: 0").read())
    found, said = opened(run)
    assert found is None and said
