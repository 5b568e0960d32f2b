"""The certified solvers: every catalog entry with its defaults, each listed value of its options, and other bases."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ptdiff.choices import choose
from ptdiff.solvers import SOLVERS, Solver

POINTS = range(1, 7)
"""Values to try for an option ``points``, the number of estimates in a multistep method."""

NESTED: dict[str, tuple[dict[str, Any], ...]] = {
    "churn": ({"base": "dpm++2m"}, {"base": "dpm++sde"}),
    # an interval that does not reach the end of the grid: a single remaining step has order 1 in UniPC
    "restart": ({"base": "unipc-2", "intervals": ((0.3, 2.0),)}, {"base": "dpm++sde"}),
    "resample": ({"base": "dpm++3s"}, {"base": "dpm++2m-sde"}),
    "corrector": ({"base": "dpm++2s"},),
}
"""Bases of wrappers besides the default: multistep, singlestep of high order, and stochastic ones."""


def alternatives(option: str, hint: Any) -> tuple[Any, ...]:
    """The values to try for an option: those of a Literal, of a bool, and of ``points``."""
    if hint is bool:
        return (False, True)
    if option == "points":
        return tuple(POINTS)
    return get_args(hint) if get_origin(hint) is Literal else ()


_CLASSES = tuple(SOLVERS.values())


def _options(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def choices(name: str) -> Iterator[tuple[str, Solver]]:
    """Label and solver: the defaults, each other value of each option alone and with other points, then other bases.

    A label is the name and the options that differ from the defaults: "heun chart=noise".  Combinations that a solver
    refuses are left out.  An entry that only changes the defaults of another one (a subclass with the same options) is
    certified with its defaults only.
    """
    cls = SOLVERS[name]
    hints, defaults = get_type_hints(cls), {field.name: field.default for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    others: list[dict[str, Any]] = [
        {option: value}
        for option, default in defaults.items()
        for value in alternatives(option, hints[option])
        if value != default
    ]
    points = [change for change in others if "points" in change]
    both = [{**a, **b} for a in points for b in others if "points" not in b]
    yield name, cls()
    if any(cls is not other and issubclass(cls, other) and _options(cls) == _options(other) for other in _CLASSES):
        return
    for options in [*others, *both]:
        try:
            yield " ".join([name, *(f"{key}={value}" for key, value in options.items())]), cls(**options)
        except ValueError:
            continue
    for options in NESTED.get(name, ()):
        yield f"{name} base={options['base']}", choose("solver", SOLVERS, {"name": name, **options})
