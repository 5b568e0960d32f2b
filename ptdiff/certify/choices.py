"""What is certified: every entry of the catalog, with its defaults, with all other listed values of its options, and
wrappers around more than their defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ptdiff.choices import choose
from ptdiff.solvers import SOLVERS, Solver

POINTS = range(1, 7)
"""What is tried for an option called ``points``, how many estimates a multistep method uses."""

NESTED: dict[str, tuple[dict[str, Any], ...]] = {
    "churn": ({"base": "dpm++2m"}, {"base": "dpm++sde"}),
    # not down to the end of the grid: a single step that is left there is of order 1 for UniPC
    "restart": ({"base": "unipc-2", "intervals": ((0.3, 2.0),)}, {"base": "dpm++sde"}),
    "resample": ({"base": "dpm++3s"}, {"base": "dpm++2m-sde"}),
    "corrector": ({"base": "dpm++2s"},),
}
"""Bases of wrappers, besides the default: of several steps, of one step and a high order, with noise of their own."""


def alternatives(option: str, hint: Any) -> tuple[Any, ...]:
    """The values of an option that can be listed: those of a Literal, of a truth value, and of ``points``."""
    if hint is bool:
        return (False, True)
    if option == "points":
        return tuple(POINTS)
    return get_args(hint) if get_origin(hint) is Literal else ()


_CLASSES = tuple(SOLVERS.values())


def _options(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def choices(name: str) -> Iterator[tuple[str, Solver]]:
    """Label and solver: the defaults, then with each other value of each option, by itself and with other points, then
    with other bases.

    A label is the name, and the options that differ from the defaults: "heun chart=noise".  What a solver refuses is
    left out: it says so with a message of its own.  An entry that is another one with other defaults (a subclass with
    the same options) has nothing but its defaults to certify.
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
