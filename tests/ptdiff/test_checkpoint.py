"""Checkpoints: what they must survive, proved by cutting, flipping, killing and failing."""

import errno
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ptdiff.documents.atomic import temporary, write_atomic
from ptdiff.errors import CheckpointError
from ptdiff.run.checkpoint import COMMITTED, MANIFEST, STATE, latest, problem, save

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
]


def parts(step: int = 0) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step)
    weights = {"w": torch.randn(8, 3, generator=generator), "b": torch.randn(3, generator=generator)}
    return {
        "model": weights,
        "ema": {k: 0.5 * v for k, v in weights.items()},
        "optimizer": {"0.step": torch.tensor(step)},
    }


def keep_state(folder: Path, step: int, **options: int) -> None:
    save(folder, step, parts(step), {"step": step}, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_type_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    raw = torch.randint(256, (24 * torch.empty((), dtype=dtype).element_size(),), dtype=torch.uint8)
    # random bytes: NaN payloads and denormals must survive as well
    values = (raw % 2).bool() if dtype == torch.bool else raw.view(dtype)
    tensors = {
        "flat": values,
        "square": values.reshape(4, 6),
        "transposed": values.reshape(4, 6).t(),
        "slice": values[3:7],
        "scalar": values[0],
        "empty": values[:0].reshape(0, 5),
    }
    save(tmp_path, 1, {"model": tensors}, {})
    back = latest(tmp_path).tensors("model")  # type: ignore[union-attr]
    assert set(back) == set(tensors)
    for name, value in tensors.items():
        assert back[name].dtype == dtype
        assert back[name].shape == value.shape
        mine, theirs = (t.contiguous().reshape(-1).view(torch.uint8) for t in (value, back[name]))
        assert torch.equal(mine, theirs), name


def test_tied_weights_are_saved_under_both_names(tmp_path: Path) -> None:
    shared = torch.randn(3)
    save(tmp_path, 1, {"model": {"in": shared, "out": shared}}, {})
    back = latest(tmp_path).tensors("model")  # type: ignore[union-attr]
    assert torch.equal(back["in"], shared)
    assert torch.equal(back["out"], shared)


def test_state_comes_back_and_the_newest_step_is_taken_by_number(tmp_path: Path) -> None:
    for step in (9, 10):
        save(tmp_path, step, parts(step), {"step": step, "elapsed": 0.1 + 0.2, "name": "é"}, keep=5)
    found = latest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert found.state == {"step": 10, "elapsed": 0.1 + 0.2, "name": "é"}


def test_an_empty_or_absent_folder_holds_no_checkpoint(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    assert latest(tmp_path / "absent") is None


def test_a_step_saved_twice_stays_as_it_was(tmp_path: Path) -> None:
    keep_state(tmp_path, 3)
    before = contents(tmp_path)
    again = save(tmp_path, 3, parts(4), {"step": 99})
    assert contents(tmp_path) == before
    assert again.state == {"step": 3}


def test_a_damaged_step_is_written_anew_and_the_old_one_set_aside(tmp_path: Path) -> None:
    keep_state(tmp_path, 3)
    (tmp_path / "3" / STATE).write_text("{}")
    assert problem(tmp_path / "3") is not None
    keep_state(tmp_path, 3)
    assert problem(tmp_path / "3") is None
    assert (tmp_path / "3.damaged" / STATE).read_text() == "{}"


def spoiled(data: bytes, how: str) -> bytes:
    middle = len(data) // 2
    return {
        "empty": b"",
        "first byte": data[:1],
        "half": data[:middle],
        "without the last byte": data[:-1],
        "one byte more": data + b"\0",
        "one byte removed inside": data[:middle] + data[middle + 1 :],
        "zeros for the second half": data[:middle] + bytes(len(data) - middle),
    }[how]


FILES = ["model.safetensors", "ema.safetensors", "optimizer.safetensors", STATE, MANIFEST, COMMITTED]
WAYS = [
    "empty",
    "first byte",
    "half",
    "without the last byte",
    "one byte more",
    "one byte removed inside",
    "zeros for the second half",
]


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for step in (1, 2):
        keep_state(tmp_path, step)
    return tmp_path


def test_the_files_spoiled_below_are_all_there_are(pair: Path) -> None:
    assert sorted(p.name for p in (pair / "2").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", WAYS)
def test_a_cut_file_is_noticed_and_the_checkpoint_before_is_used(pair: Path, name: str, how: str) -> None:
    file = pair / "2" / name
    file.write_bytes(spoiled(file.read_bytes(), how))
    lines: list[str] = []
    found = latest(pair, lines.append)
    assert found is not None
    assert found.step == 1
    assert len(lines) == 1
    assert "is not used" in lines[0]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed_by_name(pair: Path, name: str) -> None:
    (pair / "2" / name).unlink()
    reason = problem(pair / "2")
    assert reason == ("it was never committed" if name == COMMITTED else f"{name} is missing")
    assert latest(pair).step == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FILES)
def test_every_length_of_the_small_files_but_the_whole_is_noticed(pair: Path, name: str) -> None:
    file = pair / "2" / name
    data = file.read_bytes()
    for length in range(len(data)):
        file.write_bytes(data[:length])
        assert problem(pair / "2") is not None, length
    file.write_bytes(data)
    assert problem(pair / "2") is None


@pytest.mark.parametrize("name", FILES)
def test_every_single_bit_that_flips_is_noticed(pair: Path, name: str) -> None:
    file = pair / "2" / name
    data = bytearray(file.read_bytes())
    bits = range(8 * len(data))
    for bit in random.Random(name).sample(bits, min(400, len(bits))) + [8 * len(data) - 8 + i for i in range(8)]:
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        assert problem(pair / "2") is not None, bit
        data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)
    assert latest(pair).step == 2  # type: ignore[union-attr]


def test_files_of_another_checkpoint_are_noticed(pair: Path) -> None:
    for name in FILES:
        shutil.copy(pair / "1" / name, pair / name)
        (pair / "2" / name).rename(pair / "kept")
        (pair / name).rename(pair / "2" / name)
        assert problem(pair / "2") is not None, name
        (pair / "kept").rename(pair / "2" / name)
    assert problem(pair / "2") is None


def test_owners_set_damaged_checkpoints_aside_and_delete_none(pair: Path) -> None:
    (pair / "2" / "ema.safetensors").write_bytes(b"spoiled")
    (pair / ".tmp-left").mkdir()
    lines: list[str] = []
    assert latest(pair, lines.append, repair=True).step == 1  # type: ignore[union-attr]
    assert (pair / "2.damaged" / "ema.safetensors").read_bytes() == b"spoiled"
    assert "ema.safetensors has changed" in lines[0]
    keep_state(pair, 2)
    (pair / "2" / "ema.safetensors").write_bytes(b"again")
    assert latest(pair, repair=True).step == 1  # type: ignore[union-attr]
    assert (pair / "2.damaged-2" / "ema.safetensors").read_bytes() == b"again"
    assert (pair / "2.damaged" / "ema.safetensors").read_bytes() == b"spoiled"


def test_owners_clear_what_a_killed_save_left_even_when_all_is_well(pair: Path) -> None:
    left = temporary(pair)
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    assert latest(pair, repair=True).step == 2  # type: ignore[union-attr]
    assert not left.exists()


def test_readers_change_nothing(pair: Path) -> None:
    (pair / "2" / STATE).write_bytes(b"spoiled")
    (pair / ".tmp-left").mkdir()
    (pair / ".tmp-left" / "x").write_bytes(b"half")
    before = contents(pair)
    assert latest(pair, lambda line: None).step == 1  # type: ignore[union-attr]
    assert contents(pair) == before


def test_prune_keeps_the_newest_that_verify(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        keep_state(tmp_path, step, keep=3)
    (tmp_path / "3" / COMMITTED).write_bytes(b"spoiled")
    keep_state(tmp_path, 4, keep=2)
    # 3 does not verify: it counts for nothing and is not touched
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2", "3", "4"]
    assert latest(tmp_path).step == 4  # type: ignore[union-attr]
    keep_state(tmp_path, 5, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "5"]


def test_a_disk_without_room_is_refused_before_anything_is_written(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(pair)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 95, 5))  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="5 bytes free, but a checkpoint needs 448 bytes"):
        keep_state(pair, 3)
    assert contents(pair) == before


