"""Attacks by samples files, configurations, the environment, locks and answers of the Hub."""

from __future__ import annotations

import fcntl
import io
import json
import os
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ptdiff.documents.yamls import parse_yaml
from ptdiff.errors import DataError, RunError
from ptdiff.run import hub
from ptdiff.run.folder import process_rank
from ptdiff.sampling.files import read

POINTS = np.zeros((2, 2), np.float32)


def stored(**arrays: Any) -> dict[str, bytes]:
    """The members of a samples file."""
    found = {}
    for name, value in ({"samples": POINTS, "modality": np.array("points2d")} | arrays).items():
        buffer = io.BytesIO()
        np.save(buffer, value)
        found[f"{name}.npy"] = buffer.getvalue()
    return found


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["samples.npy", "samples"])
def test_a_samples_file_with_two_arrays_of_one_name_is_refused(tmp_path: Path, name: str) -> None:
    """One program would show the first, and another the second."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for member, data in stored().items():
            archive.writestr(member, data)
        archive.writestr(name, stored(samples=np.ones((2, 2), np.float32))["samples.npy"])
    with pytest.raises(DataError, match="'samples' appears twice"):
        read(tmp_path / "x.npz")


def test_a_member_of_a_samples_file_is_not_extracted_wherever_it_points(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "x.npz", "w") as archive:
        for name in ("../evil.npy", "/tmp/evil.npy", "..\\evil.npy", "C:\\evil.npy"):
            archive.writestr(name, b"evil")
        for member, data in stored().items():
            archive.writestr(member, data)
    assert len(read(tmp_path / "in" / "x.npz").samples) == 2
    assert {path.name for path in tmp_path.rglob("*")} == {"in", "x.npz"}


@pytest.mark.parametrize("data", ["/dev/zero", "/dev/tty", "/proc/self/mem", "FIFO", "LINK", "a\0b", "\ud800"])
def test_a_samples_file_that_names_a_device_as_its_data_does_not_hang(ptdiff, tmp_path: Path, data: str) -> None:  # type: ignore[no-untyped-def]
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    data = {"FIFO": str(tmp_path / "pipe.csv"), "LINK": str(tmp_path / "zero.csv")}.get(data, data)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for member, content in stored(options=np.array(json.dumps({"data": data}))).items():
            archive.writestr(member, content)
    begin = time.monotonic()
    done = ptdiff("render", tmp_path / "x.npz")
    assert time.monotonic() - begin < 20 and "bug of ptdiff" not in done.stderr and "Traceback" not in done.stderr


def test_a_samples_file_opens_no_data_but_that_of_the_run_around_it(  # type: ignore[no-untyped-def]
    ptdiff, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptdiff_points2d import source

    read: list[Path] = []
    real = source.read_table
    monkeypatch.setattr(
        source, "read_table", lambda path, *rest, **more: [read.append(path), real(path, *rest, **more)][1]
    )
    secret = tmp_path / "home" / "secret.csv"
    secret.write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(20)))
    options = np.array(json.dumps({"data": str(secret)}))
    for place in (tmp_path / "x.npz", theirs / "samples" / "x.npz", theirs / "x.npz"):
        np.savez(place, samples=POINTS, modality=np.array("points2d"), options=options)
        done = ptdiff("render", place)
        assert done.returncode == 0 and not read, done.stderr
    # the user may say so, and the run may have been trained on it
    assert ptdiff("render", tmp_path / "x.npz", "--data", secret).returncode == 0 and set(read) == {secret}
    read.clear()
    config = theirs / "config.yaml"
    config.write_text(config.read_text().replace("data: moons", f"data: {secret}"))
    assert ptdiff("render", theirs / "samples" / "x.npz").returncode == 0 and set(read) == {secret}
    # a damaged run says nothing
    read.clear()
    config.write_text("[")
    assert ptdiff("render", theirs / "samples" / "x.npz").returncode == 0 and not read


@pytest.mark.parametrize("data", ["/dev/zero", "FIFO", "LINK"])
def test_a_sweep_over_devices_does_not_hang(ptdiff, tmp_path: Path, data: str) -> None:  # type: ignore[no-untyped-def]
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    data = {"FIFO": str(tmp_path / "pipe.csv"), "LINK": str(tmp_path / "zero.csv")}.get(data, data)
    (tmp_path / "s.yaml").write_text(f"options.data: ['{data}']\n")
    begin = time.monotonic()
    done = ptdiff("train", "--sweep", tmp_path / "s.yaml", "-m", "points2d", "--steps", 2, "--out", tmp_path / "out")
    assert time.monotonic() - begin < 20 and done.returncode and "bug of ptdiff" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training:\n  <<: {steps: 3}\n  steps: 5", "merge keys"),
        ("<<: [{seed: 1}]", "merge keys"),
        ("steps: 190:20:30", "190:20:30 can be read as two numbers"),
        ("lr: 1:30.5", "can be read as two numbers"),
        ("seed: 010", "010 can be read as two numbers"),
        ("a: 1\n---\na: 2", "single document"),
        ("%TAG ! tag:x,2000:\n---\n!a b", "tags are not read"),
        ("? [a]\n: 1", "unhashable"),
        ("{a: 1, a: 2}", "appears twice"),
    ],
)
def test_yaml_that_says_one_thing_to_people_and_another_to_the_reader_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert parse_yaml("a: 10\nb: 0\nc: -0.5\nd: 1e-3\ne: '010'\nf: 12:ab\ng: 0x1f") == {
        "a": 10, "b": 0, "c": -0.5, "d": 0.001, "e": "010", "f": "12:ab", "g": 31,
    }  # fmt: skip


@pytest.mark.parametrize(
    "key", ["out", "device", "__class__", "model_config", "trust", "training.out", "=", "format.x"]
)
def test_a_configuration_sets_nothing_but_the_configuration(ptdiff, tmp_path: Path, key: str) -> None:  # type: ignore[no-untyped-def]
    """Neither a recipe nor a sweep says where results go, or whom to trust."""
    *sections, name = key.split(".")
    text = "".join(f"{'  ' * i}{section}:\n" for i, section in enumerate(sections))
    (tmp_path / "c.yaml").write_text(f"{text}{'  ' * len(sections)}{name}: {tmp_path}/elsewhere\n")
    (tmp_path / "s.yaml").write_text(f"{key}: [{tmp_path}/elsewhere]\n")
    for words in (["-c", tmp_path / "c.yaml"], ["--sweep", tmp_path / "s.yaml"], ["--set", f"{key}=elsewhere"]):
        done = ptdiff("train", "-m", "points2d", *words, "--steps", 1, "--out", tmp_path / "out")
        assert done.returncode == 2 and "bug" not in done.stderr, done.stderr
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("value", ["abc", "-1", "1e3", "9" * 5000, "\x1b[2J", "１"])
def test_a_rank_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(ValueError, match=f"variable {name} must be the rank"):
                process_rank()


def test_a_lock_that_is_held_for_ever_stops_training_only(ptdiff, theirs: Path) -> None:  # type: ignore[no-untyped-def]
    with (theirs / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        begin = time.monotonic()
        done = ptdiff("resume", theirs, "--steps", 61)
        assert done.returncode == 2 and "is being trained by another process" in done.stderr
        for words in (["sample", theirs, "-n", 1, "--steps", 1], ["runs", "list", theirs]):
            assert ptdiff(*words).returncode == 0
        assert time.monotonic() - begin < 30


class _Answers:
    """A Hub whose answer is a folder."""

    errors = SimpleNamespace(
        RepositoryNotFoundError=KeyError, RevisionNotFoundError=IndexError, HfHubHTTPError=ConnectionError
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snapshot_download(self, repository: str, **_: Any) -> str:
        return str(self.folder)


def test_an_answer_of_the_hub_that_is_not_the_model_is_refused(  # type: ignore[no-untyped-def]
    ptdiff, theirs: Path, tmp_path: Path, edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "0123abcd"
    assert ptdiff("export", theirs, "--to", folder).returncode == 0
    monkeypatch.setattr(hub, "library", lambda: _Answers(folder))
    weights = (folder / "model.safetensors").read_bytes()
    for wrong in (weights[:-1], weights + b"\0", b"", bytes(len(weights))):
        (folder / "model.safetensors").write_bytes(wrong)
        with pytest.raises(RunError, match="has changed since it was exported"):
            hub.downloaded("hf://a/b")
    assert not (tmp_path / "cache").exists()
    (folder / "model.safetensors").write_bytes(weights)
    # only its four files are used, whatever else it sends
    (folder / "payload.py").write_text("raise SystemExit")
    (folder / "averages").symlink_to(tmp_path / "home")
    found = hub.downloaded("hf://a/b")
    assert {path.name for path in found.iterdir()} <= {
        "checkpoints",
        "config.yaml",
        "data.json",
        "env.json",
        "seal.json",
    }
    for address in ("hf://a/..", "hf://../b"):
        with pytest.raises(RunError):
            hub.downloaded(address)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(tmp_path / "home" / "notes.txt")
    with pytest.raises(RunError, match="not JSON"):
        hub.downloaded("hf://a/c")


def test_a_download_follows_no_redirect_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptdiff_datasets.errors import DataError as DatasetError
    from ptdiff_datasets.images.downloads import _download

    (tmp_path / "secret").write_text("mine")

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", (tmp_path / "secret").as_uri())
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_port}/x"
        # the sum of what the redirect leads to: a downloader that follows it would take it
        with pytest.raises(DatasetError, match="cannot be downloaded"):
            _download("x", where, "918b81db5e91d031548b963c93845e5b", tmp_path / "data" / "x")
        server.shutdown()
    assert not list((tmp_path / "data").rglob("*"))
