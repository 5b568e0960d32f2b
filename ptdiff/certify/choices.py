"""What is certified: every entry of the catalog, with its defaults and with all other listed values of its options."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import product
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ptdiff.solvers import SOLVERS, Solver


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The values of an option that can be listed: those of a Literal, and of a truth value."""
    if hint is bool:
        return (False, True)
    return get_args(hint) if get_origin(hint) is Literal else ()


def choices(name: str) -> Iterator[tuple[str, Solver]]:
    """Label and solver: the defaults first, then every combination of listed options that the solver accepts.

    A label is the name, and the options that differ from the defaults: "heun chart=noise".
    """
    cls = SOLVERS[name]
    hints = get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if alternatives(hints[field.name])]  # type: ignore[arg-type]
    yield name, cls()
    for values in product(*(alternatives(hints[field.name]) for field in fields)):
        options = {field.name: value for field, value in zip(fields, values, strict=True) if value != field.default}
        if not options:
            continue
        try:
            solver = cls(**options)
        except ValueError:
            continue  # the solver refuses this combination with a message of its own
        yield " ".join([name, *(f"{key}={value}" for key, value in options.items())]), solver
