"""The memory of importing and of reading a store does not grow with the number of files."""

import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.formats.ply import write_ply

FEW, MANY = 300, 6000
IMPORT = "import sys; from ptdiff_datasets.clouds.importing import import_data; import_data(*sys.argv[1:], points=40)"


def imported(folder: Path, count: int) -> float:
    """Import ``count`` files in a process of its own; return its peak of memory that is no mapped file, in MB."""
    random = np.random.default_rng(0)
    for i in range(count):
        (folder / f"files/c{i % 10}").mkdir(parents=True, exist_ok=True)
        write_ply(folder / f"files/c{i % 10}/shape{i:05d}.ply", random.random((40, 3), np.float32))
    process = subprocess.Popen([sys.executable, "-c", IMPORT, str(folder / "files"), str(folder / "store")])
    most = 0
    while process.poll() is None:
        if found := re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text()):
            most = max(most, int(found[1]))
        time.sleep(0.005)
    assert process.returncode == 0
    return most / 1024


def opened(store: Path) -> int:
    """Open a store and draw batches from its training split; return the peak of Python's and NumPy's memory."""
    tracemalloc.start()
    clouds = load_folder(store)
    train = clouds.split("train")
    for seed in range(3):
        train.draw(np.arange(len(train))[:: len(train) // 20], 16, seed)
        train.labels_of(np.arange(10))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not list the memory of a process")
def test_importing_and_reading_need_no_memory_for_a_file(tmp_path: Path) -> None:
    few, many = (imported(tmp_path / str(count), count) for count in (FEW, MANY))
    # version 0.2 kept 2.6 kB for each file, 15 MB here
    assert many - few < 5
    before, after = (opened(tmp_path / str(count) / "store") for count in (FEW, MANY))
    # two lists of places, and the diagonals for their median; 0.2 kept 1 kB
    assert (after - before) / (MANY - FEW) < 64
