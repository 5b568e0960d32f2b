"""Compare a pretrained model fine-tuned on a few shapes with the same network trained on them from scratch.

    python benchmarks/fine_tuning.py path/to/tables --as table --shapes 60 --minutes 5

FOLDER has the layout of ShapeNetCore.v2.PC15k, <synset>/{train,val}/*.npy, with one class.  ``--shapes`` of its
training shapes go into a folder named by --as; if this is a class of the model, fine-tuning starts from that class.
Both runs train on these shapes only, for the same time.  They are compared with held-out shapes by 1-NNA-CD on the full
set; the floor is the score of other training shapes.  Writes results/fine_tuning.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ptdiff.machine.host import facts
from ptdiff.modality import Comparison, registry
from ptdiff.modality.data import unaugmented
from ptdiff.run.fine_tuning import MACHINE
from ptdiff.run.folder import Run
from ptdiff.run.models import located

RESULTS = Path(__file__).parent / "results" / "fine_tuning.json"
FIGURE = "1nna_cd"


def main() -> None:
    """Train, sample and evaluate both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="shapes of one class")
    parser.add_argument("--as", dest="name", default="table", help="name of the class")
    parser.add_argument("--start", default="shapes", help="model or run to start from")
    parser.add_argument("--shapes", type=int, default=60, help="number of training shapes")
    parser.add_argument("--minutes", type=float, default=5.0, help="training time of each")
    parser.add_argument("--seeds", type=int, default=1, help="number of repetitions, with seeds 0, 1, …")
    parser.add_argument("--threads", type=int, help="as for ptdiff train")
    parser.add_argument("-n", type=int, default=200, help="samples and held-out shapes")
    parser.add_argument("--points", type=int, default=512, help="points of each compared cloud")
    parser.add_argument("--runs", type=Path, default=Path("runs/fine-tuning"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    few = chosen(asked.folder, asked.runs / asked.name, asked.name, asked.shapes)
    jobs = [(way, seed) for seed in range(asked.seeds) for way in ("fine-tuned", "from the beginning")]
    # with one thread each, both train side by side
    with ThreadPoolExecutor(2 if asked.threads == 1 else 1) as pool:
        rows = list(pool.map(lambda job: compared(*job, few, asked), jobs))
    told = {key: getattr(asked, key) for key in ("start", "shapes", "minutes", "points")}
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    result = {
        **told,
        "n": rows[0]["n"],
        "data": asked.folder.name,
        "class": asked.name,
        "better_by": [difference(ours[FIGURE], theirs[FIGURE]) for ours, theirs in pairs],
        "rows": rows,
        "machine": facts(),
    }
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def chosen(folder: Path, target: Path, name: str, count: int) -> Path:
    """Folder of the first ``count`` training shapes, and a tenth as many held out, as one class called ``name``."""
    shutil.rmtree(target, ignore_errors=True)
    for split, some in (("train", count), ("val", max(2, count // 10))):
        files = sorted(folder.glob(f"*/{split}/*"))
        if len(files) < some:
            raise SystemExit(f"{folder}: {len(files)} shapes in */{split}, but {some} are needed")
        place = target / name / split
        place.mkdir(parents=True)
        for file in files[:some]:
            shutil.copy(file, place / file.name)
    return target


def compared(way: str, seed: int, few: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """One run and its score."""
    run = asked.runs / f"{way.replace(' ', '-')}-{seed}"
    source = located(asked.start)
    begin = ["--from", str(source)] if way == "fine-tuned" else ["-c", str(plain(source, asked.runs))]
    more = ["--seed", str(seed), "--minutes", f"{asked.minutes:g}"]
    more += [] if asked.threads is None else ["--threads", str(asked.threads)]
    samples = run / "compared.npz"
    if not (run / "config.yaml").exists():
        call("train", *begin, "--data", str(few), *more, "--out", str(run))
    options = {**Run.open(source).config.options, "points": asked.points}
    kind = registry.load(
        "pointcloud", {k: v for k, v in options.items() if k not in of_data()} | {"data": str(asked.folder)}
    )
    data = kind.dataset()
    assert data.train is not None and data.val is not None
    n = min(asked.n, len(data.val), len(data.train) - asked.shapes)
    call("sample", str(run), "-n", str(n), "--points", str(asked.points), "--seed", str(seed), "--out", str(samples))
    with np.load(samples, allow_pickle=False) as file:
        drawn = torch.from_numpy(file["samples"])
    reference, _ = data.val.batch(torch.arange(n), seed)
    # shapes that neither run has trained on
    others, _ = unaugmented(data.train).batch(torch.arange(asked.shapes, asked.shapes + n), seed)
    score = kind.compare(Comparison(drawn, reference, others, seed=seed)).scores[FIGURE]
    steps = Run.open(run).checkpoint().step
    print(
        f"{way}, seed {seed}: {steps} steps, 1-NNA-CD {score.value:.1f} "
        f"({score.low:.1f} to {score.high:.1f}; floor {score.floor:.1f})",
        flush=True,
    )
    found = {key: getattr(score, key) for key in ("value", "low", "high", "floor")}
    return {"way": way, "seed": seed, "steps": steps, "n": n, FIGURE: found}


def of_data() -> tuple[str, ...]:
    """Options of point clouds that describe the data."""
    return registry.modality_class("pointcloud").of_data


def plain(source: Path, folder: Path) -> Path:
    """Configuration of the model without the options of its data: the same network, trained from scratch."""
    import yaml

    values = Run.open(source).config.model_dump(mode="json")
    values["options"] = {k: v for k, v in values["options"].items() if k not in of_data()}
    values["training"] |= {"steps": None} | dict.fromkeys(MACHINE, "auto")
    path = folder / "plain.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def difference(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Difference of the scores, with a 95 % interval as for independent scores."""
    value = theirs["value"] - ours["value"]
    half = sum(((score["high"] - score["low"]) / 2) ** 2 for score in (ours, theirs)) ** 0.5
    return {"value": value, "low": value - half, "high": value + half}


def call(*arguments: str) -> None:
    """Run ptdiff in a separate process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    command = [sys.executable, "-m", "ptdiff_cli.main", *arguments]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
