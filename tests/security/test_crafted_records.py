"""Attacks by values: records of a run, an exported model or a sweep that are whole, but not what ptdiff writes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch

from ptdiff.documents.jsons import parse_json
from ptdiff.errors import CheckpointError
from ptdiff.modality.data import Data
from ptdiff.run.checkpoint import COMMITTED, MANIFEST, STATE, Damaged, latest, save, verified
from ptdiff.run.seal import _digest
from ptdiff_cli.sweep import _recorded

INF, NAN = float("inf"), float("nan")


def harmless(done: Any) -> bool:
    """One line that is no bug and no traceback, or success."""
    text = done.stderr
    return "bug of ptdiff" not in text and "Traceback" not in text and (done.returncode == 0 or "error: " in text)


def recommitted(checkpoint: Path) -> None:
    """The manifest and the seal of a checkpoint as its new files need them."""
    names = [line.partition("  ")[2] for line in (checkpoint / MANIFEST).read_text().splitlines()]
    lines = (f"{hashlib.sha256((checkpoint / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (checkpoint / MANIFEST).write_text("".join(lines))
    (checkpoint / COMMITTED).write_text(hashlib.sha256((checkpoint / MANIFEST).read_bytes()).hexdigest() + "\n")


@pytest.mark.parametrize(
    "content", [{}, {"config": [1]}, {"config": 5}, {"config": []}, {"config": [{}], "data": [1]}], ids=str
)
def test_a_seal_of_another_form_with_a_right_digest_is_damaged(ptdiff, theirs: Path, content: dict[str, Any]) -> None:  # type: ignore[no-untyped-def]
    made = {"format": 1, "data": json.loads((theirs / "data.json").read_text())} | content
    if content == {}:
        del made["data"]
    (theirs / "seal.json").write_text(json.dumps(made | {"sha256": _digest(made)}))
    done = ptdiff("sample", theirs, "-n", 1, "--steps", 1)
    assert harmless(done) and "seal.json is damaged" in done.stderr


def test_a_seal_proves_no_origin(ptdiff, run: Path, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    """It has no key: whoever changes config.yaml can seal it again.  It finds accidents, and edits of others."""
    (theirs / "config.yaml").write_text((theirs / "config.yaml").read_text().replace("lr: 0.004", "lr: 0.005"))
    shutil.copy(run / "seal.json", theirs / "seal.json")
    assert "was edited: training.lr 0.004 -> 0.005" in ptdiff("sample", theirs, "-n", 1, "--steps", 1).stderr
    made = json.loads((theirs / "seal.json").read_text())
    del made["sha256"]
    made["config"][-1]["training"]["lr"] = 0.005
    (theirs / "seal.json").write_text(json.dumps(made | {"sha256": _digest(made)}))
    assert "edited" not in ptdiff("sample", theirs, "-n", 1, "--steps", 1).stderr


FACTS = {"shape": [2], "classes": ["a"], "mean": [0.0, 1.0], "scale": 2.0, "unordered": False, "spread": 1.0}
WRONG = [("scale", value) for value in (NAN, INF, 0, -1, [1, 2, 3], [[1, 2]], "x", [])]
WRONG += [("mean", value) for value in (NAN, [1, 2, 3], [[1, 2], [3]], [], None)]
WRONG += [("shape", value) for value in ([2.7], ["2"], [True, True], [-2], [10**30], "2")]
WRONG += [("classes", value) for value in ("abc", [["a"]], {"a": 1}, None)]
WRONG += [("spread", value) for value in (NAN, 0, -1, INF, "x")]
WRONG += [("origin", value) for value in ([NAN, 0], [1], [INF, 1], [10**400, 1], "12")]
WRONG += [("summary", value) for value in ([1], "x", None)]
WRONG += [("unordered", value) for value in ("no", 0, None)]


@pytest.mark.parametrize(("key", "value"), WRONG, ids=str)
def test_facts_that_do_not_fit_the_shape_or_are_no_numbers_are_refused(key: str, value: Any) -> None:
    assert Data.from_facts(FACTS).scale == 2.0
    with pytest.raises((TypeError, ValueError, KeyError, OverflowError)):
        Data.from_facts(FACTS | {key: value})


@pytest.mark.parametrize(
    ("key", "value"), [("scale", -1), ("mean", [1, 2, 3, 4]), ("summary", "x"), ("origin", [NAN, 0])]
)
def test_a_run_with_impossible_facts_is_refused_in_one_line(ptdiff, theirs: Path, edit, key: str, value: Any) -> None:  # type: ignore[no-untyped-def]
    edit(theirs / "data.json", lambda facts: facts.__setitem__(key, value))
    done = ptdiff("sample", theirs, "-n", 1, "--steps", 1)
    assert done.returncode == 2 and harmless(done) and f"data.json cannot be read: {key}" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "state",
    [
        [],
        "x",
        None,
        {},
        {"step": "x"},
        {"elapsed": "x"},
        {"elapsed": INF},
        {"elapsed": 1.0},
        {"elapsed": 1.0, "rate": []},
    ],
    ids=str,
)
def test_a_state_that_is_none_ends_resume_in_one_line(ptdiff, theirs: Path, state: Any) -> None:  # type: ignore[no-untyped-def]
    checkpoint = theirs / "checkpoints" / "60"
    (checkpoint / STATE).write_text(json.dumps(state))
    recommitted(checkpoint)
    done = ptdiff("resume", theirs, "--steps", 62)
    assert done.returncode and harmless(done), done.stderr
    assert "60" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["060", "٦٠", "６０", "9" * 200, "0" * 20, "²"])
def test_another_spelling_of_a_number_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    made = save(tmp_path, 60, {"ema": {"w": torch.zeros(2)}}, {"step": 60})
    shutil.copytree(made.path, tmp_path / name)
    found = latest(tmp_path)
    assert found is not None and found.path.name == "60"
    # it is the user's, and not removed
    save(tmp_path, 70, {"ema": {"w": torch.zeros(2)}}, {"step": 70}, keep=1)
    assert {path.name for path in tmp_path.iterdir()} == {"70", name}


@pytest.mark.parametrize("name", ["..", ".", "", "../60/state.json", "/etc/passwd", "a\0b", "a/../state.json"])
def test_a_manifest_leads_nowhere_else_by_any_name(tmp_path: Path, name: str) -> None:
    made = save(tmp_path, 60, {"ema": {"w": torch.zeros(2)}}, {"step": 60})
    with (made.path / MANIFEST).open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    (made.path / COMMITTED).write_text(hashlib.sha256((made.path / MANIFEST).read_bytes()).hexdigest() + "\n")
    with pytest.raises(Damaged, match=r"not in the folder|has changed|null"):
        verified(made.path)


def header(shape: list[int], end: int) -> bytes:
    text = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "weights",
    [header([2**62], 2**62), header([2**62, 4], 0), header([1 << 40], 8) + bytes(8), struct.pack("<Q", 2**63), b""],
)
def test_weights_that_declare_more_than_they_hold_are_refused_before_memory_is_allocated(
    tmp_path: Path, weights: bytes
) -> None:
    made = save(tmp_path, 60, {"ema": {"w": torch.zeros(2)}}, {"step": 60})
    (made.path / "ema.safetensors").write_bytes(weights)
    recommitted(made.path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        verified(made.path).tensors("ema")


LINES = [
    '{"step": 1, "seconds": 1, "loss": "x", "validation_loss": "y"}\n{"step": 2, "seconds": 1, "validation_loss": 3}',
    '{"step": 1}',
    '{"step": true, "seconds": "x"}',
    '{"step": 1, "seconds": {"a": 1}, "loss": {"a": [1]}}',
    '{"step": 1, "seconds": 1e999, "loss": 1}',
    '{"step": 1' + 300 * "0" + ', "seconds": 1, "loss": 1}',
    '{"step": 1, "seconds": 1, "loss": 1, "loss": "=cmd()"}',
    '{"step": 1, "seconds": 1, "loss": NaN, "validation_loss": -Infinity}',
]


@pytest.mark.parametrize("lines", LINES)
def test_lines_of_metrics_that_hold_no_numbers_are_left_out(ptdiff, run: Path, theirs: Path, lines: str) -> None:  # type: ignore[no-untyped-def]
    (theirs / "metrics.jsonl").write_text(lines + "\n")
    for words in (["list", theirs], ["compare", theirs, run, "--plot", theirs.parent / "p.png"], ["compare", theirs]):
        done = ptdiff("runs", *words)
        assert done.returncode == 0 and harmless(done), done.stderr
        assert "cmd" not in done.stdout and "000000" not in done.stdout


def test_ten_gigabytes_of_metrics_are_not_read(ptdiff, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    """A sparse file, which takes no room in an archive."""
    os.truncate(theirs / "metrics.jsonl", 10 << 30)
    for name in ("eval.json", "env.json"):
        (theirs / name).touch()
        os.truncate(theirs / name, 10 << 30)
    done = ptdiff("runs", "compare", theirs)
    assert done.returncode == 2 and "metrics.jsonl has 10,737,418,240 bytes" in done.stderr
    assert ptdiff("sample", theirs, "-n", 1, "--steps", 1).returncode == 0
    done = ptdiff("export", theirs, "--to", theirs.parent / "out")
    assert done.returncode == 2 and "at most 16,777,216 are read" in done.stderr


SCORE = {"value": 1, "low": 0, "high": 2, "floor": 1}
EVALS: list[Any] = [[], {}, {"metrics": 5}, {"metrics": {"a": 5}}, {"metrics": {"a": {"value": "x"}}}]
EVALS += [{"metrics": {"a": SCORE}, "sampling": 3}, {"metrics": {"a": SCORE}, "reference": 5}]
EVALS += [{"metrics": {"a": SCORE}, "n": {"x": 1}, "reference": {"data": [1], "split": {}}}]
EVALS += [{"metrics": {"a": SCORE}, "sampling": {"shape": "ab", "solver": 1, "calls": []}, "measures": 1, "n": 1}]


@pytest.mark.parametrize("content", EVALS, ids=str)
def test_scores_of_another_form_end_in_one_line(ptdiff, run: Path, theirs: Path, content: Any) -> None:  # type: ignore[no-untyped-def]
    (theirs / "eval.json").write_text(json.dumps(content))
    for words in (["runs", "compare", theirs, run, "--csv"], ["export", theirs, "--to", theirs.parent / "out"]):
        done = ptdiff(*words)
        assert harmless(done), done.stderr
    assert done.returncode == 2 and "eval.json cannot be read" in done.stderr


def test_a_key_that_stands_twice_in_json_is_refused(ptdiff, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="'a' appears twice"):
        parse_json('[{"b": {"a": 1, "a": 2}}]')
    text = (theirs / "data.json").read_text().rstrip()
    (theirs / "data.json").write_text(text[:-1] + ', "scale": 7.0}')
    done = ptdiff("sample", theirs)
    assert done.returncode == 2 and "the key 'scale' appears twice" in done.stderr


@pytest.mark.parametrize("step", [-1, True, 10**30, 10**300])
def test_an_exported_model_has_a_possible_step(ptdiff, theirs: Path, tmp_path: Path, edit, step: int) -> None:  # type: ignore[no-untyped-def]
    exported = tmp_path / "shared"
    assert ptdiff("export", theirs, "--to", exported).returncode == 0
    edit(exported / "config.json", lambda facts: facts.__setitem__("step", step))
    done = ptdiff("sample", exported, env={"PTDIFF_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 2 and "step must be a number of training steps" in done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_an_exported_model_whose_files_are_pipes_or_devices_does_not_hang(  # type: ignore[no-untyped-def]
    ptdiff, theirs: Path, tmp_path: Path, name: str
) -> None:
    exported = tmp_path / "shared"
    assert ptdiff("export", theirs, "--to", exported).returncode == 0
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo):
        (exported / name).unlink()
        make(exported / name)
        done = ptdiff("sample", exported, env={"PTDIFF_CACHE": str(tmp_path / "cache")})
        assert done.returncode == 2 and harmless(done), done.stderr


def test_records_of_trials_that_are_none_are_trained_again(tmp_path: Path) -> None:
    good = {"trial": 3, "settings": {"seed": 1}, "value": 0.5, "problem": None}
    bad = [{"trial": [1]}, {"trial": 0}, good | {"value": "x"}, good | {"settings": 5}, good | {"trial": True}]
    bad += [good | {"value": None}, good | {"problem": 7}]
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*bad, good | {"trial": 4}]))
    assert set(_recorded(tmp_path)) == {4}
