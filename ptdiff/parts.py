"""A large batch evaluated in parts that a cache holds, by several threads side by side.

Sampling without a gradient on a CPU: there the operations of small networks are too short to be shared by cores, and
the activations of large batches leave the cache.  docs/decisions/0012 has what that costs.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from ptdiff.cost import calls
from ptdiff.data import Condition
from ptdiff.denoiser import Denoiser
from ptdiff.process import Level

PART = 2**14
"""Most numbers of x in a part: ten clouds of 512 points, twenty images of 28 x 28."""


class Parts:
    """``denoiser``, which treats every sample by itself, evaluated in parts; as it is on a GPU, or with gradients.

    The estimates differ from those of the whole batch by rounding.  The threads are as many as torch has.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        threads, rows = torch.get_num_threads(), max(1, PART // math.prod(x.shape[1:]))
        if x.device.type != "cpu" or torch.is_grad_enabled() or len(x) <= rows:
            return self.denoiser(x, level, cond)
        # as many parts for each thread
        rows = math.ceil(len(x) / (threads * math.ceil(len(x) / rows / threads)))
        inference = torch.is_inference_mode_enabled()

        def part(first: int) -> Tensor:
            some = slice(first, first + rows)
            there = replace(level, alpha=level.alpha[some], sigma=level.sigma[some]) if level.alpha.ndim else level
            with torch.inference_mode(inference), torch.no_grad():
                return self.denoiser(x[some], there, {name: value[some] for name, value in cond.items()})

        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(threads) as pool:
                return torch.cat(list(pool.map(part, range(0, len(x), rows))))
        finally:
            torch.set_num_threads(threads)

    def calls_at(self, level: tuple[float, float]) -> int:
        return calls(self.denoiser, level)
