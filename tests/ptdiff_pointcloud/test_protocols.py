"""Ways to compare two sets: what they fix, what papers' conventions do, and the grouping that misleads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, jensenshannon
from torch import Tensor

from ptdiff.errors import UnknownName
from ptdiff.modality import Comparison
from ptdiff_datasets.shapes import CLASSES, dense_clouds
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.metrics import occupancy
from ptdiff_pointcloud.metrics.chamfer import chamfer
from ptdiff_pointcloud.metrics.protocols import PROTOCOLS, compare
from ptdiff_pointcloud.metrics.quality import density_aware_pairs, matched
from ptdiff_pointcloud.metrics.set_metrics import Distances, grouped, outcomes


def shapes(count: int, points: int, first: int) -> Tensor:
    """Clouds of procedural shapes, every class in turn, their seeds from ``first`` on."""
    turn = np.arange(count)
    return torch.from_numpy(dense_clouds(turn % len(CLASSES), first + turn // len(CLASSES), points))


def chairs(seeds: Tensor, points: int, seed: int) -> Tensor:
    """Chairs, each with points drawn anew."""
    dense = torch.from_numpy(dense_clouds(np.full(len(seeds), CLASSES.index("chair")), seeds.numpy(), 1024))
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([cloud[torch.randperm(1024, generator=generator)[:points]] for cloud in dense])


@pytest.mark.slow
def test_two_halves_of_one_distribution_cannot_be_told_apart() -> None:
    score = compare(shapes(100, 96, 0), shapes(100, 96, 100), shapes(100, 96, 200)).scores["1nna_cd"]
    error = (score.high - score.low) / 4
    assert abs(score.value - 50) < 2 * error
    assert abs(score.floor - 50) < 2 * error


@pytest.mark.slow
def test_a_generator_of_forty_shapes_shows_on_the_full_set_and_hides_in_groups_of_eight() -> None:
    n, draws = 256, 2
    full, eight = [], []
    for draw in range(draws):
        generator = torch.Generator().manual_seed(draw)
        few = 5000 + 1000 * draw + torch.randint(40, (n,), generator=generator)
        reference, repeated = chairs(1000 * draw + torch.arange(n), 96, 0), chairs(few, 96, 1)
        distances = Distances(chamfer(repeated), chamfer(reference), chamfer(repeated, reference))
        scores = {name: o.mean for name, o in outcomes(distances, "cd").items()}
        full.append(scores["1nna_cd"])
        eight.append(grouped(distances, "cd", 8, seed=draw)["1nna_cd_by_8"].mean)
        # its own repetitions give it away, while the reference finds less that is odd
        assert scores["1nna_cd_gen"] > 95 > 75 > scores["1nna_cd_ref"]
    assert sum(full) / draws == pytest.approx(81, abs=3)
    assert sum(eight) / draws == pytest.approx(50, abs=3)


def test_every_protocol_measures_and_says_what_it_did(tmp_path: Path) -> None:
    clouds = [shapes(8, 64, first) for first in (0, 100, 200)]
    kind = PointCloud()
    assert list(kind.protocols()) == list(PROTOCOLS)
    sets = Comparison(*clouds, cache=tmp_path)
    assert kind.compare(sets) == kind.compare(sets, "full-set")
    with pytest.raises(UnknownName, match="did you mean 'pointflow'"):
        kind.compare(sets, "point-flow")
    for name, way in PROTOCOLS.items():
        if way.points is not None:
            with pytest.raises(ValueError, match=f"--points {way.points}"):
                kind.compare(sets, name)
            continue
        measured = kind.compare(sets, name)
        again = kind.compare(sets, name)
        assert measured == again
        assert measured.facts["points"] == 64 and measured.facts["clouds"] == 8
        assert len({*measured.facts["sha256"].values()}) == 3
        for score in measured.scores.values():
            assert score.low <= score.value <= score.high


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Papers' protocols with fewer points, to be quick."""
    for name, way in PROTOCOLS.items():
        if way.points is not None:
            monkeypatch.setitem(PROTOCOLS, name, replace(way, points=40))


@pytest.mark.usefixtures("sparse")
def test_papers_protocols_name_their_distances() -> None:
    sets = [shapes(3, 40, first) for first in (0, 100, 200)]
    for name, ending in (("pointflow", "emd_pointflow"), ("pvd", "emd_pytorchemd")):
        measured = compare(*sets, name)
        assert {f"1nna_{ending}", "1nna_cd", f"cov_{ending}", f"mmd_{ending}", "jsd"} <= measured.scores.keys()
        assert not any(key.endswith("_emd") for key in measured.scores)
        assert measured.facts["ties"] == "the reference's"


