"""Compare two recipes on MNIST with the same network and budget: mnist-cond and the playgrounds' plain DDPM.

    python benchmarks/mnist.py --data FOLDER --minutes 15 --work runs/mnist

Trains both for ``--minutes`` on all cores, one after the other.  It then compares, by the features of a classifier of
the same training images, mnist-cond with several guidance scales and without a class, and mnist-ddpm with mnist-cond's
sampler and with its 1,000 steps.  Finally it computes bits per dimension of the test set.
benchmarks/results/mnist.json is written after every part, and a second call continues where the first was stopped.  Use
one ``--work`` per budget.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from ptdiff.documents.atomic import write_atomic
from ptdiff.evaluation import reference_sets
from ptdiff.machine.host import keep_freed_memory
from ptdiff.machine.yardstick import yardstick
from ptdiff.modality import Comparison
from ptdiff.pictures.files import save_image
from ptdiff.run.checkpoint import latest
from ptdiff.run.config import merged, sampling
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan, draw

RESULTS = Path(__file__).parent / "results"
RECIPES = ("mnist-cond", "mnist-ddpm")
# the last one is strong between these noise-to-signal ratios and absent elsewhere
GUIDANCES: tuple[dict[str, Any], ...] = (
    {"scale": 1.0},
    {"scale": 1.5},
    {"scale": 2.0},
    {"scale": 3.0},
    {"scale": 3.0, "low": 0.5, "high": 8.0},
)


def main() -> None:
    """Train, measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="folder of the four IDX files; default: by name, downloaded")
    parser.add_argument("--minutes", type=float, default=15.0, help="training time of each")
    parser.add_argument("--work", type=Path, default=Path("runs/mnist"), help="folder for runs and results")
    parser.add_argument("--out", type=Path, default=RESULTS / "mnist.json")
    parser.add_argument("-n", type=int, default=1000, help="number of samples and of test images")
    parser.add_argument("--likelihoods", type=int, default=200, help="test images for bits per dimension")
    parser.add_argument("--chain-steps", type=int, default=1000, help="ancestral steps of mnist-ddpm's own sampler")
    parser.add_argument("--together", action="store_true", help="train both at once, on one thread each")
    parser.add_argument("--set", action="append", default=[], help="section.key=value: change mnist-cond")
    arguments = parser.parse_args()
    keep_freed_memory()
    asked = {key: getattr(arguments, key) for key in ("minutes", "n", "chain_steps", "together", "set")}
    kept = arguments.work / "found.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {"asked": asked}
    if found["asked"] != asked:
        raise SystemExit(f"{arguments.work} holds measurements of {found['asked']}, not {asked}: give another --work")

    def part(name: str, work: Callable[[], Any]) -> Any:
        if name not in found:
            began = time.perf_counter()
            value = work()
            found[name] = {**value, "wall_seconds": round(time.perf_counter() - began, 1)}
            write_atomic(kept, json.dumps(found, indent=1) + "\n")
            print(name, json.dumps(_short(found[name])), flush=True)
        return found[name]

    arguments.work.mkdir(parents=True, exist_ok=True)
    runs = {name: arguments.work / name for name in RECIPES}
    if arguments.together:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: train(name, runs[name], arguments), RECIPES))
    for name, run in runs.items():
        part(f"{name}: training", lambda name=name, run=run: train(name, run, arguments))  # type: ignore[misc]
    ours, theirs = (Run.open(runs[name]) for name in RECIPES)
    for guidance in GUIDANCES:
        label = ", ".join(f"{key} {value:g}" for key, value in guidance.items())
        part(f"mnist-cond: guidance {label}", lambda g=guidance: measured(ours, {"guidance": g}, arguments))  # type: ignore[misc]
    part("mnist-cond: no class", lambda: measured(ours, {}, arguments, asked=False))
    same = ours.config.sampling.model_dump()
    part("mnist-ddpm: the same sampler", lambda: measured(theirs, same, arguments))
    chain = {"steps": arguments.chain_steps}
    part(f"mnist-ddpm: {arguments.chain_steps} ancestral steps", lambda: measured(theirs, chain, arguments))
    for name, run in runs.items():
        part(f"{name}: likelihood", lambda run=run: likelihood(run, arguments.likelihoods))  # type: ignore[misc]
    environment = {
        "threads": 1 if arguments.together else torch.get_num_threads(),
        "torch": torch.__version__,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(
        arguments.out, json.dumps({**found, "environment": environment, "machine": yardstick()}, indent=1) + "\n"
    )
    print(f"written to {arguments.out}")


def train(name: str, path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a recipe, or resume it."""
    if (path / "config.yaml").is_file():
        command("resume", path)
    else:
        # previews would cost time in the benchmark
        quiet = ["--set", "training.preview_minutes=1000000", "--set", "training.validations=0"]
        other = [word for setting in arguments.set for word in ("--set", setting)] if name == RECIPES[0] else []
        budget = ["--minutes", arguments.minutes, "--out", path, *(["--threads", 1] if arguments.together else [])]
        command("train", "-c", name, "--data", arguments.data, *budget, *quiet, *other)
    run = Run.open(path)
    newest = latest(run.checkpoints)
    assert newest is not None
    parameters = sum(p.numel() for p in run.denoiser().parameters())
    return {"steps": newest.step, "batch": run.config.training.batch, "parameters": parameters}


def measured(run: Run, over: dict[str, Any], arguments: argparse.Namespace, *, asked: bool = True) -> dict[str, Any]:
    """Scores of samples with the run's settings, overridden by ``over``; ``asked``: with the labels of test images."""
    kind, model = run.modality(), run.denoiser()
    data = kind.dataset()
    assert data.train is not None
    assert data.val is not None
    sets = reference_sets(data.train, data.val, arguments.n)
    labels = sets.labels if asked else None
    own = run.config.sampling.model_dump()
    plan = Plan.chosen(run.config.process, sampling(merged(own, over)))
    began, drawn = time.perf_counter(), []
    for ids in torch.split(torch.arange(arguments.n), 250):
        cond = {} if labels is None else {"label": labels[ids]}
        drawn.append(kind.postprocess(draw(model, run.data, plan, ids, cond, run.data.shape), run.data))
        print(f"  {sum(map(len, drawn))} of {arguments.n} samples", flush=True)
    seconds = time.perf_counter() - began
    samples = torch.cat(drawn)
    guided = [] if labels is None else [f"{value:g}" for value in over.get("guidance", {}).values()]
    picture = "-".join([run.path.name, plan_name(plan), *(guided or ["unguided"])])
    save_image(run.path.parent / f"{picture}.png", kind.visualizer().sheet(samples[:64].numpy(), []))
    found = kind.compare(Comparison(samples, sets.reference, sets.training, labels))
    return {
        "n": arguments.n,
        "sampler": plan_name(plan),
        "asked": labels is not None,
        "seconds": round(seconds, 1),
        "scores": {name: dataclasses.asdict(score) for name, score in found.scores.items()},
        **found.facts,
    }


def plan_name(plan: Plan) -> str:
    """Name a plan by solver and steps."""
    return f"{type(plan.solver).__name__.lower()}-{plan.steps}"


def likelihood(run: Path, count: int) -> dict[str, Any]:
    """Bits per dimension of test images, as reported by ``ptdiff likelihood``."""
    printed = command("likelihood", run, "-n", count, "--probes", 4, "--json")
    found: dict[str, Any] = json.loads(printed)
    keys = ("n", "bits_per_dimension", "given", "sigma_min", "calls", "step_error")
    return {key: found[key] for key in keys}


def command(*arguments: object) -> str:
    """Return the standard output of a ptdiff command."""
    call = [sys.executable, "-m", "ptdiff_cli.main", *map(str, arguments)]
    return subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout


def _short(value: dict[str, Any]) -> dict[str, Any]:
    scores = {name: round(score["value"], 4) for name, score in value.get("scores", {}).items()}
    return {**{k: v for k, v in value.items() if isinstance(v, (int, float))}, **scores}


if __name__ == "__main__":
    main()
