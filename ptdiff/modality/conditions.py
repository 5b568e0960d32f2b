"""Kinds of conditions that data declares: categories, numbers and vectors.

    kind        tensor of a batch      not given    as text
    Category    int64 (b,)             -1           --condition color=red
    Number      float32 (b,)           NaN          --condition temperature=0.3
    Vector      float32 (b, size)      NaN          --condition direction=0,0,1

The class of labeled data, ``label``, is a Category too: it comes from :attr:`ptdiff.modality.data.Data.classes`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ptdiff.choices import unknown

if TYPE_CHECKING:
    from torch import Tensor

RESERVED = ("label", "augment", "estimate", "code", "mask")
"""Names with a meaning of their own, see :data:`ptdiff.modality.data.Condition`."""

MOST_CONDITIONS, MOST_VECTOR, MOST_NAMES = 64, 1 << 16, 1 << 20
"""Largest number of conditions, of entries of a vector, and of names of a category."""

NOT_GIVEN = "none"
"""Text for a condition that is not given."""


@dataclass(frozen=True)
class Category:
    """One of several names, by its number or name."""

    names: tuple[str, ...]
    kind: ClassVar[str] = "category"

    def __post_init__(self) -> None:
        if not isinstance(self.names, tuple) or not 0 < len(set(self.names)) == len(self.names) <= MOST_NAMES:
            raise ValueError(f"a category needs names that differ, not {str(self.names)[:80]}")
        if not all(isinstance(name, str) for name in self.names):
            raise ValueError("the names of a category must be texts")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one value: ()."""
        return ()

    def parsed(self, name: str, value: Any) -> int:
        """The number of a category given by name or number; -1 for "none" and -1.

        Raises UnknownName, with the nearest name, and ValueError for anything else.
        """
        if value in (NOT_GIVEN, -1):
            return -1
        if isinstance(value, str) and value in self.names:
            return self.names.index(value)
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(number, bool) or not isinstance(number, (str, int)):
            raise ValueError(f"{name} must be a name or number of a category, not {value!r}")
        if isinstance(number, str) or not 0 <= number < len(self.names):
            raise unknown(name, str(value), self.names)
        return number

    def measured(self, values: Tensor) -> Category:
        """The same kind: a category has no units."""
        return self


