"""Training of flow maps: the second level of a network, the losses of a step, sampling in few calls."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.oracle import Mixture
from ptdiff.denoiser.target_level import Towards, read_target
from ptdiff.errors import UnknownName
from ptdiff.flow_map import walk
from ptdiff.flow_map.exact import IntegratedMap
from ptdiff.modality import registry
from ptdiff.modality.data import Condition
from ptdiff.model import load
from ptdiff.objective.consistency import OBJECTIVES
from ptdiff.objective.flow_map import FlowMapObjective, FlowMapTraining
from ptdiff.process import PROCESSES, Level
from ptdiff.sampling.sampler import Plan, prepared
from ptdiff.solvers import SOLVERS, solve
from ptdiff.training.train import train
from ptdiff_cli.main import app

SMALL: dict[str, dict[str, Any]] = {
    "points2d": {"count": 300, "width": 16, "blocks": 1},
    "images": {"width": 8, "layers": 1, "pixels": 8},
    "pointcloud": {
        "points": 32, "dense": 64, "shapes_per_class": 6, "width": 16, "layers": 1, "heads": 2, "inducers": 4,
    },
}  # fmt: skip
FLOW_MAP = {"objective": {"name": "flow-map"}, "sampling": {"solver": "ddim", "steps": 1}}
SETTINGS: dict[str, Any] = {
    "precision": "32", "threads": 1, "shards": 1, "micro_batch": None, "batch": 16, "schedule": "constant",
}  # fmt: skip


def network(name: str) -> tuple[Any, NetworkDenoiser]:
    kind = registry.load(name, SMALL[name])
    data = kind.dataset()
    torch.manual_seed(0)
    net = kind.backbone(data)
    with torch.no_grad():
        # the last layers of most networks begin at zero
        for weight in net.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return data, NetworkDenoiser(net)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_that_learns_to_read_the_second_level_begins_with_the_same_output(name: str) -> None:
    data, denoiser = network(name)
    x, t = torch.randn(5, *data.shape), torch.linspace(0.1, 1.5, 5)
    level = Level(torch.cos(t), torch.sin(t))
    cond = {"code": torch.zeros(5, denoiser.code)} if denoiser.code else {}
    before = denoiser(x, level, cond)
    assert not denoiser.is_flow_map
    read_target(denoiser.net)
    assert denoiser.is_flow_map
    assert torch.equal(denoiser(x, level, cond), before)
    assert torch.equal(denoiser(x, level, {**cond, "to": t / 2}), before)
    with torch.no_grad():
        for part in denoiser.net.modules():
            if getattr(part, "target", None) is not None:
                part.target[2].weight.normal_()
    moved = denoiser(x, level, {**cond, "to": t / 2})
    assert not torch.allclose(moved, before)
    # without the second level, the map stays where it is
    torch.testing.assert_close(denoiser(x, level, cond), denoiser(x, level, {**cond, "to": t}))


MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.2], [1.0, -0.4]], dtype=torch.float64),
    torch.tensor([0.3, 0.2], dtype=torch.float64),
    torch.tensor([0.4, 0.6], dtype=torch.float64),
)


class ExactDenoiser:
    """The denoiser whose steps of DDIM are those of the exact map, as a network says it."""

    def __init__(self) -> None:
        self.map, self.seen = IntegratedMap(MIXTURE), []  # type: ignore[var-annotated]

    def __call__(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        t = level.angle.expand(len(x))
        self.seen.append((float(t[0]), float(cond["to"][0])))
        scaled = x / level.like(x).scale
        wide = t[:, None]
        return torch.cos(wide) * scaled - torch.sin(wide) * self.map(scaled, t, cond["to"], {})


@pytest.mark.parametrize("process", ["trigflow", "flow", "vp", "edm"])
@pytest.mark.parametrize("steps", [1, 3])
def test_ddim_towards_the_next_level_is_the_walk_of_the_map(process: str, steps: int) -> None:
    # the map is integrated to noisy levels only
    plan = Plan(PROCESSES[process](), SOLVERS["ddim"](), steps, end="sigma-min")
    levels = plan.levels()
    angles = torch.atan2(levels.sigma, levels.alpha)
    noise = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scale = math.hypot(float(levels.alpha[0]), float(levels.sigma[0]))
    exact = ExactDenoiser()
    found = solve(Towards.next_of(exact, levels), scale * noise, plan.table(), {})
    last = math.hypot(float(levels.alpha[-1]), float(levels.sigma[-1]))
    wanted = walk(IntegratedMap(MIXTURE), noise, angles.tolist())
    torch.testing.assert_close(found / last, wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(torch.tensor(exact.seen), torch.stack([angles[:-1], angles[1:]], dim=1).float())


def test_consistency_sampling_jumps_to_clean_data() -> None:
    plan = Plan(PROCESSES["trigflow"](), SOLVERS["consistency"](), 2)
    exact = ExactDenoiser()
    x = torch.randn(4, 2, dtype=torch.float64)
    solve(Towards.clean(exact, plan.levels()), x, plan.table(), {}, lambda draw: torch.zeros_like(x))
    assert [end for _, end in exact.seen] == [0, 0]


def test_only_ddim_and_consistency_walk_and_other_solvers_take_the_diagonal() -> None:
    data, denoiser = network("points2d")
    plans = {name: Plan(PROCESSES["flow"](), SOLVERS[name](), 3) for name in ("ddim", "consistency", "heun", "dpm++2m")}
    assert all(not isinstance(prepared(denoiser, plan, data), Towards) for plan in plans.values())
    read_target(denoiser.net)
    walking = {name for name, plan in plans.items() if isinstance(prepared(denoiser, plan, data), Towards)}
    assert walking == {"ddim", "consistency"}
    noisy = Plan(PROCESSES["flow"](), SOLVERS["ddim"](eta=1.0), 3)
    assert not isinstance(prepared(denoiser, noisy, data), Towards)


def step(denoiser: NetworkDenoiser, training: FlowMapTraining, rows: int = 12) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    x0, eps = torch.randn(2, rows, 2, generator=generator)
    t = torch.rand(rows, generator=generator) * 1.4 + 0.1
    cond = {"way": torch.rand(rows, 3, generator=generator)}
    return FlowMapObjective(training=training), x0, eps, Level(torch.cos(t), torch.sin(t)), cond


@pytest.mark.parametrize("residual", ["lagrangian", "eulerian", "meanflow", "improved", "semigroup", "alphaflow"])
def test_the_losses_of_rows_are_those_of_the_whole_batch(residual: str) -> None:
    _, denoiser = network("points2d")
    read_target(denoiser.net)
    objective, x0, eps, level, cond = step(denoiser, FlowMapTraining(residual))
    whole = objective(denoiser, x0, eps, level, cond)
    assert bool(torch.isfinite(whole).all())
    parts = [
        objective(denoiser, x0[i], eps[i], Level(level.alpha[i], level.sigma[i]), {"way": cond["way"][i]})
        for i in (slice(0, 5), slice(5, 12))
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)
    whole.sum().backward()
    reached = [p.grad for name, p in denoiser.named_parameters() if ".target.2." in name]
    assert reached and all(grad is not None and bool(grad.abs().sum() > 0) for grad in reached)


def test_the_diagonal_learns_as_a_denoiser_does() -> None:
    _, denoiser = network("points2d")
    read_target(denoiser.net)
    objective, x0, eps, level, cond = step(denoiser, FlowMapTraining(diagonal=0.4))
    on = cond["way"][:, 0] < 0.4
    assert 0 < int(on.sum()) < len(on)
    torch.testing.assert_close(
        objective(denoiser, x0, eps, level, cond)[on], denoiser.loss(x0, eps, level, {})[on], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", SMALL)
def test_a_run_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    for folder, steps in (("whole", (4,)), ("parts", (2, 4))):
        for count in steps:
            path = tmp_path / folder
            values = {**FLOW_MAP, "training": {**SETTINGS, "steps": count}}
            if path.exists():
                done = CliRunner().invoke(app(), ["resume", str(path), "--steps", str(count)])
                assert done.exit_code == 0, done.output
            else:
                train(name, options=SMALL[name], out=path, **values)
    one, two = (load(tmp_path / folder).run.checkpoint() for folder in ("whole", "parts"))
    for key, value in one.tensors("model").items():
        assert torch.equal(two.tensors("model")[key], value), key


def test_training_starts_from_a_trained_denoiser(tmp_path: Path) -> None:
    settings = {**SETTINGS, "steps": 3}
    train("points2d", options=SMALL["points2d"], training=settings, out=tmp_path / "teacher")
    slow = {**settings, "lr": 1e-12}
    train(start=tmp_path / "teacher", out=tmp_path / "map", **{**FLOW_MAP, "training": slow})
    teacher, student = load(tmp_path / "teacher"), load(tmp_path / "map")
    assert student.denoiser.is_flow_map and not teacher.denoiser.is_flow_map
    options: dict[str, Any] = {"solver": "heun", "steps": 4, "seed": 3}
    torch.testing.assert_close(
        student.sample(5, **options).samples, teacher.sample(5, **options).samples, rtol=0, atol=1e-5
    )
    assert student.sample(2).samples.shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"residual": "langrangian"}, "did you mean 'lagrangian'"),
        ({"residual": "diagonal"}, "unknown residual 'diagonal'"),
        ({"diagonal": 1.0}, "diagonal must lie between 0 and 1"),
        ({"power": -1.0}, "power must lie in"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, UnknownName), match=message):
        OBJECTIVES["flow-map"](**options)


def test_what_rules_out_a_flow_map_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="objective flow-map needs a network with a LevelEmbedding"):
        read_target(nn.Linear(2, 2))
    values = {**FLOW_MAP, "prediction": "x0", "training": {**SETTINGS, "steps": 1}}
    with pytest.raises(ValueError, match="needs prediction velocity, not x0"):
        train("points2d", options=SMALL["points2d"], out=tmp_path / "x0", **values)


@pytest.mark.slow
def test_a_map_that_starts_from_the_shipped_model_beats_its_teacher_in_few_calls(tmp_path: Path) -> None:
    settings = {**SETTINGS, "batch": 512, "steps": 600}
    values = {**FLOW_MAP, "training": settings}
    train(start="swissroll", out=tmp_path / "map", **values)
    student, teacher = load(tmp_path / "map"), load("swissroll")
    asked: dict[str, Any] = {"n": 1000, "metrics": (), "solver": "ddim"}
    for steps, factor in ((1, 0.3), (2, 0.4), (4, 0.6)):
        mine, theirs = (
            model.evaluate(steps=steps, **asked).scores["sliced_wasserstein"] for model in (student, teacher)
        )
        assert mine.value < factor * theirs.value, (steps, mine, theirs)