class Faults:
    """Counts the operations that reach the disk and lets one of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, number: int) -> None:
        self.at, self.number, self.count = at, number, 0
        for module, names in {
            os: ["mkdir", "open", "fsync", "rename", "replace", "unlink", "rmdir", "listdir", "scandir"],
            io: ["open"],
            shutil: ["disk_usage"],
        }.items():
            for name in names:
                monkeypatch.setattr(module, name, self.failing(getattr(module, name)))
        import safetensors.torch

        monkeypatch.setattr(safetensors.torch, "serialize_file", self.failing(safetensors.torch.serialize_file))

    def failing(self, operation):  # type: ignore[no-untyped-def]
        def replacement(*args, **kwargs):  # type: ignore[no-untyped-def]
            self.count += 1
            if self.count == self.at:
                raise OSError(self.number, os.strerror(self.number))
            return operation(*args, **kwargs)

        return replacement


def save_with_fault(folder: Path, at: int, number: int) -> tuple[bool, int]:
    """Save step 2 with the ``at``-th operation failing; whether save said that it failed, and operations in all."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        faults = Faults(monkeypatch, at, number)
        try:
            keep_state(folder, 2, keep=1)
        except CheckpointError:
            return True, faults.count
        return False, faults.count


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(errno.ENOSPC, id="ENOSPC"),
        pytest.param(errno.EACCES, id="EACCES", marks=pytest.mark.slow),
        pytest.param(errno.EIO, id="EIO", marks=pytest.mark.slow),
    ],
)
def test_whatever_operation_fails_the_checkpoint_before_stays_and_success_is_never_pretended(
    tmp_path: Path, number: int
) -> None:
    base = tmp_path / "base"
    keep_state(base, 1)
    first = contents(base / "1")
    operations = save_with_fault(Path(shutil.copytree(base, tmp_path / "count")), 0, number)[1]
    assert operations > 30
    outcomes = []
    for at in range(1, operations + 1):
        folder = tmp_path / str(at)
        shutil.copytree(base, folder)
        said, _ = save_with_fault(folder, at, number)
        outcomes.append(said)
        found = latest(folder)
        assert found is not None, at
        if found.step == 1:
            assert said, f"operation {at} failed, nothing was written, and save said nothing"
            assert contents(folder / "1") == first, at
        else:
            assert found.step == 2
            assert all(torch.equal(found.tensors("model")[k], v) for k, v in parts(2)["model"].items())
        # the next save mends everything
        keep_state(folder, 3, keep=1)
        assert latest(folder, repair=True).step == 3  # type: ignore[union-attr]
        shutil.rmtree(folder)
    # the rest is what comes after the commit: reading and removing older checkpoints
    assert sum(outcomes) > 0.5 * operations


