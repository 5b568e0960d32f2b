"""Measure how close completions of half a shape are to the whole, compared with the nearest training shape.

    python benchmarks/completion.py RUN [--shapes 60] [--observed 256] [--points 512] [--draws 2] [--quick]

RUN was trained with -o task=complete on a folder, such as one of tables.  Its validation shapes are cut in two by a
plane in a random direction, with half of the points on each side, and ``observed`` points of one half are given.  Every
answer has ``points`` points.  The score is the squared Chamfer distance (sum of the two means) to all points of the
truth, in units of the data:

    part                the given points alone
    nearest             the baseline: points of the training cloud with the smallest one-sided distance (mean of
                        squares) from the given points
    nearest, joined     the given points, and points of that cloud beyond the cut: the strongest baseline
    completion          ptdiff complete with its defaults: the given points are held, the rest is sampled given them
    completion, free    the same, but nothing is held: the model samples the whole, with the points as its condition
    truth               other points of the truth, a bound that no answer can beat by much

Writes results/completion.json unless ``--quick``.  The samples of each shape are averaged first, then the shapes;
"wins" is the share of shapes for which the completion is closer than the baseline.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import KDTree

from ptdiff.inverse import METHODS
from ptdiff.machine.host import keep_freed_memory
from ptdiff.machine.yardstick import yardstick
from ptdiff.run.folder import Run
from ptdiff.sampling.editing import complete, denoised
from ptdiff.sampling.sampler import prepared, start
from ptdiff_cli.shared.sampling_plan import make_plan, scale

RESULTS = Path(__file__).parent / "results" / "completion.json"
Cloud = npt.NDArray[np.float64]


def chamfer(one: Cloud, two: Cloud) -> float:
    """Sum of the two means of squared distances to the nearest point."""
    return sum(float(np.mean(np.square(KDTree(a).query(b)[0]))) for a, b in ((one, two), (two, one)))


def some(cloud: Cloud, count: int, random: np.random.Generator) -> Cloud:
    """Up to ``count`` of the points."""
    return cloud[random.permutation(len(cloud))[:count]]


class Shapes:
    """Training and validation clouds of a run's data, with all stored points, in the run's units."""

    def __init__(self, run: Run) -> None:
        from ptdiff_datasets.clouds.folder import load_folder

        options = run.config.options
        clouds = load_folder(str(options["data"]), normalize=str(run.data.summary["normalize"]))
        self.train = [self._world(clouds, i) for i, split in enumerate(clouds.splits) if split == "train"]
        self.val = [self._world(clouds, i) for i, split in enumerate(clouds.splits) if split == "val"]
        self.trees = [KDTree(cloud) for cloud in self.train]

    @staticmethod
    def _world(clouds: Any, i: int) -> Cloud:
        cloud: Cloud = np.asarray(clouds.cloud(i), np.float64)
        return cloud

    def nearest(self, part: Cloud) -> Cloud:
        """Training cloud with the smallest mean squared distance from the points of ``part`` to it."""
        few = part[:: max(1, len(part) // 64)]
        rough = np.array([np.square(tree.query(few)[0]).mean() for tree in self.trees])
        # the best candidates by a few points are compared by all points
        best = min(np.argsort(rough)[:20], key=lambda i: float(np.square(self.trees[i].query(part)[0]).mean()))
        return self.train[best]


def completions(run: Run, part: Cloud, points: int, asked: argparse.Namespace) -> dict[str, list[Cloud]]:
    """Sample answers of ``points`` points in the run's units, ``draws`` of each."""
    plan = make_plan(run, {"solver": asked.solver, "steps": asked.steps, "guidance": scale(asked.guidance)})
    model = prepared(run.denoiser(weights=asked.weights), plan, run.data)
    world = torch.from_numpy(part.astype(np.float32))
    condition = run.modality().given(run.data, world, asked.draws)
    if condition is None:
        raise ValueError(f"{run.path} was not trained with -o task=complete")
    held = run.data.normalize(world[: points // 2])
    ids = torch.arange(asked.draws)
    shape = (points, *run.data.shape[1:])
    sets = {
        "completion": complete(model, plan, METHODS["replacement"](), held, points, ids, condition),
        "completion, free": denoised(model, plan, start(plan, ids, shape), plan.levels(), ids, condition),
    }
    return {name: [x.numpy().astype(np.float64) for x in run.data.world(clouds)] for name, clouds in sets.items()}


def measured(run: Run, shapes: Shapes, asked: argparse.Namespace) -> dict[str, Any]:
    """All scores, times 1,000."""
    random = np.random.default_rng(asked.seed)
    rows: dict[str, list[float]] = {}
    for i in random.permutation(len(shapes.val))[: asked.shapes]:
        truth = shapes.val[i]
        direction = random.normal(size=3)
        height = truth @ (direction / np.linalg.norm(direction))
        part = some(truth[np.argsort(height)[len(truth) // 2 :]], asked.observed, random)
        near = shapes.nearest(part)
        beyond = near[near @ (direction / np.linalg.norm(direction)) < np.median(height)]
        held = part[: asked.points // 2]
        answers = {
            "part": [part],
            "nearest": [some(near, asked.points, random)],
            "nearest, joined": [np.concatenate([held, some(beyond, asked.points - len(held), random)])],
            **completions(run, part, asked.points, asked),
            "truth": [some(truth, asked.points, random)],
        }
        for name, clouds in answers.items():
            rows.setdefault(name, []).append(1e3 * float(np.mean([chamfer(cloud, truth) for cloud in clouds])))
    figures = {
        name: {
            "mean": round(float(np.mean(row)), 3),
            "error": round(float(np.std(row)) / len(row) ** 0.5, 3),
            "median": round(float(np.median(row)), 3),
            "worst": round(float(np.max(row)), 3),
        }
        for name, row in rows.items()
    }
    wins = {
        base: round(float(np.mean(np.array(rows["completion"]) < np.array(rows[base]))), 3)
        for base in ("nearest", "nearest, joined")
    }
    return {"chamfer x 1000": figures, "wins of completion over": wins}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for name, default in (("shapes", 60), ("observed", 256), ("points", 512), ("draws", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--solver")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--weights")
    parser.add_argument("--quick", action="store_true", help="use eight shapes and write nothing")
    asked = parser.parse_args()
    keep_freed_memory()
    asked.shapes = min(asked.shapes, 8) if asked.quick else asked.shapes
    run = Run.open(asked.run)
    figures = measured(run, Shapes(run), asked)
    training = run.checkpoint()
    facts = {name: value for name, value in vars(asked).items() if name not in ("run", "quick")}
    size = {name: run.config.options[name] for name in ("network", "size", "points", "observed")}
    result = {"settings": facts, "trained": size | {"step": training.step}, **figures, "machine": yardstick()}
    print(json.dumps(result, indent=1))
    if not asked.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