@pytest.mark.usefixtures("sparse")
def test_luo_brings_every_cloud_into_a_box_of_side_two() -> None:
    sets = [shapes(3, 40, first) for first in (0, 100, 200)]
    moved = [clouds * torch.tensor([[[2.0]], [[5.0]], [[0.1]]]) + 7 for clouds in sets]
    found, same = compare(*moved, "luo"), compare(*sets, "luo")
    assert found.scores["mmd_cd"].value == pytest.approx(same.scores["mmd_cd"].value, rel=1e-4)
    boxed = [(s - (s.amin(1, keepdim=True) + s.amax(1, keepdim=True)) / 2) for s in sets]
    boxed = [b / b.abs().amax((1, 2), keepdim=True) for b in boxed]
    assert found.scores["mmd_cd"].value == pytest.approx(float(chamfer(boxed[0], boxed[1]).amin(0).mean()), rel=1e-4)
    # in a box of side 1 all lengths are halved
    half = compare(*sets, "lion-box").scores["mmd_cd"].value
    assert half == pytest.approx(same.scores["mmd_cd"].value / 4, rel=1e-4)
    # and the grid of papers is too small for it
    assert found.facts["jsd"]["points_outside"] > 0.2


@pytest.mark.usefixtures("sparse")
def test_papers_protocols_call_ties_the_reference() -> None:
    twice = shapes(3, 40, 0).repeat(2, 1, 1)
    honest, paper = (compare(twice, twice, twice, name).scores for name in ("full-set", "pvd"))
    assert [honest[f"1nna_cd{half}"].value for half in ("", "_ref", "_gen")] == [50, 50, 50]
    assert [paper[f"1nna_cd{half}"].value for half in ("", "_ref", "_gen")] == [50, 100, 0]


def test_a_group_needs_clouds() -> None:
    with pytest.raises(ValueError, match="groups of 8"):
        compare(*(shapes(5, 16, first) for first in (0, 10, 20)), "grouped")


def test_a_single_cloud_is_not_a_set() -> None:
    with pytest.raises(ValueError, match="at least two clouds"):
        compare(shapes(1, 16, 0), shapes(9, 16, 10), shapes(9, 16, 20))


def test_progress_reaches_the_number_of_pairs_once() -> None:
    seen: list[tuple[int, int]] = []
    compare(*(shapes(6, 16, i) for i in (0, 10, 20)), progress=lambda *at: seen.append(at))
    assert seen[-1] == (3 * 15 + 2 * 36,) * 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_divergence_is_that_of_scipy() -> None:
    x, y = shapes(6, 200, 0) * 0.8, shapes(6, 200, 50) * 0.8
    p, q = occupancy.counts(x).sum(0), occupancy.counts(y).sum(0)
    assert p.sum() == q.sum() == 1200
    theirs = jensenshannon(p.double().numpy(), q.double().numpy(), base=2) ** 2
    assert occupancy.divergence(p, q) == pytest.approx(theirs, abs=1e-9)
    assert occupancy.divergence(p, p) == 0
    far = torch.zeros_like(p)
    far[p == 0] = 1
    assert occupancy.divergence(p, far) == pytest.approx(1)


def test_points_go_to_the_nearest_of_28_nodes_in_the_ball() -> None:
    line = np.linspace(-0.5, 0.5, 28)
    nodes = np.array([(a, b, c) for a in line for b in line for c in line])
    nodes = nodes[(nodes**2).sum(1) <= 0.25]
    cloud = torch.tensor([[0.01, 0.02, -0.2], [0.7, 0.7, 0.7], [0.0, 0.45, 0.1]])
    found = occupancy.counts(cloud[None])[0]
    assert len(found) == len(nodes)
    assert set(found.nonzero().flatten().tolist()) == set(cdist(cloud.numpy(), nodes).argmin(1).tolist())
    assert occupancy.outside(cloud[None]) == pytest.approx(1 / 3)


def test_density_aware_chamfer_and_f_score_are_their_definitions() -> None:
    x, y = shapes(3, 40, 0), shapes(3, 50, 20)
    for i, (a, b) in enumerate(zip(x.double().numpy(), y.double().numpy(), strict=True)):
        d = cdist(a, b)
        halves = []
        for m in (d, d.T):
            crowd = [sum(m.argmin(1) == j) for j in m.argmin(1)]
            halves.append(np.mean([1 - np.exp(-1000 * s.min() ** 2) / c for s, c in zip(m, crowd, strict=True)]))
        at = torch.tensor([i])
        distance, found = (values.item() for values in matched(x, y[at], at, 0.05))
        assert distance == pytest.approx(sum(halves) / 2, abs=1e-9)
        assert density_aware_pairs(x, y)(at, at).item() == distance
        precision, recall = (d.min(1) <= 0.05).mean(), (d.min(0) <= 0.05).mean()
        assert precision + recall > 0
        score = 200 * precision * recall / (precision + recall)
        assert found == pytest.approx(score)
    assert not matched(x, y + 100, torch.tensor([0, 1, 2]), 0.05)[1].any()
