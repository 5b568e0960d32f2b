"""Sets of different sizes: with an exact denoiser, padding changes no sample and no loss; files, sizes, scores."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ragged_modality import Sets  # type: ignore[import-not-found, unused-ignore]
from torch import Tensor, nn

import ptdiff
from ptdiff.choices import choose
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.oracle import Mixture
from ptdiff.errors import DataError
from ptdiff.likelihood.divergence import Exact
from ptdiff.likelihood.flow import log_likelihood
from ptdiff.likelihood.world import world_log_likelihood
from ptdiff.modality import Data, RaggedSplit
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import by_size, is_ragged, mask_of, masked, padded, per_element, sets_of, sizes_of, stacked
from ptdiff.modality.set_distances import compare_sets, nearest_sets, set_distances
from ptdiff.model.arguments import range_of
from ptdiff.model.loaded import Model
from ptdiff.model.sharded import sample_in_shards
from ptdiff.noise import Stream, normal
from ptdiff.objective.consistency import Consistency, ConsistencyObjective
from ptdiff.objective.loss import LOSSES, Objective
from ptdiff.process import Flow, Level
from ptdiff.sampling.files import write_npz
from ptdiff.sampling.options import changed
from ptdiff.sampling.sampler import Plan, drawn_sizes, walk
from ptdiff.sampling.samples import Samples
from ptdiff.solvers import ADAPTIVE, SOLVERS
from ptdiff.testing import PARTS, Subject
from ptdiff.testing import backbone_checks as network
from ptdiff.testing import data_checks as kit

SIZES = torch.tensor([2, 5, 1, 5, 3, 2])
SETTINGS: dict[str, Any] = {
    "sampling": {"solver": "heun", "steps": 12},
    "training": {"steps": 400, "batch": 64, "lr": 1e-2, "precision": "32", "threads": 1, "shards": 1,
                 "compile": False, "validations": 2},
}  # fmt: skip


class BySize:
    """The exact denoiser of sets of different sizes: for each size, that of its own finite distribution of sets.

    In the padding it returns anything, as a network may.
    """

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.exact = {n: Mixture.of_data(torch.randn(7, n, 2, generator=generator) * 1.3) for n in (1, 2, 3, 5)}

    def __call__(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        mask = cond.get("mask")
        if mask is None:
            return self.exact[x.shape[1]](x, level, {})
        out, sizes = torch.full_like(x, 77.0), mask.sum(dim=1)
        for n in sizes.unique().tolist():
            rows = sizes == n
            part = level if level.alpha.ndim == 0 else Level(level.alpha[rows], level.sigma[rows])
            out[rows, :n] = self.exact[n](x[rows, :n], part, {})
        return out


@pytest.mark.parametrize("name", [*SOLVERS, *ADAPTIVE])
def test_a_padded_set_is_sampled_as_the_same_set_alone_by_every_solver(name: str) -> None:
    plan = changed(Plan(Flow(), steps=8, seed=3), {"solver": name})
    if name not in ADAPTIVE and plan.table().stochastic:
        plan = dataclasses.replace(plan, process=choose("process", ptdiff.process.PROCESSES, {"name": "vp"}))
    ids, mask, denoiser = torch.arange(len(SIZES)) + 11, mask_of(SIZES, 6), BySize()
    states = list(walk(denoiser, plan, ids, (6, 2), {"mask": mask}))
    for state in states:
        assert state.mask is mask and bool((state.x[~mask] == 0).all())
    for i, n in enumerate(SIZES.tolist()):
        alone = deque(walk(denoiser, plan, ids[i : i + 1], (n, 2), {}), maxlen=1)[0].x
        assert torch.allclose(states[-1].x[i, :n], alone[0], atol=2e-5), (name, n)


def test_without_zeros_in_the_padding_an_adaptive_solver_would_take_other_steps() -> None:
    # the tolerance is per element: the mean of the error is over the elements, not over the padding
    plan = changed(Plan(Flow(), steps=8, seed=3), {"solver": {"name": next(iter(ADAPTIVE)), "rtol": 0.05}})
    ids, denoiser = torch.arange(len(SIZES)), BySize()
    wide = deque(walk(denoiser, plan, ids, (60, 2), {"mask": mask_of(SIZES, 60)}), maxlen=1)[0].x
    narrow = deque(walk(denoiser, plan, ids, (5, 2), {"mask": mask_of(SIZES, 5)}), maxlen=1)[0].x
    assert torch.allclose(wide[:, :5], narrow, atol=2e-5)


@pytest.mark.parametrize("prediction", ["velocity", "x0", "flow"])
@pytest.mark.parametrize("loss", [*LOSSES, {"name": "l2", "norm_p": 0.5}], ids=str)
def test_the_loss_is_per_element_and_that_of_each_size_alone(loss: Any, prediction: str) -> None:
    torch.manual_seed(0)
    net = NetworkDenoiser(Sets().backbone(Sets().dataset()), prediction)
    objective = Objective(loss=choose("loss", LOSSES, loss if isinstance(loss, dict) else {"name": loss}))
    x0, eps, mask = torch.randn(6, 7, 2), torch.randn(6, 7, 2), mask_of(SIZES, 7)
    level = Flow().level(torch.linspace(0.1, 0.9, 6))
    x0, eps = masked(x0, mask), masked(eps, mask)
    together = objective(net, x0, eps, level, {"mask": mask})
    plain = net.loss(x0, eps, level, {"mask": mask})
    consistent = ConsistencyObjective(consistency=Consistency())(net, x0, eps, level, {"mask": mask})
    for i, n in enumerate(SIZES.tolist()):
        one = slice(i, i + 1)
        here = Level(level.alpha[one], level.sigma[one])
        alone = objective(net, x0[one, :n], eps[one, :n], here, {})
        assert torch.allclose(together[one], alone, rtol=1e-5), n
        assert torch.allclose(plain[one], net.loss(x0[one, :n], eps[one, :n], here, {}), rtol=1e-5)
        other = ConsistencyObjective(consistency=Consistency())(net, x0[one, :n], eps[one, :n], here, {})
        assert torch.allclose(consistent[one], other, rtol=1e-3)


class Standard(nn.Module):
    """The exact network of data from N(0, I): the velocity is zero on average."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        return x * self.zero


