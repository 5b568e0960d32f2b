"""Agreement: the same denoiser and the same levels, solved by ptdiff and by other libraries.

A pair names a sampler of another library and the entry of ptdiff's catalog that should do the same.  If both expose
their states after each step, all states are compared, otherwise the ends.  Libraries that are not installed are
skipped, and the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor

from ptdiff.certify.certificate import Certificate
from ptdiff.certify.peers import Sampler
from ptdiff.certify.problem import MIXTURE
from ptdiff.choices import choose
from ptdiff.noise import Stream, normal
from ptdiff.process import Level
from ptdiff.solvers import SOLVERS, trajectory

TOLERANCE = 1e-5
STEPS, NOISIEST, CLEANEST, SAMPLES = 9, 10.0, 0.05, 16
Space = Literal["exploding", "preserving", "flow"]


@dataclass(frozen=True)
class Pair:
    """A sampler of another library and its counterpart.

    ``theirs``: the sampler, as ``peer`` calls it.  ``ours``: a choice from SOLVERS.
    ``space``: alpha at sigma / alpha = rho.  ``clean``: True if the last level is the data.
    """

    peer: str
    theirs: str
    run: Sampler
    ours: Mapping[str, Any]
    space: Space = "exploding"
    clean: bool = False


def levels(space: Space, clean: bool, steps: int = STEPS) -> Level:
    """``steps + 1`` levels from rho = 10 to 0.05, evenly spaced in rho^(1/4), then the clean one if asked; float64."""
    rho = torch.linspace(NOISIEST**0.25, CLEANEST**0.25, steps + 1, dtype=torch.float64) ** 4
    if clean:
        rho = torch.cat([rho, rho.new_zeros(1)])
    scale = {"exploding": torch.ones_like(rho), "preserving": torch.sqrt(1 + rho**2), "flow": 1 + rho}[space]
    return Level(1 / scale, rho / scale)


def gap(pair: Pair) -> float:
    """Largest difference between their states and ours, relative to the largest element of the state."""
    ids, visited = torch.arange(SAMPLES), levels(pair.space, pair.clean)

    def draw(k: int) -> Tensor:
        return normal(0, Stream.SOLVER, ids, k, (2,)).double()

    number = count()
    x = normal(0, Stream.START, ids, 0, (2,)).double() * float(visited.scale[0])
    theirs = pair.run(MIXTURE, x, visited, lambda: draw(next(number)))
    table = choose("solver", SOLVERS, pair.ours).table(visited)
    ours = [state.x for state in trajectory(MIXTURE, x, table, {}, draw)]
    gaps = [
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(reversed(theirs), reversed(ours[1:]), strict=False)
    ]
    return max(gaps, key=lambda value: math.inf if math.isnan(value) else value)


def certify(pairs: list[Pair]) -> Iterator[Certificate]:
    """One certificate per pair."""
    for pair in pairs:
        subject = f"{pair.peer}, {pair.theirs}, {_words(pair.ours)}"
        yield Certificate("agreement", subject, gap(pair), 0.0, TOLERANCE, "at most")


def _words(choice: Mapping[str, Any]) -> str:
    options = (f"{k}={_words(v) if isinstance(v, Mapping) else v}" for k, v in choice.items() if k != "name")
    return " ".join([choice["name"], *options])
