"""Protocols that compare two sets of clouds, by name: an honest one, those of papers, and a misleading one.

A protocol fixes everything that scores depend on besides the clouds: the normalization of coordinates, the number of
points per cloud, the distances, the treatment of ties, and the grid of the Jensen-Shannon divergence. docs/metrics.md
lists the sources.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.machine import host
from ptdiff.machine.engines import Engine
from ptdiff.metrics import Array, Score, bootstrap, tensors
from ptdiff.modality import EvaluationProtocol, Measurement, Progress
from ptdiff_pointcloud.metrics import occupancy
from ptdiff_pointcloud.metrics.chamfer import checked
from ptdiff_pointcloud.metrics.distances import DISTANCES, all_distances
from ptdiff_pointcloud.metrics.matrix_store import content_hash
from ptdiff_pointcloud.metrics.quality import matched
from ptdiff_pointcloud.metrics.set_metrics import Distances, Outcomes, each_alone, grouped, outcomes
from ptdiff_pointcloud.metrics.tiles import Wanted, compute_matrices


@dataclass(frozen=True)
class Protocol(EvaluationProtocol):
    """Settings of a comparison between two sets of clouds.

    points: number of points used of each cloud, the first ones; None for as many as all have.
    box: half side of the box that each cloud is scaled into, its longest side filling it; None keeps the coordinates.
    tie: weight with which a tie between the sets counts as the reference's.
    unit_ball: the grid of the JSD covers the ball of diameter 1 around 0, not the reference's own ball.
    group: also score groups of this many clouds.
    matched: density-aware Chamfer distance and F-score of every reference cloud with its match.
    """

    distances: tuple[str, ...] = ("cd",)
    points: int | None = None
    box: float | None = None
    tie: float = 0.5
    unit_ball: bool = False
    group: int | None = None
    matched: bool = False

    @property
    def normalization(self) -> str:
        """Normalization of the coordinates, in words."""
        return "none: world units" if self.box is None else f"each cloud into the box [-{self.box:g}, {self.box:g}]^3"


PROTOCOLS: Catalog[Protocol] = Catalog(
    "protocol",
    {
        "full-set": Protocol("full set, squared Chamfer (sum of two means), world units", matched=True),
        "exact-emd": Protocol(
            "full set, exact EMD (mean length of the best assignment), 512 points", ("emd_exact",), 512
        ),
        "pointflow": Protocol(
            "PointFlow's: CD and its approximate EMD, 2,048 points", ("cd", "emd_pointflow"), 2048, None, 1.0, True
        ),
        "pvd": Protocol("PVD's: CD and PyTorchEMD, 2,048 points", ("cd", "emd_pytorchemd"), 2048, None, 1.0, True),
        "lion": Protocol(
            "LION's for one class: CD and PyTorchEMD, 2,048 points", ("cd", "emd_pytorchemd"), 2048, None, 1.0, True
        ),
        "lion-box": Protocol(
            "LION's for many classes: as lion, clouds in boxes of side 1",
            ("cd", "emd_pytorchemd"),
            2048,
            0.5,
            1.0,
            True,
        ),
        "luo": Protocol("Luo and Hu's: CD, 2,048 points, each cloud in a box of side 2", ("cd",), 2048, 1.0, 1.0, True),
        "grouped": Protocol("to see how groups of eight mislead: the same as full-set, also in groups", group=8),
    },
)


def compare(
    samples: Array,
    reference: Array,
    training: Array | None = None,
    protocol: str = "full-set",
    seed: int = 0,
    progress: Progress | None = None,
    cache: Path | None = None,
    device: str = "auto",
    engine: Engine | None = None,
) -> Measurement:
    """Score ``samples`` against ``reference``; for the floor ``training`` takes the place of the samples.

    (n, points, 3) each, in world units. The smallest n and the smallest number of points of the sets are used: the
    scores depend on both. Without ``training`` the floors are NaN. ``progress(done, total)`` counts pairs of clouds;
    ``cache`` is a folder for distance matrices. ``device``, by name, computes the distances that are fast on a GPU.
    ``engine`` lets workers compute the distances, by way of ``cache``. The scores are the same, bit for bit, except for
    approximate earth mover's distances, whose last digits depend on how pairs are batched.
    ValueError for fewer than two clouds, too few points for the protocol, or an engine without a cache.
    """
    way, where = PROTOCOLS[protocol], host.device(device)
    sets = _alike(way, *tensors(samples, reference, *([] if training is None else [training])))
    reference, n = sets[1], len(sets[1])
    compared = [sets[0], *sets[2:]]
    if engine is not None:
        if cache is None:
            raise ValueError("workers need a folder for the distances: give a cache")
        others = [0, *range(2, len(sets))]
        parts = [(1, None), *((k, None) for k in others), *((1, k) for k in others)]
        wanted = [Wanted(kind, *part) for kind in way.distances for part in parts]
        nearest = way.group is None
        compute_matrices(sets, wanted, engine, nearest=nearest, cache=cache, device=str(where), progress=progress)
        progress = None
    count = _Count(way, n, len(compared), progress)
    found: list[dict[str, Outcomes]] = [{} for _ in compared]
    for kind in way.distances:

        def distances(x: Tensor, y: Tensor | None = None, kind: str = kind) -> Tensor:
            x = x.to(where) if DISTANCES[kind].card else x
            report = count.part(n * (n - 1) // 2 if y is None and DISTANCES[kind].symmetric else n * n)
            return all_distances(kind, x, y, nearest=way.group is None, cache=cache, progress=report)

        among = distances(reference)
        for scores, x in zip(found, compared, strict=True):
            # the reference comes first, as in papers' code: approximations are not quite symmetric
            between = Distances(distances(x), among, distances(reference, x).T)
            scores |= outcomes(between, kind, way.tie)
            if way.group is not None:
                scores |= grouped(between, kind, way.group, seed)
            if way.matched:
                scores |= _matched(x, reference, between.between.argmin(0))
    generated, *real = found
    floors = {name: real[0][name].mean if real else math.nan for name in generated}
    result = {name: Score(o.mean, *o.interval(seed), floors[name]) for name, o in generated.items()}
    result["jsd"] = _occupancy(way, sets, seed)
    return Measurement(result, _facts(way, sets))


def _alike(way: Protocol, *sets: Tensor) -> list[Tensor]:
    checked(*sets)
    n, points = min(map(len, sets)), min(clouds.shape[1] for clouds in sets)
    if n < 2:
        raise ValueError(
            "at least two clouds of each kind are needed to compare them, not "
            + ", ".join(f"{len(s)} {w}" for s, w in zip(sets, ("generated", "reference", "training"), strict=False))
        )
    if way.points is not None:
        if points < way.points:
            raise ValueError(f"this protocol needs clouds of {way.points} points, not {points} (--points {way.points})")
        points = way.points
    # the points of a cloud are independent draws from its surface: the first ones are as good as any
    return [_boxed(clouds[:n, :points], way.box) for clouds in sets]


def _boxed(clouds: Tensor, box: float | None) -> Tensor:
    if box is None:
        return clouds
    low, high = clouds.amin(1, keepdim=True), clouds.amax(1, keepdim=True)
    side = (high - low).amax(2, keepdim=True)
    if not (side > 0).all():
        raise ValueError("a cloud whose points all coincide cannot be scaled into a box")
    return (clouds - (low + high) / 2) / (side / 2) * box


def _matched(x: Tensor, reference: Tensor, match: Tensor) -> dict[str, Outcomes]:
    """Score every reference cloud with the nearest of x; lengths in units of the reference's mean diagonal."""
    unit = float((reference.amax(1) - reference.amin(1)).double().norm(dim=1).mean())
    distances, scores = matched(x.double() / unit, reference.double() / unit, match, tau=0.01)
    return {"dcd": each_alone(distances), "fscore_1%": each_alone(scores)}


