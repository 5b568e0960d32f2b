"""Batches in parts: the same estimates, in threads, and whole where a gradient is taken."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Barrier

import pytest
import torch
from torch import Tensor

from ptdiff.data import Condition
from ptdiff.oracle import Mixture
from ptdiff.parts import PART, Parts
from ptdiff.process import Level

MEANS = torch.randn(3, 2048, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ORACLE = Mixture(MEANS, torch.full((3,), 0.5), torch.full((3,), 1 / 3), torch.arange(3))
ROWS = PART // 2048
LEVEL = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64), (0.6, 0.8))


class Watched:
    """The oracle, with the sizes of the batches that it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.modes: set[tuple[bool, bool]] = set()

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        self.sizes.append(len(x))
        self.modes.add((torch.is_inference_mode_enabled(), torch.get_num_threads() == 1))
        return ORACLE(x, level, cond)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def batch(count: int) -> tuple[Tensor, Condition]:
    x = torch.randn(count, 2048, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x, {"label": torch.arange(count) % 3}


@pytest.mark.parametrize("count", [0, 1, ROWS, ROWS + 1, 4 * ROWS, 4 * ROWS + 3])
@pytest.mark.parametrize("each", [False, True])
def test_the_estimates_are_those_of_the_whole_batch(threads: int, count: int, each: bool) -> None:
    x, cond = batch(count)
    angle = torch.linspace(0.1, 1.5, count, dtype=torch.float64)
    level = Level(angle.cos(), angle.sin()) if each else LEVEL
    watched = Watched()
    with torch.inference_mode():
        torch.testing.assert_close(Parts(watched)(x, level, cond), ORACLE(x, level, cond), rtol=1e-12, atol=0)
    assert sum(watched.sizes) == count and max(watched.sizes) <= ROWS
    assert torch.get_num_threads() == threads
    if count > ROWS:
        assert watched.modes == {(True, True)}


def test_two_parts_are_worked_on_at_once() -> None:
    both = Barrier(2, timeout=30)

    def waits(x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        both.wait()  # breaks where nobody else comes
        return x

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            x, cond = batch(2 * ROWS)
            assert torch.equal(Parts(waits)(x, LEVEL, cond), x)
    finally:
        torch.set_num_threads(before)


def test_what_is_to_have_a_gradient_is_evaluated_whole() -> None:
    watched = Watched()
    x, cond = batch(3 * ROWS)
    x.requires_grad_()
    Parts(watched)(x, LEVEL, cond).sum().backward()
    assert watched.sizes == [3 * ROWS]
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_an_error_of_a_part_is_the_callers_and_the_threads_are_given_back(threads: int) -> None:
    def fails(x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        raise RuntimeError("no memory")

    with torch.no_grad(), pytest.raises(RuntimeError, match="no memory"):
        Parts(fails)(*batch(3 * ROWS)[:1], LEVEL, {})
    assert torch.get_num_threads() == threads
