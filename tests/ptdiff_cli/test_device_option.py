"""--device: the same everywhere, and refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import typer.main

from ptdiff.machine import host
from ptdiff.testing.mps import pretended_mps
from ptdiff.training.fit import Hardware
from ptdiff_cli.main import app
from ptdiff_cli.shared.options import Device

COMPUTING = ("train", "resume", "sample", "eval", "likelihood", "optimize", "gallery", "render", "edit")
MORE = ("interpolate", "complete", "upsample", "mesh", "doctor")


@pytest.mark.parametrize("name", [*COMPUTING, *MORE])
def test_every_command_that_computes_takes_a_device(name: str) -> None:
    command = typer.main.get_command(app()).get_command(None, name)  # type: ignore[attr-defined]
    (option,) = [parameter for parameter in command.params if "--device" in parameter.opts]
    assert option.default == "auto"
    assert option.help == Device.__metadata__[0].help  # type: ignore[attr-defined]


def test_no_file_chooses_a_device_by_itself() -> None:
    root = Path(__file__).parents[2]
    sources = [p for top in ("ptdiff", "plugins", "cli") for p in (root / top).rglob("*.py")]
    found = [p.name for p in sources if "cuda.is_available" in p.read_text(encoding="utf-8") and p.name != "host.py"]
    assert found == []


@pytest.mark.skipif(torch.cuda.is_available() or host.mps(), reason="of machines without a GPU")
@pytest.mark.parametrize(
    ("name", "message"),
    [("cuda", "has cpu only"), ("cuda:7", "has cpu only"), ("mps", "has cpu only"), ("cudda", "did you mean 'cuda'?")],
)
def test_a_device_that_is_not_there_is_refused_before_any_work(ptdiff, tmp_path: Path, name: str, message: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "-m", "points2d", "--device", name, "--out", tmp_path / "run")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert message in done.stderr and not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="device"):
        Hardware(device=name).trainer()


def test_lightning_is_told_the_kind_and_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Hardware(device="cpu").trainer()["accelerator"] == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Hardware().trainer()["accelerator"] == "cuda"
    assert Hardware(2, device="cuda").trainer()["devices"] == 2
    assert Hardware(device="cuda:1").trainer()["devices"] == [1]
    assert (host.count("cuda"), host.count("cuda:1"), host.count("cpu")) == (2, 1, None)
    with pytest.raises(ValueError, match="this machine has 2 cuda devices"):
        Hardware(device="cuda:2").trainer()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pretended_mps():
        assert Hardware().trainer()["accelerator"] == "mps"


def test_the_doctor_tells_the_machine_in_fields(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("doctor", "--json")
    found = {finding["what"]: finding["facts"] for finding in json.loads(done.stdout)}
    assert {"instruction_set", "cores", "memory_gib"} <= set(found["processor"])
    assert 0 < found["threads"]["one"] <= 1
    assert all(speed > 0 for speed in found["precision"]["gemm_gflops"].values())
    for name in ("points2d", "images", "pointcloud"):
        assert found[f"train {name}"]["steps_per_second"] > 0
    assert found["make demo"]["minutes"] == 11
