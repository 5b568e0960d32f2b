"""The front door: a run is loaded, sampled and varied from Python as the command line does it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ptdiff
from ptdiff.choices import UnknownName
from ptdiff.errors import RunError
from ptdiff.model import Model
from ptdiff.model.edits import complete, edit, interpolate, upsample
from ptdiff.process import VE
from ptdiff.run.config import validate
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers.exponential import DDIM

TINY = {"points": 24, "dense": 96, "shapes_per_class": 3, "classes": ["chair", "table"], "width": 8, "layers": 1}


@pytest.fixture(scope="module")
def plane() -> Model:
    return ptdiff.load("swissroll")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of two classes of point clouds, with the weights that it begins with."""
    config = validate({"modality": "pointcloud", "options": {**TINY, "inducers": 4, "heads": 2}})
    kind = importlib.import_module("ptdiff.modality.registry").load("pointcloud", config.options)
    run = Run.create(tmp_path_factory.mktemp("runs") / "clouds", config, kind.dataset())
    return Model(run, kind, run.data, run.network().eval(), Plan.chosen(config.process, config.sampling))


def test_sample_i_depends_on_the_seed_and_on_i_alone(plane: Model) -> None:
    many = plane.sample(12, steps=4, seed=7)
    few = plane.sample(5, steps=4, seed=7)
    assert many.samples[:5] == pytest.approx(few.samples, abs=1e-4)
    for batch in (1, 5):
        assert plane.sample(12, steps=4, seed=7, batch=batch).samples == pytest.approx(many.samples, abs=1e-4)
    assert torch.equal(plane.sample(12, steps=4, seed=7).samples, many.samples)
    assert not torch.allclose(plane.sample(12, steps=4, seed=8).samples, many.samples, atol=0.1)


PLAIN: tuple[dict[str, object], str] = ({}, "")
STOCHASTIC: tuple[dict[str, object], str] = (
    {"solver": {"name": "ddpm", "scale": 0.9}, "process": VE(sigma_max=40.0), "steps": 5, "batch": 4},
    "--solver ddpm --set solver.scale=0.9 --process ve --set process.sigma_max=40 --steps 5 --batch 4",
)
GUIDED: tuple[dict[str, object], str] = (
    {"solver": "ddim", "steps": 3, "guidance": 2.0, "spacing": "karras", "trajectory": True},
    "--solver ddim --steps 3 --guidance 2 --spacing karras --trajectory",
)


@pytest.mark.parametrize(("options", "arguments"), [PLAIN, STOCHASTIC, GUIDED])
def test_the_file_is_that_of_ptdiff_sample_to_the_bit(
    plane: Model, tmp_path: Path, options: dict[str, object], arguments: str
) -> None:
    plane.sample(9, seed=3, **options).save(tmp_path / "python.npz")  # type: ignore[arg-type]
    command = ["sample", "swissroll", "-n", "9", "--seed", "3", *arguments.split(), "--out", "command.npz"]
    subprocess.run([sys.executable, "-m", "ptdiff_cli.main", *command], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "python.npz").read_bytes() == (tmp_path / "command.npz").read_bytes()


def test_a_choice_is_a_name_a_mapping_or_an_object(plane: Model) -> None:
    same = [plane.planned(solver=choice) for choice in ("ddim", {"name": "ddim"}, DDIM())]
    assert same[0] == same[1] == same[2]
    assert plane.planned(process={"name": "ve", "sigma_max": 40}).process == VE(sigma_max=40.0)
    assert plane.planned(guidance=3).guidance.scale == 3.0
    assert plane.planned(solver=None) == plane.plan


