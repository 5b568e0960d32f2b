"""Help and listing are quick, because they import nothing heavy."""

import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "pytorch_lightning", "torch_geometric", "open3d", "trimesh", "sklearn", "matplotlib", "scipy")


@pytest.mark.parametrize("arguments", [["--help"], ["modalities"], ["modalities", "--json"], ["train", "--help"]])
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['ptdiff', *{arguments!r}]\n"
        "from ptdiff_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


@pytest.mark.parametrize("command", ["--help", "modalities"])
def test_help_and_listing_take_a_third_of_a_second(command: str) -> None:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ptdiff_cli.main", command], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    # 0.15 to 0.2 s on an idle core; the bar leaves room for a busy one
    assert statistics.median(seconds) < 1.0


def test_help_fits_eighty_columns(ptdiff) -> None:  # type: ignore[no-untyped-def]
    for command in ([], ["train"], ["sample"], ["eval"], ["render"], ["resume"], ["modalities"], ["doctor"]):
        done = ptdiff(*command, "--help")
        assert done.returncode == 0
        assert max(len(line) for line in done.stdout.splitlines()) <= 80
