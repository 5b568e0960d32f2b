"""Apple's GPU: nothing reaches it that it does not have, checked on machines without one, and on those with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import lightning_fabric.accelerators.mps as lightning
import pytest
import torch

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.inverse import METHODS
from ptdiff.likelihood.bits import world_nats
from ptdiff.likelihood.flow import FlowPath, log_likelihood
from ptdiff.machine import host
from ptdiff.modality import Modality, registry
from ptdiff.modality.data import Data
from ptdiff.process import VPLinear
from ptdiff.run.config import Config, defaults, merged, validate
from ptdiff.run.folder import Run
from ptdiff.sampling.editing import complete, edit, encode
from ptdiff.sampling.sampler import Plan, draw, spread_labels
from ptdiff.solvers import ADAPTIVE, SOLVERS
from ptdiff.testing.mps import Refused, has_kernel, pretended_mps
from ptdiff.training.fit import Hardware, fit

MODALITIES: dict[str, dict[str, Any]] = {
    "points2d": {},
    "images": {"data": "digits"},
    "pointcloud": {"shapes_per_class": 2, "points": 32, "dense": 128},
}
TRAINED = [
    ("points2d", {}),
    ("images", {}),
    ("pointcloud", {}),
    # what weighs, or draws, by probabilities in float64
    ("points2d", {"density": {"name": "loss-aware"}}),
    ("points2d", {"weighting": {"name": "over-log-snr"}}),
    ("points2d", {"coupling": {"name": "sinkhorn"}}),
    ("points2d", {"training": {"optimizer": {"name": "muon"}}}),
    ("points2d", {"objective": {"name": "consistency"}, "sampling": {"solver": {"name": "consistency"}, "steps": 1}}),
]


def trained(folder: Path, name: str, over: dict[str, Any], device: str) -> Run:
    """A run of the default recipe, of three steps of four samples."""
    kind = registry.load(name, MODALITIES[name])
    short = {
        "training": {
            "steps": 3,
            "minutes": None,
            "batch": 4,
            "shards": 1,
            "validations": 1,
            "precision": "32",
            "threads": 1,
            "micro_batch": None,
            "compile": False,
        }
    }
    values = {"modality": name, "options": dataclasses.asdict(kind)}
    whole: dict[str, Any] = merged(defaults(name), kind.recipe())
    for part in (values, short, over):
        whole = merged(whole, part)
    data = kind.dataset()
    run = Run.create(folder, validate(whole), data)
    assert fit(run, kind, data, hardware=Hardware(device=device)).steps == 3
    return run


@pytest.fixture
def pretended() -> Iterator[torch.device]:
    with (
        mock.patch.object(lightning.MPSAccelerator, "is_available", staticmethod(lambda: True)),
        pretended_mps() as where,
    ):
        yield where


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.denoiser(weights="raw").state_dict().items()}


@pytest.mark.parametrize(("name", "over"), TRAINED)
def test_a_default_training_asks_nothing_of_mps_that_it_lacks(
    tmp_path: Path, pretended: torch.device, name: str, over: dict[str, Any]
) -> None:
    found = weights(trained(tmp_path / "run", name, over, "mps"))
    assert all(torch.isfinite(value).all() for value in found.values() if value.is_floating_point())


@cache
def model(name: str) -> tuple[Modality, Config, Data, NetworkDenoiser]:
    kind = registry.load(name, MODALITIES[name])
    data = kind.dataset()
    values = {"modality": name, "options": dataclasses.asdict(kind)}
    config = validate(merged(merged(defaults(name), kind.recipe()), values))
    torch.manual_seed(0)
    return kind, config, data, NetworkDenoiser(kind.backbone(data), config.prediction).eval().requires_grad_(False)


def both(name: str, use: Callable[[NetworkDenoiser, torch.device], torch.Tensor]) -> None:
    """What is made on the pretended device is what is made on the CPU, to the bit."""
    _, _, _, denoiser = model(name)
    expected = use(denoiser, torch.device("cpu"))
    with pretended_mps() as where:
        import copy

        found = use(copy.deepcopy(denoiser).to(where), where).cpu()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", MODALITIES)
def test_default_samples_on_mps_are_those_of_the_cpu(name: str) -> None:
    _, config, data, _ = model(name)
    plan = replace(Plan.chosen(config.process, config.sampling), steps=2)

    def samples(denoiser: NetworkDenoiser, where: torch.device) -> torch.Tensor:
        ids = torch.arange(2, device=where)
        return draw(denoiser, data, plan, ids, spread_labels(ids, len(data.classes)), data.shape)

    both(name, samples)


@pytest.mark.parametrize("solver", ["euler-maruyama", "sa-solver", "churn", *ADAPTIVE])
def test_noise_and_step_control_in_float64_stay_on_the_host(solver: str) -> None:
    _, _, data, _ = model("points2d")
    plan = Plan(VPLinear(), {**SOLVERS, **ADAPTIVE}[solver](), steps=4)
    both("points2d", lambda d, where: draw(d, data, plan, torch.arange(3, device=where), {}, data.shape))


def test_likelihoods_edits_and_completions_compute_on_mps() -> None:
    _, _, data, _ = model("pointcloud")
    assert data.train is not None
    x = data.normalize(data.train.batch(torch.arange(2), 0)[0])
    plan = Plan(VPLinear(), steps=2)

    def nats(denoiser: NetworkDenoiser, where: torch.device) -> torch.Tensor:
        found = log_likelihood(denoiser, x.to(where), path=FlowPath(steps=2))
        return world_nats(found.nats.cpu(), data, data.shape)

    both("pointcloud", nats)
    ids = torch.arange(2)
    both("pointcloud", lambda d, where: edit(d, plan, x.to(where), 0.5, ids.to(where), {}))
    both("pointcloud", lambda d, where: encode(d, plan, x.to(where), {}))
    for way in ("replacement", "pigdm", "mmps"):
        both("pointcloud", lambda d, at, w=way: complete(d, plan, METHODS[w](), x[0, :9].to(at), 20, ids.to(at), {}))


def test_what_mps_lacks_is_refused_by_name(pretended: torch.device) -> None:
    x = torch.ones(3, device=pretended)
    for wrong in (
        lambda: x.double(),
        lambda: x * torch.ones(3, dtype=torch.float64, device=pretended),
        lambda: torch.zeros(2, dtype=torch.float64, device=pretended),
    ):
        with pytest.raises(Refused, match=r"mps does not support torch\.float64"):
            wrong()
    with pytest.raises(Refused, match="add: mps and CPU tensors"):
        x + torch.ones(3)
    with pytest.raises(Refused, match="geqrf: mps has no kernel"):
        torch.geqrf(torch.eye(3, device=pretended))
    assert torch.equal((x + 1 + torch.tensor(1.0)).cpu(), torch.full((3,), 3.0))
    assert has_kernel("add.Tensor") and not has_kernel("geqrf")


def test_a_step_without_a_finite_gradient_changes_nothing_on_mps(tmp_path: Path, pretended: torch.device) -> None:
    """The fused optimizer of mps does not look at found_inf: the step is left out."""
    from ptdiff.training.gradients import Gradients

    def spoiled(self: Gradients, losses_of: Any, rows: int, step: int, seed: int) -> torch.Tensor:
        for p in self.network.parameters():
            p.grad = torch.full_like(p, torch.nan)
        return torch.ones(4, device=next(self.network.parameters()).device)

    with (
        mock.patch("ptdiff.training.gradients.Gradients.compute", spoiled),
        mock.patch("torch.optim.AdamW.step") as step,
    ):
        trained(tmp_path / "run", "points2d", {}, "mps")
    assert step.call_count == 0


needs = pytest.mark.skipif


@pytest.mark.parametrize(
    "device",
    [
        pytest.param("mps", marks=needs(not host.mps(), reason="needs an Apple GPU (mps), which this machine lacks")),
        pytest.param("cuda", marks=needs(not torch.cuda.is_available(), reason="needs a CUDA GPU")),
    ],
)
@pytest.mark.parametrize("name", MODALITIES)
def test_training_and_samples_on_a_real_gpu_come_near_those_of_the_cpu(tmp_path: Path, name: str, device: str) -> None:
    made = []
    for where in ("cpu", device):
        run = trained(tmp_path / where, name, {}, where)
        plan = Plan.chosen(run.config.process, run.config.sampling)
        at = host.device(where)
        ids = torch.arange(2, device=at)
        cond = spread_labels(ids, len(run.data.classes))
        made.append(draw(run.denoiser().to(at), run.data, plan, ids, cond, run.data.shape).cpu())
    assert torch.isfinite(made[1]).all()
    # three steps from the same weights, with the same data and noise: what differs is rounding
    gap = float((made[1] - made[0]).square().mean().sqrt() / made[0].std())
    assert gap < 0.05
