"""The machine: devices, cores, memory, instruction set and speed.

No numbers about particular machines are built in: what the system does not report is measured on request.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.choices import unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def device(name: str = "auto") -> torch.device:
    """The device to compute on: "auto" is the first CUDA GPU, else Apple's GPU (mps), else the CPU.

    ``name``: auto, cpu, cuda, cuda:1 or mps.

    Raises UnknownName for any other name, and ValueError, naming the available devices, if the machine lacks this one.
    """
    import torch

    kind, _, index = name.partition(":")
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if mps() else [])]
    if name == "auto":
        return torch.device(there[-1] if len(there) > 1 else "cpu")
    if kind not in ("cpu", "cuda", "mps"):
        raise unknown("device", name, ["auto", "cpu", "cuda", "cuda:1", "mps"])
    if kind not in there:
        raise ValueError(f"device {name}: this machine has {', '.join(there)} only")
    if index and (kind != "cuda" or not index.isdecimal() or int(index) >= torch.cuda.device_count()):
        count = torch.cuda.device_count() if kind == "cuda" else 1
        raise ValueError(f"device {name}: this machine has {count} {kind} device{'s' * (count != 1)}, numbered from 0")
    return torch.device(name)


def count(name: str = "auto") -> int | None:
    """Number of devices that ``name`` refers to: 1 for "cuda:1", all GPUs for "cuda"; None for the CPU.

    Raises the errors of :func:`device`.
    """
    import torch

    where = device(name)
    if where.type == "cpu":
        return None
    return torch.cuda.device_count() if where.type == "cuda" and where.index is None else 1


def name_of(where: torch.device) -> str:
    """Product name of a device."""
    import torch

    if where.type == "cuda":
        return str(torch.cuda.get_device_name(where))
    return "Apple GPU" if where.type == "mps" else processor()


def exact(where: torch.device) -> torch.device:
    """The device for float64 computations on tensors of ``where``: itself, or the CPU if it lacks float64 (mps)."""
    import torch

    return torch.device("cpu") if where.type == "mps" else where


def double(x: Tensor) -> Tensor:
    """``x`` in float64, on its device or, if that has no float64, on the CPU."""
    return x.to(exact(x.device)).double()


def mps() -> bool:
    """True if Apple's GPU can be used."""
    import torch

    return bool(torch.backends.mps.is_available())


def cores() -> int:
    """Number of cores that this process may use; taskset, containers and clusters may limit it."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def instruction_set() -> str:
    """Instruction set that torch's kernels use: DEFAULT, AVX2, AVX512, NO AVX …"""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def facts() -> dict[str, Any]:
    """Facts about the machine as JSON values, recorded with every measurement: processor, cores, memory in GiB, GPU."""
    import torch

    gpu = None if (where := device()).type == "cpu" else name_of(where)
    return {
        "processor": processor(),
        "instruction_set": instruction_set(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "memory_gib": None if (size := memory()) is None else round(size / 2**30, 1),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def processor() -> str:
    """Name of the processor, as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def memory() -> int | None:
    """Main memory available now, in bytes; None if the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return _all_memory()
    free = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kib) * 1024 for kib in free), _all_memory())


def _all_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def peak_memory(where: torch.device) -> int | None:
    """Most memory that this process has held at a time, in bytes: on a CUDA GPU, or else in main memory.

    None if the system does not report it.
    """
    import torch

    if where.type == "cuda":
        return int(torch.cuda.max_memory_allocated(where))
    try:
        import resource
    except ImportError:
        return None
    # in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def busy() -> float | None:
    """Load average of the last minute, in cores; None if the system does not report it."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def gemm_peak(dtype: torch.dtype, where: torch.device, seconds: float = 0.3) -> float:
    """Speed of the fastest product of square matrices on this device in its present state, in GFLOP/s.

    The best result within ``seconds``, with torch's current number of threads: a yardstick, not an upper bound.  The
    size of the matrices grows only as time allows, because emulated products can be 200 times slower.
    """
    import torch

    def product(size: int) -> float:
        a, b = (torch.ones(size, size, device=where, dtype=dtype) for _ in range(2))
        began = time.perf_counter()
        with torch.no_grad():
            a @ b
        synchronize(where)
        return 2 * size**3 / (time.perf_counter() - began) / 1e9

    size, end = 128, time.perf_counter() + seconds
    product(size)
    best = product(size)
    while time.perf_counter() < end:
        speed = product(size)
        best = max(best, speed)
        # the next size must take at most a tenth of the given time
        if size < 2048 and 2 * (2 * size) ** 3 / speed / 1e9 < seconds / 10:
            size *= 2
    return best


EMULATED = 0.6
"""If bfloat16 matrix products run below this fraction of the float32 speed, they are assumed to be emulated."""


def emulates_bfloat16(where: torch.device) -> float | None:
    """Factor by which matrix products are slower in bfloat16 than in float32; None if they are about as fast.

    Measured in a fifth of a second, because capability flags are not reliable.
    """
    import torch

    before = torch.get_num_threads()
    if where.type == "cpu":
        # on a busy machine, several threads would wait for each other and hide the speed of the arithmetic
        torch.set_num_threads(1)
    try:
        single, half = (gemm_peak(kind, where, 0.1) for kind in (torch.float32, torch.bfloat16))
    finally:
        torch.set_num_threads(before)
    return single / half if half < EMULATED * single else None


def synchronize(where: torch.device) -> None:
    """Wait until all work on a device is finished."""
    import torch

    if where.type == "cuda":
        torch.cuda.synchronize(where)
    elif where.type == "mps":
        torch.mps.synchronize()


def seed(where: torch.device, value: int) -> None:
    """Seed the generator of a GPU; the CPU uses torch's default generator, which is left alone."""
    import torch

    if where.type == "cuda":
        torch.cuda.manual_seed(value)
    elif where.type == "mps":
        torch.mps.manual_seed(value)


@contextmanager
def kept_randomness(where: torch.device) -> Iterator[None]:
    """Restore the state of the random generators, of the CPU and of a device, on leaving."""
    import torch

    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        before = torch.mps.get_rng_state() if where.type == "mps" else None
        yield
        if before is not None:
            torch.mps.set_rng_state(before)


def keep_freed_memory() -> None:
    """Make glibc keep large freed blocks: by default it maps and unmaps every tensor above 32 MiB each time.

    Applies to the whole process; does nothing with other C libraries.  For the gain see docs/decisions/0012.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
    mallopt(top_pad, 256 << 20)
