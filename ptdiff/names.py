"""Names people type: the nearest right one for a wrong one, and named choices with options.

A choice is a name in a catalog (processes, solvers, densities) with options for the dataclass behind it.  In YAML it
is a string, or a mapping whose ``name`` picks the entry: ``process: {name: ve, sigma_max: 40}``.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class UnknownName(ValueError):
    """A name that is not in its catalog; the message holds the nearest right one."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a wrong name.

    >>> print(unknown("solver", "huen", ["heun", "ddim"]))
    unknown solver 'huen': did you mean 'heun'? (there are: heun, ddim)
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UnknownName(f"unknown {kind} {name!r}: {hint}(there are: {', '.join(known)})")


def build(kind: str, cls: type[T], options: Mapping[str, Any]) -> T:
    """An instance of the dataclass ``cls`` from options that came from outside, checked against its types.

    Raises UnknownName for an unknown option and ValueError, in one line, for a value that does not fit.
    """
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in options:
        if key not in names:
            raise unknown(f"option of {kind}", key, names)
    try:
        return TypeAdapter(cls).validate_python(dict(options))
    except ValidationError as error:
        raise ValueError(f"{kind}: {one_line(error)}") from None


def one_line(error: ValidationError) -> str:
    """Pydantic's findings in one line."""
    found = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        found.append(f"{where}: {message}" if where else message)
    return "; ".join(found)


def described(catalog: Mapping[str, type[Any]], made: Any) -> dict[str, Any]:
    """The choice that :func:`choose` makes ``made`` from: its name in the catalog and all its options."""
    name = next(name for name, cls in catalog.items() if cls is type(made))
    return {"name": name, **dataclasses.asdict(made)}


def choose(kind: str, catalog: Mapping[str, type[T]], choice: Mapping[str, Any]) -> T:
    """The catalog entry ``choice["name"]``, built with the other keys as its options."""
    options = dict(choice)
    name = str(options.pop("name"))
    if name not in catalog:
        raise unknown(kind, name, catalog)
    return build(f"{kind} {name}", catalog[name], options)
