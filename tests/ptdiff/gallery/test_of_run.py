"""Pictures of a run, drawn of exact denoisers: what is laid on the page is what the theory says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.gallery import OF_RUN, THEORY, conditions, curves, solvers_of_run, strips
from ptdiff.gallery.scene import AT, Scene
from ptdiff.modality import Modality, Unsupported, Visualizer
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.model import Model
from ptdiff.process import VE, Chain, Flow, Process
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers import ADAPTIVE


class Recorder(Visualizer):
    """Remembers what it was shown; the gray of a picture is the mean of its samples, 128 at zero."""

    def __init__(self, many: int) -> None:
        self.many = many  # type: ignore[misc]
        self.shown: list[tuple[Any, list[str]]] = []

    def sheet(self, samples: Any, titles: Sequence[str]) -> Any:
        return self.tile(samples, titles, 20)

    def tile(self, samples: Any, titles: Sequence[str], side: int) -> Any:
        self.shown.append((np.asarray(samples), list(titles)))
        return np.full((20, 20, 3), int(np.clip(128 + 20 * np.mean(samples), 1, 254)), dtype=np.uint8)


@dataclass(frozen=True)
class Kind(Modality):
    """Draws with a recorder."""

    recorder: Recorder = field(default_factory=lambda: Recorder(20))

    def dataset(self) -> Data:
        raise NotImplementedError

    def backbone(self, data: Data) -> nn.Module:
        raise NotImplementedError

    def visualizer(self) -> Visualizer:
        return self.recorder


class Exact(nn.Module):
    """An exact denoiser that has a device."""

    def __init__(self, oracle: Any) -> None:
        super().__init__()
        self.oracle = oracle
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, x: Tensor, level: Any, cond: Any) -> Tensor:
        found: Tensor = self.oracle(x, level, cond)
        return found


NORMAL = Gaussian(torch.zeros(2), torch.ones(2))
MODES = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
LABELED = Mixture(MODES, torch.full((2,), 0.1), torch.full((2,), 0.5), torch.arange(2))


def scene(
    oracle: Any = NORMAL, *, many: int = 20, process: Process | None = None, steps: int = 10, **data: Any
) -> Scene:
    """Data of world units 10 + 2 z, two numbers each, from 200 samples of the oracle."""
    ids = torch.arange(200)
    x = 10 + 2 * oracle.sample(3, ids)
    given = {
        "shape": (2,),
        "mean": 10.0,
        "scale": 2.0,
        "train": TensorSplit(x),
        "val": TensorSplit(x + 0.01),
    } | data
    process = Flow() if process is None else process
    run: Any = SimpleNamespace(path=Path("somewhere"), means=True, denoiser=lambda weights: Exact(oracle))
    denoiser: Any = Exact(oracle)
    plan = Plan(process, steps=steps)
    return Scene(Model(run, Kind(Recorder(many)), Data(**given), denoiser, plan))


def shown(of: Scene) -> list[tuple[Any, list[str]]]:
    assert isinstance(of.visualizer, Recorder)
    return of.visualizer.shown


def test_every_picture_says_in_a_line_what_it_shows() -> None:
    assert not set(OF_RUN) & set(THEORY)
    for draw in OF_RUN.values():
        line = (draw.__doc__ or "").splitlines()[0]
        assert line.endswith(".") and len(line) <= 105


def test_the_forward_strip_goes_from_data_to_noise_in_world_units() -> None:
    of = replace(scene(many=2000), count=200, at=(1.0, 0.0, 0.5))
    strips.forward(of)
    (clean, _), (half, _), (noise, _) = shown(of)
    assert of.data.train is not None
    at_hand = of.data.train.batch(torch.arange(200), 0)[0].numpy()
    assert np.sort(clean, axis=0) == pytest.approx(np.sort(at_hand, axis=0), abs=1e-5)
    # x_1 is the noise alone, and x_1/2 the sum of both at unit variance
    assert half - 10 == pytest.approx(((clean - 10) + (noise - 10)) / 2**0.5, abs=1e-4)
    assert noise.std() == pytest.approx(2, rel=0.1) and noise.mean() == pytest.approx(10, abs=0.3)


def test_things_have_a_row_each_and_points_share_a_picture() -> None:
    things, points = scene(), scene(many=2000)
    assert strips.forward(things).shape[0] > 4 * 20 > strips.forward(points).shape[0] - 50
    assert [len(x) for x, _ in shown(things)] == [1] * 4 * len(AT)
    assert [len(x) for x, _ in shown(points)] == [200] * len(AT)


@pytest.mark.parametrize("process", [Flow(), VE(), Chain()])
def test_the_reverse_strip_takes_the_states_next_to_its_times(process: Process) -> None:
    of = replace(scene(many=2000, process=process, steps=40), count=500, at=(0.0, 0.3, 1.0))
    passed = strips.passed(of)
    assert passed[0] == pytest.approx(1) and passed[-1] == pytest.approx(0, abs=1e-6) and len(passed) == 41
    strips.reverse(of)
    states = [x for x, _ in shown(of)]
    assert len(states) == 3
    # normal data: every state, at unit variance, is distributed as the data
    for state in states:
        assert state.mean() == pytest.approx(10, abs=0.3) and state.std() == pytest.approx(2, rel=0.1)
    assert of.moment(0.3) == ("step 300" if isinstance(process, Chain) else "t = 0.3")


def test_a_film_shows_every_state_once_and_holds_the_last() -> None:
    of = scene(steps=12)
    frames = strips.film(of)
    assert len(shown(of)) == 13 and len(frames) == 13 + strips.HELD
    assert (frames[-1] == frames[12]).all()
    long = scene(steps=500)
    assert len(strips.film(long)) == strips.FRAMES + 1 + strips.HELD
    ends = long.samples(long.ids(16), {})
    assert shown(long)[-1][0] == pytest.approx(ends.numpy(), abs=1e-5)


def test_an_adaptive_solver_has_no_strip() -> None:
    of = scene()
    adaptive = replace(of, model=replace(of.model, plan=replace(of.plan, solver=ADAPTIVE["dopri5"]())))
    with pytest.raises(Unsupported, match="adaptive"):
        strips.reverse(adaptive)


def test_the_denoiser_picture_pairs_what_is_seen_with_its_estimate() -> None:
    of = replace(scene(LABELED, many=2000), count=200, at=(0.0, 1.0))
    strips.denoiser(of)
    inputs, outputs = shown(of)[0::2], shown(of)[1::2]
    # clean data is its own estimate, that of pure noise is the mean
    assert outputs[0][0] == pytest.approx(inputs[0][0], abs=1e-5)
    assert outputs[1][0] == pytest.approx(np.broadcast_to([10.0, 10.0], (200, 2)), abs=1e-4)


def test_every_column_of_classes_holds_its_class() -> None:
    of = scene(LABELED, classes=("left", "right"))
    conditions.classes(of)
    columns = [x for x, _ in shown(of)]
    assert [float(np.sign(x[0, 0] - 10)) for x in columns] == [-1.0] * 4 + [1.0] * 4
    points = scene(LABELED, many=2000, classes=("left", "right"))
    conditions.classes(points)
    assert [set(titles) for _, titles in shown(points)] == [{"left"}, {"right"}]


@pytest.mark.parametrize(("classes", "each"), [(13, 4), (41, 1), (150, 1)])
def test_all_of_many_classes_are_shown_below_each_other(classes: int, each: int) -> None:
    modes = torch.stack([torch.arange(classes), torch.arange(classes)], dim=1).float()
    oracle = Mixture(modes, torch.full((classes,), 0.01), torch.full((classes,), 1 / classes), torch.arange(classes))
    of = scene(oracle, classes=tuple(map(str, range(classes))), mean=0.0, scale=1.0)
    sheet = conditions.classes(of)
    found = [round(float(x.mean())) for x, _ in shown(of)]
    assert found == [k for k in range(min(classes, 120)) for _ in range(each)]
    assert sheet.shape[1] < 10 * 60
    assert sheet.shape[0] > (min(classes, 120) / 10) * (each * 20 + 30)
    three = scene(oracle, classes=tuple(map(str, range(classes))), mean=0.0, scale=1.0)
    conditions.classes(replace(three, count=3))
    assert len(shown(three)) == 3 * min(classes, 120)


def test_guidance_of_zero_forgets_the_class_and_larger_scales_part_the_classes() -> None:
    of = replace(scene(LABELED, many=2000, classes=("left", "right")), count=400)
    conditions.guidance(of)
    gaps = []
    for x, titles in shown(of):
        right = np.array(titles) == "right"
        gaps.append(x[right, 0].mean() - x[~right, 0].mean())
    # the modes lie at -1 and 1, 2 world units for each
    assert abs(gaps[0]) < 0.6 and gaps[1] == pytest.approx(4, rel=0.02)
    assert gaps[1] <= gaps[2] <= gaps[3]


def test_without_classes_there_is_nothing_to_guide_by() -> None:
    for draw in (conditions.classes, conditions.guidance):
        with pytest.raises(Unsupported, match="without classes"):
            draw(scene())
    with pytest.raises(Unsupported, match="sets"):
        conditions.points(scene())


def test_sets_are_drawn_with_fewer_and_more_points() -> None:
    mean = Gaussian(torch.zeros(1, 2), torch.ones(1, 2))
    x = torch.randn(20, 8, 2, generator=torch.Generator().manual_seed(0))
    of = scene(NORMAL, shape=(8, 2), unordered=True, train=TensorSplit(x))
    conditions.points(replace(of, model=replace(of.model, denoiser=Exact(mean))))  # type: ignore[arg-type]
    assert [x.shape for x, _ in shown(of)] == [(1, n, 2) for n in (2, 4, 8, 16, 32) for _ in range(2)]


def notes(monkeypatch: pytest.MonkeyPatch, draw: Any, of: Scene) -> list[list[str]]:
    """What is written under the pictures."""
    found: list[Any] = []

    def page(rows: Any, columns: Any = (), names: Any = (), notes: Any = ()) -> Any:
        found.extend(notes)
        return np.zeros((1, 1, 3), dtype=np.uint8)

    monkeypatch.setattr(solvers_of_run, "page", page)
    draw(of)
    return found


def test_the_spread_of_normal_data_is_that_of_the_noise_that_the_chain_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the limit of many steps samples of N(0, 1) have k times its deviation where the noise has k times its own."""
    data = TensorSplit(10 + 2 * NORMAL.sample(3, torch.arange(1000)))
    found = notes(monkeypatch, solvers_of_run.variance, scene(many=1000, train=data))
    spread = dict(zip(solvers_of_run.LADDER, [float(note.split()[-1]) for note in found[0]], strict=True))
    assert spread["noise x 0.5"] == pytest.approx(0.5, rel=0.12)
    assert spread["x 1, posterior"] == pytest.approx(1, rel=0.12) == spread["x 1, upper (beta)"]
    assert spread["x 2"] == pytest.approx(2, rel=0.12)
    assert spread["fading out"] < 0.3


