"""Train a model, score it, and write the figures of the README.

    python -m ptdiff_molecules.figures --minutes 30 --out figures

The folder then holds the run, figures.md, samples.png and held-out.png.  If it holds a run, that is not trained again.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path

import torch
from matplotlib.image import imsave

import ptdiff
from ptdiff_molecules import Molecules

SHOWN = 24
"""Number of molecules in an image."""

ONE_THREAD = {"precision": "32", "threads": 1, "shards": 1}
"""Settings of training, the same on every machine."""


def main() -> None:
    """Parse the command line and write the figures."""
    parser = argparse.ArgumentParser(prog="python -m ptdiff_molecules.figures", description="Train, score, plot.")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time in minutes")
    parser.add_argument("-n", type=int, default=500, help="number of samples that are scored")
    parser.add_argument("--steps", type=int, default=50, help="solver steps")
    parser.add_argument("--heavy", type=int, default=12, help="most atoms of a molecule besides hydrogen")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder")
    given = parser.parse_args()
    torch.set_num_threads(1)
    modality = Molecules(heavy=given.heavy)
    model, took = trained(modality, given.minutes, given.out)
    before = time.process_time()
    found = model.evaluate(n=given.n, seed=1, steps=given.steps, say=print)
    found.save()
    took["sampling and scores"] = (time.process_time() - before) / 60
    data = modality.dataset()
    assert data.train is not None and data.val is not None
    # two of each number of atoms
    asked = model.sample(SHOWN, conditions={"atoms": [12 + i // 2 for i in range(SHOWN)]}, seed=2, steps=given.steps)
    asked.render(given.out / "samples.png")
    held = data.val.batch(torch.arange(SHOWN) * (len(data.val) // SHOWN), 0)
    sets = [x[mask].numpy() for x, mask in zip(held[0], held[1]["mask"], strict=True)]
    imsave(given.out / "held-out.png", modality.visualizer().sheet(sets, []))
    lines = [
        f"{len(data.train):,} molecules for training, {len(data.val):,} held out. Dropped:",
        "",
        *(f"- {count:,}: {reason}" for reason, count in data.summary["dropped"].items()),
        "",
        f"Training: {model.run.checkpoint().step:,} steps. "
        + " ".join(f"CPU-minutes of {part}: {minutes:.1f}." for part, minutes in took.items())
        + f" One thread; {processor()}; PyTorch {version('torch')}.",
        "",
        f"n = {found.n}, {found.samples.calls:.0f} network calls for each sample.",
        "",
        "| score | value | 95 % interval | held-out molecules |",
        "|---|---|---|---|",
        *(
            f"| {name} | {s.value:.3f} | {s.low:.3f} to {s.high:.3f} | {s.floor:.3f} |"
            for name, s in found.scores.items()
        ),
        "",
    ]
    (given.out / "figures.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def trained(modality: Molecules, minutes: float, out: Path) -> tuple[ptdiff.Model, dict[str, float]]:
    """The model in ``out``, trained for ``minutes`` if there is none yet, and the CPU-minutes of its training."""
    notes = out / "training.json"
    if notes.is_file():
        return ptdiff.load(out / "run", modality=modality), json.loads(notes.read_text(encoding="utf-8"))
    before = time.process_time()
    model = ptdiff.train(modality, minutes=minutes, out=out / "run", device="cpu", say=print, training=ONE_THREAD)
    took = {"training": (time.process_time() - before) / 60}
    notes.write_text(json.dumps(took), encoding="utf-8")
    return model, took


def processor() -> str:
    """The name of the processor."""
    place = Path("/proc/cpuinfo")
    lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
