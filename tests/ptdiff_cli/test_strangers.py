"""Runs, configurations, sweeps and samples of strangers, given to every command: the files of the reader stay."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

VERBS = {
    "resume": ["resume", "RUN"],
    "sample": ["sample", "RUN", "-n", 2, "--steps", 2],
    "eval": ["eval", "RUN", "-n", 4],
    "render": ["render", "RUN", "-n", 2],
    "edit": ["edit", "RUN", "X"],
    "interpolate": ["interpolate", "RUN", "0", "1"],
    "likelihood": ["likelihood", "RUN"],
    "optimize": ["optimize", "RUN", "--steps", 3],
    "gallery": ["gallery", "RUN"],
    "export": ["export", "RUN", "--to", "OUT"],
    "complete": ["complete", "RUN", "X"],
    "upsample": ["upsample", "RUN", "X", "--points", 80],
    "mesh": ["mesh", "RUN"],
    "config show": ["config", "show", "RUN"],
    "weak": ["sample", "swissroll", "--weak", "RUN", "-n", 2, "--steps", 2, "--out", "X"],
    "compare": ["runs", "compare", "RUN"],
    "list": ["runs", "list", "PARENT"],
    "train --from": ["train", "--from", "RUN", "--steps", 2, "--out", "OUT"],
}

LINKS = {"averages": "../../home", ".lock": "../../home/notes.txt", "metrics.jsonl": "../../home/notes.txt"}
LINKS |= {"samples": "../../home", "checkpoints": "../../home", "logs": "../../home", "env.json": "/dev/zero"}


@pytest.fixture
def theirs(run: Path, tmp_path: Path) -> Path:
    """A run of a stranger, beside the reader's home."""
    (tmp_path / "home" / "letters").mkdir(parents=True)
    (tmp_path / "home" / "notes.txt").write_text("mine\n")
    made = shutil.copytree(run, tmp_path / "runs" / "theirs")
    # a stranger seals what he wrote
    (made / "seal.json").unlink()
    return made


def home(tmp_path: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]}


def asked(verb: str, path: Path, tmp_path: Path) -> list[object]:
    words = {"RUN": path, "PARENT": path.parent, "OUT": tmp_path / "out", "X": tmp_path / "x.npz"}
    return [words.get(str(word), word) for word in VERBS[verb]]


@pytest.mark.parametrize("verb", VERBS)
def test_no_command_follows_a_link_inside_a_run(ptdiff, theirs: Path, tmp_path: Path, verb: str) -> None:  # type: ignore[no-untyped-def]
    for name, target in LINKS.items():
        before, place = home(tmp_path), theirs / name
        kept = place.rename(tmp_path / "kept") if place.exists() else None
        place.symlink_to(target)
        done = ptdiff(*asked(verb, theirs, tmp_path), cwd=tmp_path)
        assert done.returncode == 2, (name, done.stderr)
        assert f"{name} is a link, and ptdiff follows no links inside a run" in done.stderr
        assert done.stderr.count("\n") == 1 and home(tmp_path) == before
        place.unlink()
        if kept is not None:
            kept.rename(place)


@pytest.mark.parametrize("verb", VERBS)
def test_no_command_imports_what_a_run_names(  # type: ignore[no-untyped-def]
    ptdiff, theirs: Path, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as when Python was started in the folder of the run
    monkeypatch.syspath_prepend(str(theirs))
    (theirs / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = theirs / "config.yaml"
    config.write_text(config.read_text().replace("modality: points2d", "modality: payload:Model"))
    done = ptdiff(*asked(verb, theirs, tmp_path), cwd=tmp_path)
    assert not (tmp_path / "ran").exists() and "payload" not in sys.modules
    if verb not in ("compare", "list"):
        assert done.returncode == 2
        assert "payload:Model" in done.stderr and "Traceback" not in done.stderr


def test_neither_a_configuration_nor_a_sweep_nor_a_samples_file_imports_what_it_names(  # type: ignore[no-untyped-def]
    ptdiff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "c.yaml").write_text("modality: payload:Model\n")
    (tmp_path / "s.yaml").write_text("metric: loss\ntrials: 2\naxes:\n  modality: [payload:Model, points2d]\n")
    np.savez(tmp_path / "x.npz", samples=np.zeros((2, 2), np.float32), modality=np.array("payload:Model"))
    for words in (
        ["train", "-c", "c.yaml", "--steps", 1],
        ["train", "--set", "modality=payload:Model", "--steps", 1],
        ["sweep", "s.yaml", "-m", "points2d", "--out", "sweep"],
        ["config", "validate", "c.yaml"],
        ["render", "x.npz"],
    ):
        ptdiff(*words, cwd=tmp_path)
        assert not (tmp_path / "ran").exists() and "payload" not in sys.modules, words


PLUGIN = """
from dataclasses import dataclass
from ptdiff_points2d import Points2D

@dataclass(frozen=True)
class Trusted(Points2D):
    pass
"""


def test_trust_on_the_command_line_lets_a_run_name_its_class(  # type: ignore[no-untyped-def]
    ptdiff, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_trusted_plugin.py").write_text(PLUGIN)
    config = theirs / "config.yaml"
    config.write_text(config.read_text().replace("modality: points2d", "modality: a_trusted_plugin:Trusted"))
    words = ["sample", theirs, "-n", 2, "--steps", 2, "--out", tmp_path / "x.npz"]
    done = ptdiff(*words)
    assert done.returncode == 2
    assert "add --trust a_trusted_plugin:Trusted if you trust that code" in done.stderr
    assert ptdiff(*words, "--trust").returncode == 2
    done = ptdiff(*words, "--trust", "a_trusted_plugin:Trusted")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.npz").exists()


def test_a_run_whose_plugin_is_missing_says_what_to_install(ptdiff, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    facts = json.loads((theirs / "env.json").read_text())
    assert facts["plugin"]["distribution"] == "ptdiff"
    config = theirs / "config.yaml"
    config.write_text(config.read_text().replace("modality: points2d", "modality: molecules"))
    (theirs / "env.json").write_text(
        json.dumps({**facts, "plugin": {"distribution": "ptdiff-molecules", "version": "0.1"}})
    )
    done = ptdiff("sample", theirs)
    assert done.returncode == 2
    assert (
        "needs the modality 'molecules' of ptdiff-molecules 0.1, which is not installed: pip install ptdiff-molecules"
    ) in done.stderr
    evil = {"distribution": "\x1b[2Jx --index-url http://evil", "version": "1"}
    (theirs / "env.json").write_text(json.dumps({**facts, "plugin": evil}))
    done = ptdiff("sample", theirs)
    assert done.returncode == 2 and "\x1b" not in done.stderr and "pip" not in done.stderr


def test_what_file_managers_and_users_put_into_a_run_harms_nothing(ptdiff, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    (theirs / "averages" / "mine").mkdir(parents=True)
    (theirs / "averages" / "mine" / "thesis.txt").write_text("years of work")
    for name in ("", "averages", "samples", "checkpoints"):
        (theirs / name / ".DS_Store").write_bytes(b"mac")
    os.link(theirs.parents[1] / "home" / "notes.txt", theirs / "samples" / "second-name.txt")
    for words in (["resume"], ["sample", "-n", 2, "--steps", 2]):
        done = ptdiff(words[0], theirs, *words[1:])
        assert done.returncode == 0, done.stderr
    assert (theirs / "averages" / "mine" / "thesis.txt").read_text() == "years of work"
    assert (theirs / "averages" / ".DS_Store").exists()