def _occupancy(way: Protocol, sets: list[Tensor], seed: int) -> Score:
    if not way.unit_ball:
        center, radius = occupancy.ball_of(sets[1])
        sets = [(s.double() - center) / (2 * radius) for s in sets]
    samples, reference, *training = sets
    each, real = occupancy.counts(samples), occupancy.counts(reference).sum(0)

    def of(rows: Tensor) -> float:
        return occupancy.divergence(torch.bincount(rows, minlength=len(each)).float() @ each, real)

    low, high = bootstrap(of, len(each), seed=seed)
    value = of(torch.arange(len(each)))
    floor = occupancy.divergence(occupancy.counts(training[0]).sum(0), real) if training else math.nan
    return Score(value, max(0.0, low), min(1.0, high), floor)


def _facts(way: Protocol, sets: list[Tensor]) -> Mapping[str, object]:
    return {
        "clouds": len(sets[0]),
        "points": sets[0].shape[1],
        "normalization": way.normalization,
        "distances": {kind: DISTANCES[kind].summary for kind in way.distances},
        "ties": "one half" if way.tie == 0.5 else "the reference's",
        "jsd": {
            "grid": "28^3, ball of diameter 1 around 0" if way.unit_ball else "28^3, the reference's own ball",
            **({"points_outside": occupancy.outside(sets[0])} if way.unit_ball else {}),
        },
        "sha256": {name: content_hash(s) for name, s in zip(("samples", "reference", "training"), sets, strict=False)},
    }


class _Count:
    """One progress bar for all matrices."""

    def __init__(self, way: Protocol, n: int, sets: int, progress: Progress | None) -> None:
        halves = [n * (n - 1) // 2 if DISTANCES[kind].symmetric else n * n for kind in way.distances]
        # among the reference and every compared set, and between it and each of them
        self.total = sum((1 + sets) * half + sets * n * n for half in halves)
        self.before, self.progress = 0, progress

    def part(self, pairs: int) -> Progress | None:
        """Return the part of the bar for the next ``pairs``."""
        progress, before = self.progress, self.before
        self.before += pairs
        if progress is None:
            return None
        return lambda done, total: progress(before + done * pairs // max(total, 1), self.total)
