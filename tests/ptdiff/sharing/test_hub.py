"""hf://owner/name: uploaded to and loaded from a hub on this machine, in processes that see it from the start."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import Hub, hub

from ptdiff.errors import RunError
from ptdiff.run.hub import is_address, parsed

pytest.importorskip("huggingface_hub")


@pytest.fixture
def server() -> Iterator[Hub]:
    """An empty hub."""
    with hub() as found:
        yield found


def ptdiff(server: Hub, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that uses ``server`` and a cache in ``place``."""
    env = {
        **os.environ,
        "HF_ENDPOINT": server.address,
        "HF_HOME": str(place / "hf"),
        "HF_TOKEN": "hf_none",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PTDIFF_CACHE": str(place / "cache"),
    }
    command = [sys.executable, "-m", "ptdiff_cli.main", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=place, check=False)


def test_a_model_goes_to_the_hub_and_comes_back(server: Hub, trained: Path, tmp_path: Path) -> None:
    sent = ptdiff(server, tmp_path, "export", str(trained), "--to", "hf://me/moons", "--samples", "0")
    assert sent.returncode == 0, sent.stderr
    address = sent.stdout.strip()
    ((commit, files),) = server.repositories["me/moons"].items()
    assert address == f"hf://me/moons@{commit}"
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]

    asked = ["-n", "20", "--seed", "4", "--out"]
    own = ptdiff(server, tmp_path, "sample", str(trained), *asked, "own.npz")
    pinned = ptdiff(server, tmp_path, "sample", address, *asked, "pinned.npz")
    assert (own.returncode, pinned.returncode) == (0, 0), pinned.stderr
    assert (tmp_path / "own.npz").read_bytes() == (tmp_path / "pinned.npz").read_bytes()
    assert "may change" not in pinned.stderr

    # the hub may have anything in a repository: only files of an exported model are fetched, and none runs
    server.commit("me/moons", {"modeling.py": b"import os; os._exit(9)", "pytorch_model.bin": b"\x80\x04."})
    server.requests.clear()
    loose = ptdiff(server, tmp_path, "sample", "hf://me/moons", *asked, "loose.npz")
    assert loose.returncode == 0, loose.stderr
    assert "may change" in loose.stderr
    assert not [line for line in server.requests if "modeling" in line or ".bin" in line]
    assert (tmp_path / "loose.npz").read_bytes() == (tmp_path / "own.npz").read_bytes()


def test_what_the_hub_lacks_is_one_line(server: Hub, tmp_path: Path) -> None:
    server.commit("me/other", {"config.json": json.dumps({"library_name": "diffusers"}).encode()})
    for address, reason in {
        "hf://me/none": "does not exist, or is private",
        "hf://me/other@0123abc": "has no revision '0123abc'",
        "hf://me/other": "not 'diffusers'",
        "hf://me": "an address on the Hub is hf://owner/name",
    }.items():
        done = ptdiff(server, tmp_path, "sample", address)
        assert done.returncode == 2
        assert reason in done.stderr and "Traceback" not in done.stderr


def test_an_address_is_read_as_typed_and_as_a_path() -> None:
    assert is_address("hf://a/b") and is_address(Path("hf://a/b")) and not is_address(Path("runs/hf"))
    assert parsed("hf://a/b@v1.0") == parsed(Path("hf://a/b@v1.0")) == ("a/b", "v1.0")
    for wrong in ("hf://a", "hf://a/b/c", "hf://a/b@", "hf://../b c"):
        with pytest.raises(RunError, match="an address on the Hub is"):
            parsed(wrong)
