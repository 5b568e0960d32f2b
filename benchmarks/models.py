"""Train, evaluate and pack the pretrained models, each with a card.

    python benchmarks/models.py                                    # all models listed below
    python benchmarks/models.py --only shapes --minutes 1          # one model, with another training time
    python benchmarks/models.py --only shapes --run runs/mine      # one model, from an existing run

Packing keeps only the averaged weights, in float16, and measures how much this changes the estimates.  The scores on
the card are those of the packed model on held-out data.  Each model goes to plugins/<package>/models/<name>.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import ptdiff
from ptdiff.documents.atomic import write_atomic
from ptdiff.experiments.compare_runs import history
from ptdiff.machine.host import facts
from ptdiff.model.card import measurement, score_table
from ptdiff.process import PROCESSES
from ptdiff.run.checkpoint import save
from ptdiff.run.folder import Run

PLUGINS = Path(__file__).parents[1] / "plugins"
REPORTS = 40
"""Maximum number of lines of metrics.jsonl that are kept, for curves and comparisons."""


@dataclass(frozen=True)
class Preset:
    """Training and evaluation of a model, and its description."""

    package: str
    train: str
    n: int
    figure: str
    title: str
    summary: str
    data: str


PRESETS = {
    "shapes": Preset(
        "ptdiff_pointcloud",
        "-m pointcloud -o shapes_per_class=2000 --set training.lr=1.5e-2 --set training.ema=0.9995 --steps 28000",
        400,
        "1nna_cd",
        "1-NNA-CD, %",
        "ten classes of procedural shapes, by name; any number of points",
        "procedural, made by ptdiff: MIT",
    ),
    "digits": Preset(
        "ptdiff_images",
        "-c digits --steps 4000",
        296,
        "fid_lenet",
        "FID-lenet",
        "handwritten digits of 8 x 8 pixels, by class",
        "Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998), as scikit-learn ships it: CC BY 4.0",
    ),
    "swissroll": Preset(
        "ptdiff_points2d",
        "-c swissroll-flow --steps 6000",
        10_000,
        "sliced_wasserstein",
        "sliced Wasserstein",
        "points in the plane, on a spiral",
        "a formula: MIT",
    ),
}


def main() -> None:
    """Train, pack, measure, write the cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PRESETS, nargs="+", default=list(PRESETS), help="only these models")
    parser.add_argument("--run", type=Path, help="pack this existing run, and no other model")
    parser.add_argument("--command", help="how that run was trained, for the card")
    parser.add_argument("--minutes", type=float, help="training time, instead of the preset's")
    parser.add_argument("--steps", type=int, help="number of steps, instead of the preset's")
    parser.add_argument("--precision", help="as for ptdiff train")
    parser.add_argument("--threads", type=int, help="as for ptdiff train")
    parser.add_argument("-n", type=int, help="number of samples, instead of the preset's")
    parser.add_argument("--runs", type=Path, default=Path("runs/shipped"), help="folder of the runs")
    asked = parser.parse_args()
    if asked.run is not None and len(asked.only) > 1:
        parser.error("--run is for one model: say which with --only")
    for name in asked.only:
        run = Run.open(asked.run or trained(name, asked))
        target = PLUGINS / PRESETS[name].package / "models" / name
        ship(name, run, target, asked.n or PRESETS[name].n, asked.command or command_of(name, asked))


def command_of(name: str, asked: argparse.Namespace) -> str:
    """Command that rebuilds this model, without paths of this machine."""
    given = {"minutes": asked.minutes, "steps": asked.steps, "precision": asked.precision, "threads": asked.threads}
    told = [f"--{key} {value}" for key, value in given.items() if value is not None]
    return " ".join(["python benchmarks/models.py --only", name, *(["--run RUN"] if asked.run else []), *told])


def trained(name: str, asked: argparse.Namespace) -> Path:
    """Run of a preset, resumed if it was started before."""
    folder: Path = asked.runs / name
    if (folder / "config.yaml").exists():
        call(["resume", str(folder)])
        return folder
    over = {"--minutes": asked.minutes, "--steps": asked.steps, "--precision": asked.precision}
    over["--threads"] = asked.threads
    words = [word for key, value in over.items() if value is not None for word in (key, str(value))]
    preset = shlex.split(PRESETS[name].train)
    if asked.minutes is not None or asked.steps is not None:
        # the last two words are the duration
        preset = preset[:-2]
    call(["train", *preset, *words, "--out", str(folder)])
    return folder


def call(arguments: list[str], folder: Path | None = None) -> None:
    """Run ptdiff in a separate process."""
    here = os.pathsep.join(sys.path[1:])
    command = [sys.executable, "-m", "ptdiff_cli.main", *arguments]
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, "PYTHONPATH": here}, stdout=subprocess.DEVNULL)


def ship(name: str, run: Run, target: Path, n: int, made: str) -> None:
    """Pack a run as the model of that name, evaluate it, and write its card."""
    with tempfile.TemporaryDirectory() as folder:
        packed, preset = Path(folder) / name, PRESETS[name]
        packed.mkdir()
        pack(run, packed)
        call(["eval", str(packed), "-n", str(n)])
        # caches of the metrics
        shutil.rmtree(packed / "distances", ignore_errors=True)
        finish(name, run, packed, target, preset, made)


