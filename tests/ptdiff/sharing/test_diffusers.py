"""diffusers both ways: its own schedulers are the second opinion, on an exact denoiser that is smooth."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.convert import convert
from ptdiff.denoiser.external import ExternalDenoiser
from ptdiff.denoiser.oracle import Mixture
from ptdiff.errors import UnknownName
from ptdiff.grid import grid
from ptdiff.model.diffusers import plan_of, scheduler_config
from ptdiff.process import VE, Chain, Flow, Level, VPLinear
from ptdiff.sampling.sampler import Plan
from ptdiff.solvers import SOLVERS, solve
from ptdiff.training.train import train

diffusers = pytest.importorskip("diffusers")

MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.2]], dtype=torch.float64)
EXACT = Mixture(MEANS, torch.tensor([0.3, 0.5, 0.4], dtype=torch.float64), torch.full((3,), 1 / 3, dtype=torch.float64))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Of planned renamings in diffusers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def theirs(scheduler: Any, prediction: str, chain: Any, x: Tensor) -> Tensor:
    """The samples of a scheduler of diffusers that is given the exact denoiser; x ~ N(0, I)."""
    ratios = type(scheduler).__name__.startswith(("Euler", "Heun"))
    x = x * float(getattr(scheduler, "init_noise_sigma", 1.0))
    for i, t in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        if not isinstance(chain, Chain):
            sigma = scheduler.sigmas[i].double()
            level = Level(1 - sigma, sigma)
        elif ratios:
            ratio = scheduler.sigmas[i if scheduler.step_index is None else scheduler.step_index].double()
            level = Level(1 / torch.hypot(ratio, ratio.new_ones(())), ratio / torch.hypot(ratio, ratio.new_ones(())))
        else:
            level = chain.levels(t.long())
        output = convert(EXACT(seen, level, {}), seen, level, "x0", prediction)
        x = scheduler.step(output, t, x).prev_sample
    return x


def compared(name: str, steps: int = 8, **options: Any) -> float:
    """The largest difference between a scheduler of diffusers and its plan."""
    scheduler = getattr(diffusers, name)(**options)
    config = json.loads(scheduler.to_json_string())
    plan, prediction = plan_of(config, steps)
    scheduler.set_timesteps(steps)
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # with linspace and trailing, theirs starts with sigma in place of hypot(1, sigma)
    start = float(getattr(scheduler, "init_noise_sigma", 1.0)) if name.startswith(("Euler", "Heun")) else 1.0
    alpha = float(plan.levels().alpha[0]) if name.startswith(("Euler", "Heun")) else 1.0
    ours = solve(EXACT, x * start * alpha, plan.table())
    return float((ours - theirs(scheduler, prediction, plan.process, x)).abs().max())


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_a_plan_follows_ddim(spacing: str) -> None:
    assert compared("DDIMScheduler", clip_sample=False, timestep_spacing=spacing) < 2e-5


def test_ddim_that_steps_past_its_own_levels_is_refused() -> None:
    # their DDIM steps by T // n, whatever the spacing
    for options, steps in (({"timestep_spacing": "linspace"}, 8), ({"timestep_spacing": "trailing"}, 7)):
        with pytest.raises(ValueError, match="steps by 1000 //"):
            plan_of({"_class_name": "DDIMScheduler", **options}, steps)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DPMSolverMultistepScheduler", {"solver_order": 1}),
        ("DPMSolverMultistepScheduler", {}),
        ("DPMSolverMultistepScheduler", {"solver_order": 3}),
        ("DPMSolverMultistepScheduler", {"lower_order_final": False}),
        ("EulerDiscreteScheduler", {}),
        ("HeunDiscreteScheduler", {}),
    ],
)
def test_a_plan_follows_the_scheduler_it_was_read_from(name: str, spacing: str, options: dict[str, Any]) -> None:
    assert compared(name, timestep_spacing=spacing, **options) < 2e-5


@pytest.mark.parametrize("steps", [14, 15, 20])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("order", [2, 3])
def test_the_order_of_the_last_steps_depends_on_their_number(order: int, lower: bool, steps: int) -> None:
    options = {"solver_order": order, "lower_order_final": lower, "timestep_spacing": "trailing"}
    assert compared("DPMSolverMultistepScheduler", steps, **options) < 2e-5


def test_a_plan_that_lowers_the_order_of_a_long_walk_is_refused() -> None:
    solver = SOLVERS["dpm++3m"](lower_order_final=True)  # type: ignore[call-arg]
    assert scheduler_config(Plan(Chain(), solver, 10, "trailing"), "eps")["lower_order_final"] is True
    with pytest.raises(ValueError, match="ignores lower_order_final from 15 steps on"):
        scheduler_config(Plan(Chain(), solver, 20, "trailing"), "eps")


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_plan_follows_flow_matching(shift: float) -> None:
    assert compared("FlowMatchEulerDiscreteScheduler", shift=shift) < 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "sample"},
        {"trained_betas": torch.linspace(1e-3, 0.03, 500).tolist(), "num_train_timesteps": 500},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
        {"steps_offset": 1, "set_alpha_to_one": False},
    ],
)
def test_betas_predictions_and_ends_are_read(options: dict[str, Any]) -> None:
    assert compared("DDIMScheduler", clip_sample=False, **options) < 2e-5


def test_the_comparison_sees_another_plan() -> None:
    plan, _ = plan_of({"_class_name": "DDIMScheduler", "clip_sample": False}, 8)
    other, _ = plan_of({"_class_name": "DDIMScheduler", "clip_sample": False, "timestep_spacing": "trailing"}, 8)
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float((solve(EXACT, x, plan.table()) - solve(EXACT, x, other.table())).abs().max()) > 1e-2


def test_clipping_is_a_threshold() -> None:
    plan, _ = plan_of({"_class_name": "DDPMScheduler", "clip_sample_range": 2.0, "variance_type": "fixed_large"}, 10)
    assert plan.threshold is not None and (plan.threshold.low, plan.threshold.high) == (-2.0, 2.0)
    assert plan.solver == SOLVERS["ddpm"](variance="upper")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_class_name": "DDIMSchedule"}, "did you mean 'DDIMScheduler'"),
        ({"use_karras_sigmas": True}, "use_karras_sigmas = True has no counterpart"),
        ({"algorithm_type": "sde-dpmsolver++"}, "algorithm_type = 'sde-dpmsolver"),
        ({"sharpness": 3}, "the option sharpness = 3 is unknown"),
        ({"beta_schedule": "sigmoid"}, "unknown beta_schedule 'sigmoid'"),
        ({"prediction_type": "velocity"}, "unknown prediction_type 'velocity'"),
        ({"set_alpha_to_one": False}, "repeats the last level"),
        ({"timestep_spacing": "even"}, "timestep_spacing must be"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(change: dict[str, Any], reason: str) -> None:
    with pytest.raises((ValueError, UnknownName), match=reason):
        plan_of({"_class_name": "DDIMScheduler", **change}, 5)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("solver", ["ddim", "ddpm", "dpm++2m", "dpm++3m"])
@pytest.mark.parametrize("chain", [Chain(), Chain(steps=500, schedule="cosine"), Chain(schedule="sigmoid")])
def test_a_plan_is_written_and_read_back(chain: Chain, solver: str, spacing: str) -> None:
    plan = Plan(chain, SOLVERS[solver](), 10, spacing)
    if (solver.startswith("dpm") and spacing != "trailing") or (solver == "ddim" and spacing == "linspace"):
        # the one divides by one more, the other steps by T // n
        with pytest.raises(ValueError, match=r"would visit other levels|steps by"):
            scheduler_config(plan, "eps")
        return
    config = scheduler_config(plan, "eps")
    made = getattr(diffusers, config["_class_name"]).from_config(config)
    made.set_timesteps(10)
    back, prediction = plan_of(json.loads(made.to_json_string()), 10)
    assert prediction == "eps"
    assert torch.allclose(back.levels().angle, plan.levels().angle, rtol=0, atol=1e-9)
    assert torch.allclose(chain.levels(made.timesteps.long()).angle, plan.levels().angle[:-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "plan",
    [Plan(VPLinear()), Plan(Flow()), Plan(Chain(), spacing="karras"), Plan(Chain(), SOLVERS["unipc-2"]())],
)
def test_a_plan_that_diffusers_lacks_is_refused(plan: Plan) -> None:
    with pytest.raises(ValueError, match=r"diffusers|levels"):
        scheduler_config(plan, "eps")


@pytest.mark.parametrize("solver", ["ddim", "heun", "dpm++2m", "unipc-3", "rk4", "ddpm"])
@pytest.mark.parametrize("process", ["chain", "vp", "ve"])
def test_solvers_are_schedulers_under_any_process(solver: str, process: str, tmp_path: Path) -> None:
    from ptdiff.model.diffusers.scheduler import TableScheduler

    TableScheduler(solver, process, "trailing").save_pretrained(tmp_path)
    scheduler = TableScheduler.from_pretrained(tmp_path)
    scheduler.set_timesteps(6)
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    chain, noise = Chain(), torch.Generator().manual_seed(1)
    mine = x
    for t in scheduler.timesteps:
        z = scheduler.scale_model_input(x, t)
        level = chain.level(t.double() / (chain.steps - 1))
        x = scheduler.step(convert(EXACT(z, level, {}), z, level, "x0", "eps"), t, x, generator=noise).prev_sample
    table = SOLVERS[solver]().table(grid(scheduler._process, 6, "trailing"))
    drawn = torch.Generator().manual_seed(1)
    numbers = [torch.randn(mine.shape, generator=drawn, dtype=torch.float64) for _ in table.draws]
    ours = solve(EXACT, mine, table, noise=numbers.__getitem__)
    # their timesteps are float32
    assert float((x - ours).abs().max()) < 2e-4


def test_a_scheduler_that_was_not_started_or_is_over_is_refused() -> None:
    from ptdiff.model.diffusers.scheduler import TableScheduler

    scheduler = TableScheduler("ddim")
    with pytest.raises(ValueError, match="set_timesteps"):
        scheduler.step(torch.zeros(1, 2), 0, torch.zeros(1, 2))
    with pytest.raises(UnknownName, match="did you mean 'heun'"):
        TableScheduler("huen")


def unet(channels: int = 1, classes: int | None = None) -> Any:
    """A small U-Net with random weights."""
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    shape = {"sample_size": 8, "in_channels": channels, "out_channels": channels, "block_out_channels": (8, 8)}
    return diffusers.UNet2DModel(**shape, **blocks, norm_num_groups=4, num_class_embeds=classes).eval()


def test_a_unet_of_diffusers_is_trained_as_a_backbone(tmp_path: Path) -> None:
    from ptdiff.model.diffusers.networks import UNetBackbone

    images, labels = torch.rand(40, 1, 8, 8), torch.arange(40) % 3
    model = train(images, labels, network=UNetBackbone(unet(classes=4)), steps=3, out=tmp_path / "run")
    assert model.sample(4, label=1, steps=3).samples.shape == (4, 1, 8, 8)
    # the class and its absence reach the network
    x, angle = torch.randn(2, 1, 8, 8), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        outputs = [model.denoiser.net(x, angle, {"label": torch.full((2,), k)}) for k in (-1, 0, 1)]
        assert torch.equal(model.denoiser.net(x, angle, {}), outputs[0])
    assert not torch.equal(outputs[1], outputs[2])


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_a_denoiser_samples_in_a_pipeline_of_diffusers(prediction_type: str) -> None:
    from ptdiff.model.diffusers.networks import PipelineUNet

    network = unet()
    denoiser = ExternalDenoiser(lambda z, t: network(z, t).sample)
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing", prediction_type=prediction_type)
    pipeline = diffusers.DDIMPipeline(
        unet=PipelineUNet(denoiser, (1, 8, 8), prediction_type=prediction_type), scheduler=scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(batch_size=2, num_inference_steps=5, generator=torch.Generator().manual_seed(0), output_type="np")
    # the pipeline starts from the same numbers, and maps [-1, 1] to [0, 1]
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plan, _ = plan_of(json.loads(scheduler.to_json_string()), 5)
    with torch.no_grad():
        ours = (solve(denoiser, x, plan.table()) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert torch.allclose(torch.from_numpy(made.images), ours, atol=2e-3)


def test_a_ve_scheduler_starts_with_its_own_noise() -> None:
    from ptdiff.model.diffusers.scheduler import TableScheduler

    scheduler = TableScheduler("ddim", {"name": "ve", "sigma_max": 40})
    scheduler.set_timesteps(4)
    assert scheduler.init_noise_sigma == pytest.approx(float(torch.hypot(*map(torch.as_tensor, (1.0, 40.0)))))
    assert VE(sigma_max=40).ends[1] == pytest.approx(float(torch.atan(torch.tensor(40.0))), abs=1e-6)