def test_an_object_that_has_no_name_is_kept_when_something_else_changes(plane: Model) -> None:
    class Mine(DDIM):
        pass

    own = Model(plane.run, plane.modality, plane.data, plane.denoiser, plane.planned(solver=Mine()))
    plan = own.planned(steps=3, process="ve")
    assert type(plan.solver) is Mine
    assert plan.steps == 3
    assert plan.process == VE()
    assert plane.planned(solver="ddim", steps=3).solver == DDIM()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "huen"}, "unknown solver 'huen': did you mean 'heun'?"),
        ({"solvr": "heun"}, "did you mean 'solver'?"),
        ({"process": "flwo"}, "did you mean 'flow'?"),
        ({"process": {"name": "ve", "sigma_mx": 3}}, "did you mean 'sigma_max'?"),
        ({"process": {"name": "ve", "sigma_max": 2}}, "too clean to start from noise"),
        ({"spacing": "karas"}, "did you mean 'karras'?"),
        ({"spacing": "nowhere.yaml"}, "spacing nowhere.yaml does not exist"),
        ({"guidance": "cgf"}, "did you mean 'cfg'?"),
        ({"threshold": "dinamic"}, "did you mean 'dynamic'?"),
        ({"precision": "16"}, "precision"),
        ({"noise": "brown"}, "noise"),
        ({"steps": 0}, "steps: should be greater than or equal to 1"),
        ({"solver": DDIM}, "must be an object, DDIM()"),
        ({"solver": object()}, "must be a name, a mapping or a solver object, not object"),
        ({"guidance": DDIM()}, "must be a name, a mapping or a guidance object, not DDIM"),
        ({"label": 0}, "this run was trained without classes"),
        ({"points": 5}, "points is only for sets"),
        ({"n": 0}, "must be at least 1"),
        ({"batch": 0}, "must be at least 1"),
        ({"solver": "dopri5", "trajectory": True}, "adaptive solver"),
    ],
)
def test_a_wrong_option_is_one_line_with_the_nearest_right_name(
    plane: Model, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError) as found:  # noqa: PT011 - the message is compared below
        plane.sample(**{"n": 2, **options})  # type: ignore[arg-type]
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_a_wrong_run_names_the_nearest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="did you mean 'swissroll'"):
        ptdiff.load("swisroll")
    with pytest.raises(ValueError, match="network is only for runs trained on tensors"):
        ptdiff.load("swissroll", network=torch.nn.Identity())
    with pytest.raises(UnknownName, match="did you mean 'ema'"):
        ptdiff.load("swissroll", weights="emma")


