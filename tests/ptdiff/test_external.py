"""Networks of other libraries: exact ones give back the exact denoiser, and diffusers' own sampler agrees."""

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.convert import convert
from ptdiff.denoiser.external import ExternalDenoiser
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.process import VE, Chain, Flow, Level, Process, VPLinear
from ptdiff.solvers import SOLVERS, solve

POINTS = torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.2]], dtype=torch.float64)


@pytest.mark.parametrize("predicts", ["eps", "velocity", "x0"])
@pytest.mark.parametrize("process", [VE(), Flow(), VPLinear(), Chain()])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_an_exact_network_on_a_chain_is_the_exact_denoiser_everywhere(
    predicts: str, process: Process, schedule: str
) -> None:
    chain, exact = Chain(schedule=schedule), Mixture.of_data(POINTS)

    def network(z: Tensor, timestep: Tensor) -> Tensor:
        level = chain.level(timestep.double() / (chain.steps - 1))
        return convert(exact(z, level, {}), z, level.like(z), "x0", predicts)

    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in (0.2, 0.5, 0.8):
        level = process.level(torch.tensor(t, dtype=torch.float64))
        expected = exact(x * level.scale, level, {})
        assert torch.allclose(
            ExternalDenoiser(network, chain, predicts)(x * level.scale, level, {}), expected, atol=1e-6
        )


def test_ddim_agrees_with_the_sampler_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    shape = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": (8, 8), "norm_num_groups": 4}
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    unet = diffusers.UNet2DModel(**shape, **blocks).eval().requires_grad_(False)
    noise = torch.randn(2, 1, 8, 8)
    # theirs: ten of the thousand steps, and a last one to alpha = 1
    theirs, x = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing", set_alpha_to_one=True), noise
    theirs.set_timesteps(10)
    for t in theirs.timesteps:
        x = theirs.step(unet(x, t).sample, t, x).prev_sample
    # ours: the same levels
    levels = Chain().levels(theirs.timesteps.long())
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    visited = Level(torch.cat([levels.alpha, one]), torch.cat([levels.sigma, zero]))
    ours = solve(ExternalDenoiser(lambda z, t: unet(z, t).sample), noise, SOLVERS["ddim"]().table(visited))
    assert float((ours - x).abs().max()) < 2e-4 * float(x.abs().max())
    # and no other spacing of levels gives the same
    table = SOLVERS["ddim"]().table(grid(VPLinear(), steps=10))
    other = solve(ExternalDenoiser(lambda z, t: unet(z, t).sample), noise, table)
    assert float((other - x).abs().max()) > 1e-2 * float(x.abs().max())
