"""Random parameters of a shape: every draw has a name and is recorded under it."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

Value = float | int | str
T = TypeVar("T", int, str)


class Draw:
    """Named draws from one random stream; ``values`` records them in the order drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.values: dict[str, Value] = {}

    def number(self, name: str, low: float, high: float) -> float:
        """Draw a number uniformly from [low, high)."""
        value = low + (high - low) * float(self._rng.random())
        self.values[name] = value
        return value

    def choice(self, name: str, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Draw one of the options in proportion to the weights (equal if not given)."""
        shares = weights or [1.0] * len(options)
        u = float(self._rng.random()) * sum(shares)
        chosen = (option for option, end in zip(options, accumulate(shares), strict=True) if u < end)
        value = next(chosen, options[-1])
        self.values[name] = value
        return value
