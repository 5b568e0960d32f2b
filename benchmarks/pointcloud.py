"""Every network of point clouds after the same time of training: benchmarks/pointcloud.md.

    python benchmarks/pointcloud.py --minutes 1 3 --cores 2

Trains each network of the modality for each time on one thread, as many side by side as there are cores, measures it
on held-out shapes, and writes results/pointcloud.json and pointcloud.md.  What is there already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, get_args

from ptdiff.machine.yardstick import yardstick
from ptdiff.run.folder import Run
from ptdiff_pointcloud.networks.catalog import Network

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results" / "pointcloud.json", HERE / "pointcloud.md"


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0], help="of training on one thread")
    parser.add_argument("--cores", type=int, default=2, help="trainings side by side")
    parser.add_argument("--data", default="shapes", help="as for ptdiff train")
    parser.add_argument("-n", type=int, default=100, help="samples and reference samples")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"), help="folder of the runs")
    arguments = parser.parse_args()
    jobs = list(product(arguments.minutes, get_args(Network)))

    def one(job: tuple[float, str]) -> dict[str, Any]:
        row = measured(arguments.runs / f"{job[1]}-{job[0]:g}", job[1], job[0], arguments.data, arguments.n)
        print(
            f"{row['network']:18} {row['minutes']:4g} min  1-NNA {row['metrics']['1nna_cd']['value']:.1f}", flush=True
        )
        return row

    with ThreadPoolExecutor(arguments.cores) as pool:
        rows = list(pool.map(one, jobs))
    facts = {
        "data": arguments.data,
        "n": arguments.n,
        "command": " ".join(["python benchmarks/pointcloud.py", *sys.argv[1:]]),
    }
    result = {**facts, "machine": yardstick(), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(result), encoding="utf-8")


def measured(folder: Path, network: str, minutes: float, data: str, n: int) -> dict[str, Any]:
    """The figures of one run, which is trained and measured where that is not done."""
    common = [sys.executable, "-m", "ptdiff_cli.main"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    if not (folder / "eval.json").exists():
        train = ["train", "-m", "pointcloud", "--data", data, "-o", f"network={network}", "--minutes", f"{minutes:g}"]
        again = ["resume", str(folder)]
        start = again if (folder / "config.yaml").exists() else [*train, "--threads", "1", "--out", str(folder)]
        for command in (start, ["eval", str(folder), "-n", str(n)]):
            subprocess.run(
                [*common, *command], check=True, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
    result = json.loads((folder / "eval.json").read_text(encoding="utf-8"))
    run = Run.open(folder)
    parameters = sum(p.numel() for p in run.network().parameters())
    done = {"steps": run.checkpoint().step, "parameters": parameters, "shape": result["sampling"]["shape"]}
    return {"network": network, "minutes": minutes, **done, "n": result["n"], "metrics": result["metrics"]}


def page(result: dict[str, Any]) -> str:
    """The table as Markdown."""
    lines = [
        "# Networks of point clouds by time",
        "",
        f"    {result['command']}",
        "",
        "1-NNA by the squared Chamfer distance on the full set, 95 % intervals in brackets; 50 is perfect, 100 worst.",
        "Each network was trained on one thread.",
        "",
        "| network | parameters | minutes | steps | 1-NNA-CD, % | floor |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(result["rows"], key=lambda row: (row["minutes"], row["metrics"]["1nna_cd"]["value"])):
        score = row["metrics"]["1nna_cd"]
        lines.append(
            f"| {row['network']} | {row['parameters'] / 1e6:.2f} M | {row['minutes']:g} | {row['steps']:,} "
            f"| {score['value']:.1f} ({score['low']:.1f} to {score['high']:.1f}) | {score['floor']:.1f} |"
        )
    first = result["rows"][0]
    lines += ["", f"{result['data']}: n = {first['n']} held-out shapes, clouds of {first['shape'][0]} points.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