def test_the_likelihood_of_a_set_is_that_of_its_elements_alone() -> None:
    data = Data((6, 2), mean=(1.0, 2.0), scale=3.0, unordered=True)
    mask = mask_of(SIZES, 6)
    x = data.world(torch.randn(6, 6, 2, generator=torch.Generator().manual_seed(1)))
    denoiser = NetworkDenoiser(Standard())
    found = world_log_likelihood(denoiser, data, x, {"mask": mask}, divergence=Exact())
    same = world_log_likelihood(denoiser, data, padded(x, mask), divergence=Exact())
    assert torch.equal(found.nats, same.nats)
    z, d = masked(data.normalize(x), mask).double(), 2 * SIZES
    exact = -0.5 * z.square().sum(dim=(1, 2)) - d * (0.5 * math.log(2 * math.pi) + math.log(3))
    # data with noise of 0.001
    assert torch.allclose(found.nats, exact, atol=1e-4)
    assert torch.allclose(found.bits_per_dimension, -exact / d / math.log(2), atol=1e-4)
    assert found.negative()["nats_per_point"].value == pytest.approx(float((-exact / SIZES).mean()), abs=1e-4)
    with pytest.raises(ValueError, match="one call for each size"):
        log_likelihood(denoiser, x, {"mask": mask})