def finish(name: str, run: Run, packed: Path, target: Path, preset: Preset, made: str) -> None:
    """Write the card of a packed and evaluated model, and move it to its place."""
    card = described(name, run, packed, preset, made)
    write_atomic(packed / "card.json", json.dumps(card, indent=1) + "\n")
    write_atomic(packed / "README.md", page(name, card))
    for path in packed.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(packed, target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{name}: {card['headline']}; {size / 2**20:.2f} MiB in {target}", flush=True)


def pack(run: Run, folder: Path) -> None:
    """Copy what is needed to use a run into an empty folder: float16 averages, and no path of this machine."""
    for option, value in run.config.options.items():
        if isinstance(value, str) and Path(value).is_absolute():
            raise ValueError(f"{run.path}: option {option} is a place on this machine, {value}")
    weights, checkpoint = run.denoiser().state_dict(), run.checkpoint()
    half = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    for key, value in half.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{run.path}: {key} is out of the range of float16")
    state = {"step": checkpoint.step, "elapsed": checkpoint.state["elapsed"]}
    save(folder / "checkpoints", checkpoint.step, {"ema": half}, state)
    for name in ("data.json", "config.yaml"):
        shutil.copy(run.path / name, folder / name)
    environment = json.loads((run.path / "env.json").read_text(encoding="utf-8"))
    environment.pop("platform", None)
    write_atomic(folder / "env.json", json.dumps(environment, indent=1) + "\n")
    lines = history(run.path)
    kept = lines[:: max(1, -(-len(lines) // REPORTS))]
    kept += lines[-1:] if lines and kept[-1] is not lines[-1] else []
    write_atomic(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))


def half_precision(run: Run, packed: Run) -> dict[str, float]:
    """Difference of the packed network's estimates from those of the run, relative to their root mean square.

    At sixteen noise levels, with 64 training samples each; ``rms`` is over all numbers, ``largest`` is the maximum.
    """
    train, process = run.modality().dataset().train, PROCESSES["flow"]()
    assert train is not None
    x, cond = train.batch(torch.arange(64) * (len(train) // 64), 0)
    z = run.data.normalize(x)
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    whole, half = run.denoiser(), packed.denoiser()
    apart, size, largest = 0.0, 0.0, 0.0
    with torch.inference_mode():
        for time in torch.linspace(0.02, 1.0, 16):
            level = process.level(time.expand(len(z)))
            noisy = level.like(z).alpha * z + level.like(z).sigma * eps
            one, other = (model(noisy, level, cond) for model in (whole, half))
            apart += float((one - other).square().mean())
            size += float(one.square().mean())
            largest = max(largest, float((one - other).abs().max() / one.square().mean().sqrt()))
    return {"rms": (apart / size) ** 0.5, "largest": largest}


def described(name: str, run: Run, folder: Path, preset: Preset, made: str) -> dict[str, Any]:
    """Card of a packed model."""
    packed, measured = Run.open(folder), json.loads((folder / "eval.json").read_text(encoding="utf-8"))
    score, checkpoint = measured["metrics"][preset.figure], packed.checkpoint()
    told = (
        f"{preset.title} {score['value']:.3g} ({score['low']:.3g} to {score['high']:.3g}; floor {score['floor']:.3g})"
    )
    weights = checkpoint.tensors("ema").values()
    return {
        "name": name,
        "summary": preset.summary,
        "headline": told,
        "figures": measured["metrics"],
        "measured": {key: measured[key] for key in ("n", "protocol", "measures", "reference", "sampling")},
        "parameters": sum(value.numel() for value in weights),
        "steps": checkpoint.step,
        "minutes": round(checkpoint.state["elapsed"] / 60, 1),
        "float16": half_precision(run, packed),
        "licence": {"weights": "MIT", "data": preset.data},
        "command": made,
        "machine": facts(),
        "ptdiff": ptdiff.__version__,
    }


def page(name: str, card: dict[str, Any]) -> str:
    """Card as Markdown."""
    measured, machine, half = card["measured"], card["machine"], card["float16"]
    lines = [
        f"# {name}",
        "",
        f"{card['summary'][0].upper()}{card['summary'][1:]}: `ptdiff sample {name}`.",
        "",
        *score_table(card["figures"]),
        "",
        measurement(measured),
        "",
        f"- {card['parameters']:,} parameters, {card['steps']:,} steps in {card['minutes']:g} minutes.",
        f"- Weights in float16: estimates change by {half['rms']:.1e} (root mean square) and {half['largest']:.1e} "
        "(largest), relative to their size.",
        f"- License of the weights: {card['licence']['weights']}. Data: {card['licence']['data']}.",
        f"- Made by `{card['command']}` with ptdiff {card['ptdiff']} on {machine['processor']} "
        f"({machine['instruction_set']}, {machine['threads']} threads, torch {machine['torch']}).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