def test_solvers_come_nearer_with_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    found = notes(monkeypatch, solvers_of_run.solvers, replace(scene(LABELED), count=16))
    rms = {
        name: [float(note.split()[1]) for note in row] for name, row in zip(solvers_of_run.COMPARED, found, strict=True)
    }
    for name in solvers_of_run.COMPARED:
        assert rms[name][-1] < 0.6 * rms[name][0], name
    assert rms["heun"][-1] < 0.3 * rms["ddim"][-1] and rms["dpm++2m"][-1] < rms["ddim"][-1]


def test_the_optimal_denoiser_has_no_regret_and_the_mean_alone_has_some() -> None:
    of = scene(many=2000)
    x0, cond = of.training(100)
    best = Mixture.of_data(of.training(200)[0])
    least = curves._least(of, x0, cond)
    assert curves._by_level(of, best, x0, cond) == pytest.approx(least, rel=1e-3, abs=1e-6)
    regret = curves._by_level(of, lambda x, level, cond: torch.zeros_like(x), x0, cond) - least
    assert (regret > -1e-6).all() and regret[0] > 1000 and regret[-1] < 0.05


@pytest.mark.filterwarnings("error")
def test_the_curves_of_losses_and_training_are_drawn(tmp_path: Path) -> None:
    of = scene(many=2000)
    assert curves.losses(of).shape[2] == 3
    lines = [
        {"step": k, "loss": 1 / k, "loss_by_band": [0.1, None, 0.3, 0.4], "learning_rate": 0.1 / k} for k in (1, 2, 3)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    assert curves.reports(tmp_path / "metrics.jsonl") == lines
    run: Any = SimpleNamespace(path=tmp_path)
    assert curves.training(replace(of, model=replace(of.model, run=run))).shape[2] == 3
    with pytest.raises(Unsupported, match=r"metrics\.jsonl"):
        curves.training(of)


def test_pictures_of_data_that_is_not_at_hand_say_so() -> None:
    for draw in (strips.forward, strips.data, strips.denoiser, solvers_of_run.variance, curves.losses):
        with pytest.raises(Unsupported, match="could not be read"):
            draw(scene(train=None, val=None))


@pytest.mark.parametrize(("at", "count"), [((), None), ((1.5,), None), ((0.5,), 0)])
def test_times_outside_and_no_samples_are_refused(at: tuple[float, ...], count: int | None) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]|at least (one|1)"):
        replace(scene(), at=at, count=count)


@pytest.mark.parametrize("name", ["losses", "solvers", "variance"])
def test_what_supposes_means_is_not_drawn_of_a_network_trained_for_consistency(name: str) -> None:
    of = scene()
    of.model.run.means = False  # type: ignore[misc]
    with pytest.raises(Unsupported, match="consistency"):
        OF_RUN[name](of)
    # samples are
    OF_RUN["samples"](of)