def test_scale_and_sizes_are_measured_without_padding() -> None:
    data = Sets().dataset()
    split = data.train
    assert isinstance(split, RaggedSplit)
    elements = split.elements
    assert data.mean == pytest.approx(tuple(elements.mean(dim=0).tolist()), abs=1e-5)
    assert data.scale == pytest.approx(float((elements - elements.mean(dim=0)).square().mean().sqrt()), abs=1e-5)
    counts = {(n, k): 0 for n, k, _ in data.sizes}
    for n, k in zip(split.sizes.tolist(), split.given["label"].tolist(), strict=True):
        counts[n, k] += 1
    assert {(n, k): times for n, k, times in data.sizes} == counts
    assert Data.from_facts(json.loads(json.dumps(data.facts()))).sizes == data.sizes
    # all sets move between two places: the widest direction is that of eight points together
    assert 1.5 < data.spread < 4
    unordered = dataclasses.replace(data, unordered=False)
    with pytest.raises(ValueError, match="need unordered=True"):
        unordered.measured()


@pytest.mark.parametrize(
    "wrong", [[[9, 0, 1]], [[0, 0, 1]], [[3, 0]], [[3, 0, 0]], [[3, -2, 1]], [[3.0, 0, 1]], [3], {"3": 1}]
)
def test_damaged_sizes_are_refused(wrong: Any) -> None:
    facts = Sets().dataset().facts()
    with pytest.raises((TypeError, ValueError)):
        Data.from_facts({**facts, "sizes": wrong})


