"""The loop that runs tables: one graph for the compiler, and no number of a tensor ever needed on the host."""

import pytest
import torch
from torch import Tensor

from ptdiff.grid import grid
from ptdiff.modality.data import Condition
from ptdiff.process import VE, Level
from ptdiff.solvers import SOLVERS, Table, solve

QUICK = ("ddim", "heun", "dpm++2m", "unipc-2")


def halved(x: Tensor, level: Level, cond: Condition, /) -> Tensor:
    return x * 0.5 / (1 + level.sigma)


def table(name: str, steps: int = 12) -> Table:
    return SOLVERS[name]().table(grid(VE(), steps))


DETERMINISTIC = [name for name in SOLVERS if not table(name).stochastic]
SELECTED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in DETERMINISTIC]


@pytest.mark.parametrize("name", SELECTED)
def test_every_table_compiles_into_one_graph(name: str) -> None:
    made, x = table(name), 80 * torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    torch.compiler.reset()
    compiled = torch.compile(lambda start: solve(halved, start, made), fullgraph=True, backend="eager")
    assert torch.allclose(compiled(x), solve(halved, x, made), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SOLVERS)
def test_no_table_waits_for_the_device(name: str) -> None:
    # tensors on the meta device hold no numbers: whatever asks for one raises
    end = solve(halved, torch.empty(2, 5, device="meta"), table(name), noise=lambda k: torch.empty(2, 5, device="meta"))
    assert end.device.type == "meta"
    assert end.shape == (2, 5)


def test_a_denoiser_that_asks_for_a_number_would_be_seen() -> None:
    def nosy(x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        return x * float(x.sum())

    with pytest.raises(RuntimeError, match="meta"):
        solve(nosy, torch.empty(2, 5, device="meta"), table("ddim"))