FILE_LIMIT = """
import resource, signal, sys
from pathlib import Path
import torch
from ptdiff.errors import CheckpointError
from ptdiff.run.checkpoint import latest, save
folder = Path(sys.argv[1])
parts = {"model": {"w": torch.ones(4000)}, "ema": {"w": torch.ones(6000)}}
save(folder, 1, {"model": {"w": torch.zeros(10)}}, {"step": 1})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for limit in (10, 64, 100, 500, 16_500, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save(folder, 2, parts, {"step": 2, "padding": "x" * 400})
    except CheckpointError as error:
        assert latest(folder).step == 1
        assert [p.name for p in folder.iterdir()] == ["1"], list(folder.iterdir())
    else:
        raise SystemExit(f"limit {limit} did not bite")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
save(folder, 2, parts, {"step": 2, "padding": "x" * 400})
assert latest(folder).step == 2
"""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


posix = pytest.mark.skipif(sys.platform == "win32", reason="this system has neither fork nor limits on files")


@posix
def test_a_write_that_the_kernel_cuts_short_is_reported_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(tmp_path / "c")],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


SAVING = """
import os, sys
from pathlib import Path
import torch
from ptdiff.run.checkpoint import latest, save
folder = Path(sys.argv[1])
import safetensors.torch
print("ready", flush=True)
for line in sys.stdin:
    # a child that has torch already: forking is what makes many kills cheap
    child = os.fork()
    if child == 0:
        found = latest(folder, repair=True)
        step = 0 if found is None else found.step
        while True:
            step += 1
            save(folder, step, {"model": {"w": torch.full((20_000,), float(step))}}, {"step": step})
            # whoever reads this line may rely on the checkpoint
            os.write(1, f"{step}\\n".encode())
    os.write(1, f"pid {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


@posix
def test_a_kill_at_any_moment_loses_no_committed_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    chance = random.Random(0)
    kills, progress = 15, []
    with subprocess.Popen(
        [sys.executable, "-c", SAVING, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(kills):
            process.stdin.write("go\n")
            process.stdin.flush()
            lines = [process.stdout.readline()]
            while not lines[-1].startswith("pid"):
                lines.append(process.stdout.readline())
            child = int(lines.pop().split()[1])
            time.sleep(chance.uniform(0.0, 0.25))
            os.kill(child, signal.SIGKILL)
            while (line := process.stdout.readline()) != "dead\n":
                lines.append(line)
            promised = max([int(line) for line in lines], default=progress[-1] if progress else 0)
            found = latest(folder)
            step = 0 if found is None else found.step
            # one more than promised: killed between the commit and the promise
            assert step in (promised, promised + 1)
            if found is not None:
                assert found.state == {"step": step}
                assert torch.equal(found.tensors("model")["w"], torch.full((20_000,), float(step)))
            progress.append(step)
        process.stdin.close()
    assert progress[-1] > kills, progress
    latest(folder, repair=True)
    assert not list(folder.glob(".tmp-*"))


def test_write_atomic_replaces_the_whole_text_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_atomic(path, "one, and long\n")
    write_atomic(path, "zwei ü\n")
    assert path.read_bytes() == "zwei ü\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["fsync", "replace", "open"])
def test_write_atomic_that_fails_keeps_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / "config.yaml"
    write_atomic(path, "old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as context:
        context.setattr(os, name, fail)
        with pytest.raises(OSError, match="no"):
            write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_a_reader_beside_the_writer_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    script = (
        "import sys, json, itertools\nfrom pathlib import Path\nfrom ptdiff.documents.atomic import write_atomic\n"
        "for i in itertools.count(): write_atomic(Path(sys.argv[1]), json.dumps([i] * 2000))"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], env=environment()) as writer:
        try:
            deadline = time.monotonic() + 30
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            seen = [json.loads(path.read_text()) for _ in range(300)]
        finally:
            writer.kill()
    assert all(len(values) == 2000 and len(set(values)) == 1 for values in seen)
    assert len({values[0] for values in seen}) > 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
def test_no_file_handle_is_left_open(tmp_path: Path) -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    keep_state(tmp_path, 1)
    before = handles()
    for step in range(2, 8):
        keep_state(tmp_path, step)
        latest(tmp_path)
    assert handles() <= before