def test_sizes_are_drawn_as_in_the_data_of_the_class_and_belong_to_the_sample() -> None:
    data = Sets().dataset()
    ids = torch.arange(4000)
    label = ids % 2
    sizes = drawn_sizes(data, ids, 5, labels=label)
    assert torch.equal(drawn_sizes(data, ids[100:103], 5, labels=label[100:103]), sizes[100:103])
    assert not torch.equal(drawn_sizes(data, ids, 6, labels=label), sizes)
    for k in (0, 1):
        rows = [(n, times) for n, of, times in data.sizes if of == k]
        total = sum(times for _, times in rows)
        for n, times in rows:
            share = float((sizes[label == k] == n).double().mean())
            assert share == pytest.approx(times / total, abs=4 * math.sqrt(0.25 / 2000))
        assert {int(n) for n in sizes[label == k]} == {n for n, _ in rows}
    # without a class, or with one that the data does not have, all sizes
    for other in (None, torch.full((4000,), -1), torch.full((4000,), 7)):
        assert {int(n) for n in drawn_sizes(data, ids, 5, labels=other)} == {3, 4, 5, 6, 7, 8}
    evenly = drawn_sizes(data, ids, 5, (12, 20)).bincount(minlength=21)
    assert evenly[:12].sum() == 0 and (evenly[12:] - 4000 / 9).abs().max() < 5 * math.sqrt(4000 / 9)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of sets of different sizes."""
    return ptdiff.train(Sets(), out=tmp_path_factory.mktemp("run") / "run", **SETTINGS)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """The modality for the checks of the kit."""
    return Subject(Sets())


@pytest.mark.parametrize(
    "check", [check for part in PARTS if part != "package" for check in PARTS[part]], ids=lambda check: check.__name__
)
def test_the_modality_conforms(check: Any, subject: Subject) -> None:
    check(subject)


def test_a_network_that_reads_padding_is_found() -> None:
    with pytest.raises(AssertionError, match="padding changes the output"):
        network.padding_changes_nothing(Subject(Sets(ignores_mask=True)))


class Remasked:
    """A split with another mask."""

    def __init__(self, inner: Any, change: Any) -> None:
        self.inner, self.change = inner, change

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, ids: Tensor, seed: int) -> Any:
        x, cond = self.inner.batch(ids, seed)
        mask = self.change(cond["mask"])
        return torch.nan_to_num(x), {"label": cond["label"], **({} if mask is None else {"mask": mask})}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda mask: mask.long(), "must be bool"),
        (lambda mask: mask[:, :5], "must be bool"),
        (lambda mask: mask.flip(1), "padding only after"),
        (lambda mask: mask & False, "at least one element"),
        (lambda mask: None, "need a 'mask'"),
    ],
)
def test_a_wrong_mask_is_found(change: Any, message: str) -> None:
    subject = Subject(Sets())
    subject.data_or_error = dataclasses.replace(subject.data, train=Remasked(subject.data.train, change))
    with pytest.raises(AssertionError, match=message):
        kit.batches_have_the_declared_shape(subject)


def test_samples_have_the_sizes_of_their_class_and_lie_where_it_does(model: Model) -> None:
    samples = model.sample(60)
    assert is_ragged(samples.samples) and samples.samples.shape[0] == 60
    for one, label in zip(samples.sets, samples.labels.tolist(), strict=True):
        assert (len(one) in (3, 4, 5)) == (label == 0)
        assert bool(one.isfinite().all())
    few, many = (torch.cat([s for s, k in zip(samples.sets, samples.labels, strict=True) if k == i]) for i in (0, 1))
    assert few.mean(dim=0).tolist() == pytest.approx([-4, 1], abs=0.6)
    assert many.mean(dim=0).tolist() == pytest.approx([4, 3], abs=0.6)
    assert 0.6 < float(few.std(dim=0).mean()) < 1.4


def test_a_sample_is_the_same_alone_in_any_batch_and_by_workers(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    import ptdiff.model.sharded as sharded

    whole = model.sample(9, seed=4).sets
    parts = model.sample(9, seed=4, batch=2).sets
    alone = [model.sample(1, first=i, label=i % 2, seed=4).sets[0] for i in range(9)]
    monkeypatch.setattr(sharded, "_loaded", lambda *_: model)
    there = dataclasses.replace(model, run=dataclasses.replace(model.run, kind=None))

    class Here:
        def map(self, make: Any, shards: Any) -> Any:
            return map(make, shards)

    apart = sample_in_shards(there, 9, Here(), seed=4, batch=2)[0].sets
    again = sample_in_shards(there, 9, Here(), seed=4, batch=2)[0].sets
    for i in range(9):
        for other in (parts, alone, apart, again):
            assert whole[i].shape == other[i].shape
            assert torch.allclose(whole[i], other[i], atol=1e-4)


def test_the_number_of_elements_can_be_given(model: Model) -> None:
    assert tuple(model.sample(4, points=12).samples.shape) == (4, 12, 2)
    assert {len(one) for one in model.sample(60, points="12..14").sets} == {12, 13, 14}
    assert {len(one) for one in model.sample(60, points=(12, 14)).sets} == {12, 13, 14}
    assert tuple(model.sample(4, points="12..12").samples.shape) == (4, 12, 2)
    # the first elements of a larger set keep their noise
    assert model.shape("12..14") == (14, 2)
    for wrong in ("14..12", "0", 0, "a..b", "1..2..3", "", (1, 2, 3), True, 2.5):
        with pytest.raises(ValueError, match="points must be"):
            model.sample(2, points=wrong)  # type: ignore[arg-type]
    assert range_of("5") == (5, 5)


def test_trajectories_and_states_have_no_content_in_the_padding(model: Model) -> None:
    samples = model.sample(5, trajectory=True)
    assert samples.trajectory is not None
    for state in samples.trajectory:
        assert torch.equal(state.isnan(), samples.samples.isnan())
    *_, last = model.states(5)
    assert torch.allclose(model.finish(last), samples.samples, atol=1e-4, equal_nan=True)


def test_settings_that_compare_elements_are_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="threshold dynamic is not defined for sets of different sizes"):
        model.sample(2, threshold="dynamic")
    with pytest.raises(ValueError, match="guidance with phi is not defined"):
        model.sample(2, guidance={"scale": 2.0, "phi": 0.5})
    assert len(model.sample(2, points=4, threshold="dynamic")) == 2
    low = model.sample(6, threshold={"name": "static", "low": 1.0, "high": 6.0})
    assert all(float(one.min()) >= 0.9 for one in low.sets)


def test_files_hold_the_sets_one_after_the_other(model: Model, tmp_path: Path) -> None:
    made = model.sample(5, trajectory=True)
    path = made.save(tmp_path / "x.npz")
    with np.load(path) as file:
        assert file["samples"].shape == (sum(map(len, made.sets)), 2) and np.isfinite(file["samples"]).all()
        ends = file["offsets"]
        for i, one in enumerate(made.sets):
            assert np.array_equal(file["samples"][ends[i] : ends[i + 1]], one.numpy())
    again = Samples.read(path, model.modality)
    assert np.array_equal(again.stored.samples, made.stored.samples, equal_nan=True)
    assert np.array_equal(again.stored.trajectory, made.stored.trajectory, equal_nan=True)  # type: ignore[arg-type]
    folder = made.save(tmp_path / "sets", "txt")
    assert [len(np.loadtxt(one)) for one in sorted(folder.iterdir())] == list(map(len, made.sets))
    assert made.first(2).stored.samples.shape[0] == 2
    for suffix in ("png", "gif"):
        assert made.render(tmp_path / f"x.{suffix}").stat().st_size > 0
    assert torch.equal(model.likelihood(again).nats, model.likelihood(made).nats)


@pytest.mark.parametrize(
    "offsets",
    [[0, 3], [1, 6], [0, 3, 3, 6], [0, 7], [0, 4, 2, 6], [0], [[0, 6]], [0.0, 6.0]],
    ids=str,
)
def test_damaged_offsets_are_refused(tmp_path: Path, offsets: Any) -> None:
    path = tmp_path / "x.npz"
    write_npz(path, samples=np.zeros((6, 2), np.float32), offsets=np.array(offsets))
    with pytest.raises(DataError, match="'offsets'"):
        Samples.read(path, Sets())


def test_a_small_file_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    path, many = tmp_path / "x.npz", 200_000
    ends = np.concatenate([[0], np.arange(many) + 50_001])
    write_npz(path, samples=np.zeros((many + 50_000, 2), np.float32), offsets=ends)
    with pytest.raises(DataError, match="differ too much"):
        Samples.read(path, Sets())


def test_scores_know_sets_from_noise_and_their_sizes() -> None:
    data = Sets().dataset()
    assert isinstance(data.train, RaggedSplit)
    x = data.train.batch(torch.arange(120), 0)[0]
    good = compare_sets(x[:40], x[40:80], x[80:])
    noise = torch.where(x[:40].isnan(), x[:40], torch.randn(40, 8, 2) * 3)
    bad = compare_sets(noise, x[40:80], x[80:])
    assert bad["energy"].value > 3 * good["energy"].value and bad["energy"].low > good["energy"].high
    small = compare_sets(x[:40, :3], x[40:80], x[80:])
    assert small["sizes"].value == pytest.approx(float((sizes_of(x[40:80]) - 3).float().mean()))
    assert small["sizes"].low <= small["sizes"].value <= small["sizes"].high
    assert good["sizes"].value < 0.8 and good["sizes"].floor < 0.8


def test_the_distance_of_sets_is_right_by_hand_and_has_no_order() -> None:
    nan = math.nan
    one, two = torch.tensor([[[0.0], [nan], [nan]]]), torch.tensor([[[3.0], [1.0], [nan]]])
    # 2 E|a-b| = 4, E|b-b'| = 1
    assert set_distances(one, two).item() == pytest.approx(math.sqrt(3))
    assert set_distances(two, torch.tensor([[[1.0], [3.0]]])).item() == 0
    distance, which = nearest_sets(one, torch.cat([two, one]))
    assert distance.item() == 0 and which.item() == 1


def test_a_run_of_sets_is_evaluated_and_its_likelihood_known(model: Model) -> None:
    from ptdiff.model.likelihoods import split_likelihood

    found = model.evaluate(n=40)
    assert sorted(found.scores) == ["energy", "memorization", "sizes"]
    assert all(math.isfinite(score.value) for score in found.scores.values())
    assert found.scores["sizes"].value < 1.0
    known = split_likelihood(dataclasses.replace(model, data=Sets().dataset()), 12, divergence=Exact())
    assert known.likelihood.sizes is not None and len(known.likelihood.nats) == 12
    one = known.likelihood
    alone = model.likelihood(_set(int(known.ids[0])), label=int(known.cond["label"][0]), divergence=Exact())
    assert float(alone.nats) == pytest.approx(float(one.nats[0]), abs=1e-3)
    json.dumps(known.to_json())


def _set(i: int) -> Tensor:
    val = Sets().dataset().val
    assert isinstance(val, RaggedSplit)
    x, cond = val.batch(torch.tensor([i]), 0)
    return x[:, : int(cond["mask"].sum())]


def test_training_sees_no_padding(tmp_path: Path) -> None:
    from ptdiff.run.folder import Run
    from ptdiff.training.module import DiffusionModule
    from ptdiff.training.train import train_run

    kind = Sets()
    short = {**SETTINGS, "training": {**SETTINGS["training"], "steps": 1, "batch": 16}}
    run = train_run(tmp_path / "run", {"modality": "sets", **short}, kind=kind)
    config = Run.open(run.path, kind=kind).config
    module = DiffusionModule(run.denoiser(), kind.dataset(), config)
    (random,) = module.randomness(range(1))
    losses, _ = module.losses(0, random)
    x, cond = module.batch(0, random.hidden)
    assert bool((x[~cond["mask"]] == 0).all()) and not bool(x.isnan().any())
    for i, n in enumerate(cond["mask"].sum(dim=1).tolist()):
        one = slice(i, i + 1)
        told = {"label": cond["label"][one]}
        part = dataclasses.replace(random.part(one), eps=random.eps[one, :n])
        assert torch.allclose(module.losses_of(x[one, :n], told, part), losses[one], rtol=1e-4)
    coupled = {**short, "coupling": {"name": "ot"}}
    with pytest.raises(ValueError, match="need the coupling independent"):
        train_run(tmp_path / "coupled", {"modality": "sets", **coupled}, kind=kind)


def test_padding_helpers() -> None:
    x = torch.arange(24.0).reshape(2, 4, 3)
    mask = mask_of(torch.tensor([1, 4]), 4)
    holes = padded(x, mask)
    assert sizes_of(holes).tolist() == [1, 4] and sizes_of(holes.numpy()).tolist() == [1, 4]
    assert [len(one) for one in sets_of(holes.numpy())] == [1, 4]
    assert sets_of(x.numpy()) is not None and sets_of(x.numpy()).dtype == np.float32
    assert torch.equal(by_size(holes, lambda part: part + 1).nan_to_num(), (holes + 1).nan_to_num())
    assert stacked([holes[:, :2], holes]).shape == (4, 4, 3)
    assert torch.allclose(per_element(torch.ones(2), mask), torch.tensor([4.0, 1.0]))
    for bad in (
        torch.full((1, 2, 1), math.nan),
        torch.tensor([[[math.nan], [1.0]]]),
        torch.tensor([[[1.0, math.nan]]]),
    ):
        with pytest.raises(ValueError, match="at least one element"):
            sizes_of(bad)
    with pytest.raises(ValueError, match="between 1 and 2 elements"):
        RaggedSplit([torch.zeros(3, 2)], largest=2)
    with pytest.raises(ValueError, match="1 sets but 2 values of label"):
        RaggedSplit([torch.zeros(3, 2)], torch.zeros(2))
    assert normal(0, Stream.START, torch.arange(2), 0, (3, 2)).shape == (2, 3, 2)