def test_labels_are_names_numbers_or_one_for_each_sample(clouds: Model) -> None:
    assert clouds.labels(3).tolist() == [0, 1, 0]  # type: ignore[union-attr]
    assert clouds.labels(2, "table").tolist() == clouds.labels(2, 1).tolist() == [1, 1]  # type: ignore[union-attr]
    mixed = ["table", 0, "none", -1]
    assert clouds.labels(4, mixed).tolist() == [1, 0, -1, -1]  # type: ignore[arg-type, union-attr]
    assert clouds.labels(2, torch.tensor([1, 0])).tolist() == [1, 0]  # type: ignore[union-attr]
    assert clouds.labels(2, [np.int64(1), torch.tensor(0)]).tolist() == [1, 0]  # type: ignore[list-item, union-attr]
    assert clouds.labels(2, np.int64(1)).tolist() == [1, 1]  # type: ignore[arg-type, union-attr]
    assert clouds.labels(2, "none") is None
    with pytest.raises(ValueError, match=r"label must be a class name or number, not 1\.5"):
        clouds.labels(2, 1.5)  # type: ignore[arg-type]
    for wrong, message in (("chiar", "did you mean 'chair'"), (2, "unknown class '2'"), (-2, "unknown class '-2'")):
        with pytest.raises(UnknownName, match=message):
            clouds.labels(2, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 classes for 2 samples"):
        clouds.labels(2, [0, 1, 0])


def test_samples_of_sets_have_any_number_of_points_and_their_labels(clouds: Model) -> None:
    samples = clouds.sample(3, steps=2, points=7, label=["table", "none", "chair"])
    assert samples.samples.shape == (3, 7, 3)
    assert samples.labels.tolist() == [1, -1, 0]
    assert samples.stored.titles == ["table", "", "chair"]
    assert len(samples) == 3
    assert samples[1].shape == (7, 3)
    assert samples[:2].shape == (2, 7, 3)
    with pytest.raises(ValueError, match="points must be a whole number of at least 1"):
        clouds.sample(1, points=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "number of samples must be at least 1, not 0"),
        ({"n": -1}, "number of samples must be at least 1, not -1"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"points": 2.5}, "points must be a whole number of at least 1, or a range such as 12..20, not 2.5"),
        ({"label": True}, "label must be a class name or number, not True"),
        ({"steps": 0}, "steps: should be greater than or equal to 1"),
    ],
)
def test_numbers_out_of_range_are_named(clouds: Model, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clouds.sample(**arguments)


def test_a_wrong_name_of_the_front_door_suggests_the_right_one() -> None:
    with pytest.raises(AttributeError, match="did you mean 'load'"):
        ptdiff.lod  # noqa: B018


def test_progress_rises_to_the_end_and_nothing_is_printed(plane: Model, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []
    lines: list[str] = []
    plane.sample(6, steps=3, batch=2, progress=lambda done, total: seen.append((done, total)), say=lines.append)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (6, 6)
    assert lines == ["6 samples, 5 network calls each"]
    assert capfd.readouterr() == ("", "")


def test_states_end_where_samples_are_and_can_be_left_early(plane: Model) -> None:
    *_, last = plane.states(5, steps=6, seed=2)
    assert last.step == 6
    assert torch.equal(plane.finish(last), plane.sample(5, steps=6, seed=2).samples)
    calls = []
    handle = plane.denoiser.register_forward_hook(lambda *_: calls.append(1))
    try:
        for state in plane.states(5, solver="ddim", steps=50, seed=2):
            if state.step == 2:
                break
    finally:
        handle.remove()
    assert state.step == 2
    assert len(calls) <= 3
    assert plane.finish(state).shape == (5, 2)
    with pytest.raises(UnknownName, match="heun"):
        plane.states(5, solver="huen")


def test_samples_that_are_not_finite_are_an_error(plane: Model) -> None:
    broken = torch.nn.Module()
    broken.register_parameter("w", torch.nn.Parameter(torch.zeros(()), requires_grad=False))
    broken.forward = lambda x, level, cond: x * float("nan")  # type: ignore[method-assign]
    model = Model(plane.run, plane.modality, plane.data, broken, plane.plan)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sampling diverged: try more steps or another solver"):
        model.sample(2, steps=2)


def test_a_weaker_model_that_is_the_same_changes_nothing(plane: Model) -> None:
    plain = plane.sample(3, steps=3)
    guided = plane.sample(3, steps=3, weak=plane, guidance=3)
    assert guided.samples == pytest.approx(plain.samples, abs=1e-4)
    assert guided.calls == 2 * plain.calls  # type: ignore[operator]


def test_samples_are_drawn_meshed_and_saved(clouds: Model, tmp_path: Path) -> None:
    samples = clouds.sample(2, steps=2, points=200)
    for name in ("a.png", "a.gif", "a.html"):
        assert samples.render(tmp_path / name).stat().st_size > 1000
    with pytest.raises(ValueError, match=r"must be one of \.png"):
        samples.render(tmp_path / "a.pgn")
    with pytest.raises(UnknownName, match="did you mean 'position'"):
        samples.render(tmp_path / "a.png", color="positon")
    samples.save(tmp_path / "clouds")
    assert sorted(path.name for path in (tmp_path / "clouds").iterdir()) == ["0000-chair.ply", "0001-table.ply"]
    with pytest.raises(UnknownName, match="did you mean 'alpha'"):
        samples.mesh(0, "alfa")


def test_edits_begin_and_end_where_they_should(clouds: Model) -> None:
    before = clouds.sample(2, steps=2, points=10)
    same = edit(clouds, before, 0.0, steps=3)
    assert same.samples == pytest.approx(before.samples, abs=1e-5)
    assert torch.equal(same.labels, before.labels)
    three = edit(clouds, before.samples, 0.5, steps=3, variants=3, label="table")
    assert three.samples.shape == (6, 10, 3)
    assert three.labels.tolist() == [1] * 6
    whole = complete(clouds, before, 2, points=20, method="replacement", steps=2)
    assert torch.equal(whole.samples[0, :10], whole.samples[1, :10])
    assert whole.samples[0, :10] == pytest.approx(before.samples[0], abs=1e-5)
    more = upsample(clouds, before, 15, steps=2)
    assert more.samples[0, :10] == pytest.approx(before.samples[0], abs=1e-5)
    way = interpolate(clouds, 0, 1, 3, points=10, steps=4)
    ends = clouds.sample(2, points=10, steps=4)
    assert way.samples[0] == pytest.approx(ends.samples[0], abs=1e-4)
    with pytest.raises(UnknownName, match="did you mean 'mmps'"):
        complete(clouds, before, 1, method="mmpz")
    with pytest.raises(ValueError, match="samples have the shape"):
        edit(clouds, np.zeros((2, 5, 2)))


def test_the_likelihood_takes_samples_or_arrays_of_the_right_shape(plane: Model) -> None:
    samples = plane.sample(4, steps=10)
    one = plane.likelihood(samples, seed=1).nats
    assert one.shape == (4,)
    assert torch.equal(one, plane.likelihood(samples.numpy(), seed=1).nats)
    # points far from the data are less likely
    assert plane.likelihood(samples.samples + 100, seed=1).nats.max() < one.min()
    with pytest.raises(ValueError, match="x must have the shape"):
        plane.likelihood(torch.zeros(3, 3))


def test_the_front_door_lists_its_names_and_each_is_there() -> None:
    assert {"load", "Model", "Samples", "Run", "Plan", "Modality", "Data", "solvers", "processes"} <= set(dir(ptdiff))
    for name in dir(ptdiff):
        assert getattr(ptdiff, name) is not None
    assert ptdiff.processes.PROCESSES["ve"] is VE
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        ptdiff.lod  # type: ignore[attr-defined]  # noqa: B018


def test_importing_ptdiff_imports_nothing_else() -> None:
    code = "import sys, ptdiff; print([n for n in sys.modules if n.startswith('ptdiff') or n in ('typing', 'torch')])"
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['ptdiff']"