@dataclass(frozen=True)
class Number:
    """A number.

    ``least``, ``most``: its range; other numbers are refused.  ``whole``: True for whole numbers only.
    ``counts``: True for the number of elements of a set: a sample for which it is given has that many.
    ``mean``, ``scale``, ``seen``: mean, standard deviation, and lowest and highest value of the training data, measured
    by :meth:`ptdiff.modality.data.Data.measured`.
    """

    least: float | None = None
    most: float | None = None
    whole: bool = False
    mean: float = 0.0
    scale: float = 1.0
    seen: tuple[float, float] | None = None
    counts: bool = False
    kind: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        numbers = [n for n in (self.least, self.most, self.mean, self.scale, *(self.seen or ())) if n is not None]
        if not all(_is_number(n) for n in numbers) or not self.scale > 0:
            raise ValueError(f"a condition needs finite numbers and a positive scale, not {self}")
        if self.seen is not None and len(self.seen) != 2:
            raise ValueError(f"seen must be the lowest and the highest value, not {self.seen}")
        if self.counts and not (self.whole and self.least is not None and self.least >= 1):
            raise ValueError(
                "a number of elements must be whole and at least 1: Number(least=1, whole=True, counts=True)"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one value: ()."""
        return ()

    def parsed(self, name: str, value: Any) -> float:
        """``value`` as a number, NaN for "none" and NaN; ValueError if it is none or out of range."""
        number = _parsed(name, value)
        if math.isnan(number):
            return number
        if self.whole and number != round(number):
            raise ValueError(f"{name} must be a whole number, not {value}")
        low, high = (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)
        if not low <= number <= high:
            raise ValueError(f"{name} must be between {low:g} and {high:g}, not {value}; {self._nearest(number)}")
        return number

    def _nearest(self, number: float) -> str:
        bound = self.least if self.least is not None and number < self.least else self.most
        return f"the nearest is {bound:g}"

    def measured(self, values: Tensor) -> Number:
        """The same kind with mean, scale and range of ``values`` (n,), NaN for samples without."""
        known = values[values.isfinite()].double()
        if len(known) == 0:
            return self
        scale = float(known.std(correction=0))
        seen = (float(known.min()), float(known.max()))
        return replace(self, mean=float(known.mean()), scale=scale if scale > 0 else 1.0, seen=seen)


@dataclass(frozen=True)
class Vector:
    """A vector of ``size`` numbers, such as a direction or the embedding of a text by another network.

    ``mean``, ``scale``: of all its entries in the training data, measured by
    :meth:`ptdiff.modality.data.Data.measured`.
    """

    size: int
    mean: float = 0.0
    scale: float = 1.0
    kind: ClassVar[str] = "vector"

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 0 < self.size <= MOST_VECTOR:
            raise ValueError(f"the size of a vector must be between 1 and {MOST_VECTOR:,}, not {self.size}")
        if not (_is_number(self.mean) and _is_number(self.scale) and self.scale > 0):
            raise ValueError(f"a condition needs finite numbers and a positive scale, not {self}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one value: (size,)."""
        return (self.size,)

    def parsed(self, name: str, value: Any) -> list[float]:
        """``value``, a sequence or text "0,0,1", as numbers; NaN for "none"; ValueError for any other size."""
        if isinstance(value, str) and value != NOT_GIVEN:
            value = value.strip("[]()").split(",")
        if value is None or isinstance(value, str):
            return [math.nan] * self.size
        if not isinstance(value, Sequence) or len(value) != self.size:
            raise ValueError(f"{name} must be {self.size} numbers, not {str(value)[:80]}")
        numbers = [_parsed(name, one) for one in value]
        if any(map(math.isnan, numbers)) and not all(map(math.isnan, numbers)):
            raise ValueError(f"{name} must be {self.size} numbers, not {str(value)[:80]}")
        return numbers

    def measured(self, values: Tensor) -> Vector:
        """The same kind with mean and scale of ``values`` (n, size), NaN for samples without."""
        known = values[values.isfinite()].double()
        if len(known) == 0:
            return self
        scale = float(known.std(correction=0))
        return replace(self, mean=float(known.mean()), scale=scale if scale > 0 else 1.0)


Kind = Category | Number | Vector
"""A kind of condition."""

KINDS: Mapping[str, type[Category] | type[Number] | type[Vector]] = {k.kind: k for k in (Category, Number, Vector)}
"""The kinds by the name that data.json has for them."""


def check_names(conditions: Mapping[str, Kind]) -> None:
    """Raise ValueError unless the names of conditions are identifiers without another meaning."""
    if len(conditions) > MOST_CONDITIONS:
        raise ValueError(f"data has at most {MOST_CONDITIONS} conditions, not {len(conditions)}")
    if sum(isinstance(kind, Number) and kind.counts for kind in conditions.values()) > 1:
        raise ValueError("only one condition can be the number of elements")
    for name, kind in conditions.items():
        if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
            raise ValueError(f"a condition cannot be named {str(name)[:80]!r}")
        if not isinstance(kind, Kind):
            raise ValueError(f"condition {name} must be a Category, Number or Vector, not {type(kind).__name__}")


def absent(kind: Kind, count: int) -> Tensor:
    """A condition that is given for none of ``count`` samples, (count, *kind.shape)."""
    import torch

    if isinstance(kind, Category):
        return torch.full((count,), -1)
    return torch.full((count, *kind.shape), math.nan)


def is_given(value: Tensor) -> Tensor:
    """True for the samples for which a condition (b, …) is given, bool (b,)."""
    if value.is_floating_point():
        return value.isfinite().flatten(1).all(dim=1) if value.ndim > 1 else value.isfinite()
    return value >= 0


def hide(value: Tensor, rows: Tensor) -> Tensor:
    """A condition (b, …) with ``rows``, bool (b,), not given."""
    import torch

    missing = math.nan if value.is_floating_point() else -1
    return torch.where(rows.reshape(-1, *[1] * (value.ndim - 1)), torch.full_like(value, missing), value)


def to_facts(kind: Kind) -> dict[str, Any]:
    """A kind as JSON values; the inverse of :func:`from_facts`."""
    values = {k: v for k, v in dataclasses.asdict(kind).items() if v is not None}
    if not values.get("counts", True):
        del values["counts"]  # so that earlier versions can read all others
    return {"kind": kind.kind, **values}


def from_facts(name: str, facts: Any) -> Kind:
    """A kind from :func:`to_facts`; TypeError or ValueError for values that cannot be read."""
    if not isinstance(facts, Mapping) or facts.get("kind") not in KINDS:
        raise TypeError(f"condition {name[:80]!r} must have one of the kinds {', '.join(KINDS)}")
    made = {key: tuple(v) if isinstance(v, list) else v for key, v in facts.items() if key != "kind"}
    cls: Callable[..., Kind] = KINDS[facts["kind"]]
    return cls(**made)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(name: str, value: Any) -> float:
    if value is None or value == NOT_GIVEN:
        return math.nan
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number) or (isinstance(value, (bool, str)) and math.isnan(number)):
        raise ValueError(f"{name} must be a number or {NOT_GIVEN}, not {str(value)[:80]!r}")
    return number
