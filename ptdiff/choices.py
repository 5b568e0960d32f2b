"""Catalogs of named choices with options, and errors that suggest the nearest name.

A choice is a name in a catalog (processes, solvers, densities) with options for the dataclass behind it.  In YAML it
is a string, or a mapping whose ``name`` selects the entry: ``process: {name: ve, sigma_max: 40}``.  An option called
``base`` is itself a choice from the same catalog: ``solver: {name: churn, amount: 40, base: heun}``.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ptdiff.errors import UnknownName
from ptdiff.plugins import claims
from ptdiff.plugins.doors import Door
from ptdiff.plugins.loading import load
from ptdiff.plugins.metadata import Plugin

S = TypeVar("S")
T = TypeVar("T")


MANY = 16
"""Maximum number of names listed in an error message."""

SHOWN = 200
"""Maximum number of characters of a name or value that an error message repeats."""


class Catalog(dict[str, T]):
    """Named entries of one kind; ``catalog[name]`` with an unknown name raises UnknownName with the nearest name.

    A catalog with a ``door`` also finds what plugins bring to it: ``in``, ``[]`` and :meth:`names` know their names,
    and ``[]`` imports the one that is named.  Iteration is over the built-in entries only, so it imports nothing.  With
    ``opens=False`` it finds no plugins, but a plugin that claims the name of one of its entries is still refused.

    >>> Catalog("color", {"red": 1, "green": 2})["gren"]
    Traceback (most recent call last):
    ptdiff.errors.UnknownName: unknown color 'gren': did you mean 'green'? (choose from: red, green)
    """

    def __init__(self, kind: str, entries: Mapping[str, T], door: Door | None = None, *, opens: bool = True) -> None:
        super().__init__(entries)
        self.kind, self.door, self.opens = kind, door, opens

    def __getitem__(self, name: str) -> T:
        """The entry; raises PluginError if it comes from a plugin that cannot be used, or is claimed by one."""
        plugin = self._plugin(name)
        if plugin is not None and self.door is not None:
            found: T = load(self.door, plugin)
            return found
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        return self.door is not None and self.opens and isinstance(name, str) and claims.claimed(self.door, name)

    def __missing__(self, name: object) -> NoReturn:
        raise unknown(self.kind, str(name), self.names())

    def names(self) -> list[str]:
        """All names, those of plugins last; nothing is imported."""
        more = claims.names(self.door.name) if self.door is not None and self.opens else []
        return [*self, *(name for name in more if not super(Catalog, self).__contains__(name))]

    def name_of(self, entry: object) -> str | None:
        """The name of an entry that is built-in, or of a plugin that has been imported; None if there is none."""
        for name, known in self.items():
            if known is entry:
                return name
        for name in self.names()[len(self) :] if self.door is not None else ():
            plugin = self._plugin(name)
            # another module of the plugin may define the object
            if plugin is not None and plugin.module in sys.modules and self[name] is entry:
                return name
        return None

    def _plugin(self, name: str) -> Plugin | None:
        builtin = super().__contains__(name)
        if self.door is None or not (self.opens or builtin):
            return None
        return claims.claimant(self.door, name, builtin=builtin)

    def copy(self) -> Catalog[T]:
        """A new catalog with the same entries and door."""
        return Catalog(self.kind, self, self.door, opens=self.opens)

    def __or__(self, other: Mapping[str, S]) -> Catalog[T | S]:  # type: ignore[override]
        return Catalog(self.kind, {**self, **other}, self.door, opens=self.opens)

    def __ror__(self, other: Mapping[str, S]) -> Catalog[S | T]:  # type: ignore[override]
        return Catalog(self.kind, {**other, **self}, self.door, opens=self.opens)


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a name that is not among ``known``, with the nearest one and up to MANY others.

    >>> print(unknown("solver", "huen", ["heun", "ddim"]))
    unknown solver 'huen': did you mean 'heun'? (choose from: heun, ddim)
    >>> print(unknown("solver", "x", ["heun", "ddim"]))
    unknown solver 'x'; choose from: heun, ddim
    """
    known = known.names() if isinstance(known, Catalog) else list(known)
    # the time of difflib grows with the square of the lengths
    close = difflib.get_close_matches(name[:SHOWN], known, n=1, cutoff=0.5)
    shown = known if len(known) <= MANY else [*known[: MANY - 1], f"and {len(known) - MANY + 1} more"]
    listed = f"choose from: {', '.join(shown)}" if shown else "none is installed"
    advice = f": did you mean {close[0]!r}? ({listed})" if close else f"; {listed}"
    return UnknownName(f"unknown {kind} {name[:SHOWN]!r}{advice}")


def one_of(kind: str, name: str | None, known: Iterable[str]) -> str:
    """``name``, or the first of ``known`` for None; raises UnknownName for a name that is not among them."""
    known = list(known)
    if name is not None and name not in known:
        raise unknown(kind, name, known)
    return known[0] if name is None else name


def build(kind: str, cls: type[T], options: Mapping[str, Any]) -> T:
    """Build an instance of the dataclass ``cls`` from options of a user, checked against its types.

    ``kind``: what the instance is called in errors.

    Raises UnknownName for an unknown option, and ValueError, in one line, for a value that is not allowed.
    """
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    limits = {f.name: f.metadata for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    types, checked, found = get_type_hints(cls), {}, []
    for key, value in options.items():
        if key not in names:
            raise unknown(f"option of {kind}", key, names)
        if dataclasses.is_dataclass(value):
            checked[key] = value  # already an instance
            continue
        try:
            refuse_other_kind(types[key], value)
            checked[key] = TypeAdapter(types[key]).validate_python(value)
        except ValidationError as error:
            found.append(f"{key}: {one_line(error)}")
        except ValueError as error:
            found.append(f"{key}: {error}")
        else:
            found += _out_of_range(key, checked[key], limits[key].get("least"), limits[key].get("most"))
    if found:
        raise ValueError(f"{kind}: {'; '.join(found)}")
    try:
        return cls(**checked)
    except OverflowError:
        raise ValueError(f"{kind}: a number is too large or too small to compute with") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{kind}: {error}") from None


def refuse_other_kind(annotation: Any, value: object) -> None:
    """Raise ValueError for true or false in place of a number, and for a number in place of true or false.

    pydantic converts them, which would hide a mistake: ``steps: yes`` is one step for it.

    >>> refuse_other_kind(int | None, True)
    Traceback (most recent call last):
    ValueError: should be a number, not true
    """
    origin = get_origin(annotation)
    if origin in (tuple, list):
        inner = [part for part in get_args(annotation) if part is not Ellipsis]
        for i, part in enumerate(value) if inner and isinstance(value, (list, tuple)) else ():
            refuse_other_kind(inner[min(i, len(inner) - 1)], part)
        return
    leaves = list(_leaves(annotation))
    if isinstance(value, bool) and bool not in leaves and (int in leaves or float in leaves):
        raise ValueError(f"should be a number, not {str(value).lower()}")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and leaves[0] is bool:
        raise ValueError(f"should be true or false, not {value}")


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that a union consists of, without what annotates them."""
    if get_origin(annotation) is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _out_of_range(key: str, value: object, least: float | None, most: float | None) -> list[str]:
    """The complaint about a number, or the first one in a tuple, that is out of range; empty if there is none."""
    for number in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        # so written that NaN is out of any range
        if least is not None and not number >= least:
            return [f"{key} must be at least {least:,}, not {number:,}"]
        if most is not None and not number <= most:
            return [f"{key} must be at most {most:,}, not {number:,}"]
    return []


def one_line(error: ValidationError) -> str:
    """The findings of a pydantic error, in one line."""
    found: dict[str, list[str]] = {}
    for item in error.errors():
        # for a union, pydantic appends each of its types to the key
        where = ".".join(str(part) for part in item["loc"] if not _is_kind(str(part)))
        message = item["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
        found.setdefault(where, []).append(message)
    lines = {where: " or ".join(dict.fromkeys(messages)) for where, messages in found.items()}
    return "; ".join(f"{where}: {line}" if where else line for where, line in lines.items())


def _is_kind(part: str) -> bool:
    return part in ("int", "bool", "constrained-int") or part.startswith("literal[")


def described(catalog: Mapping[str, type[Any]], made: Any) -> dict[str, Any]:
    """The choice from which :func:`choose` builds ``made``: its name in the catalog and all its options."""
    if isinstance(catalog, Catalog):
        name = catalog.name_of(type(made))
    else:
        name = next((name for name, cls in catalog.items() if cls is type(made)), None)
    if name is None:
        raise ValueError(f"{type(made).__name__} is in no catalog, so it has no name")
    options = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    if "base" in options:
        options["base"] = described(catalog, options["base"])
    return {"name": name, **options}


def choose(kind: str, catalog: Mapping[str, type[T]], choice: Mapping[str, Any]) -> T:
    """Build the catalog entry ``choice["name"]`` with the other keys as its options.

    Raises UnknownName for an unknown name or option, and ValueError, in one line, for a value that is not allowed.
    """
    options = dict(choice)
    if "name" not in options:
        known = catalog.names() if isinstance(catalog, Catalog) else catalog
        raise ValueError(f"{kind} needs a name; choose from: {', '.join(known)}")
    name = str(options.pop("name"))
    if name not in catalog:
        raise unknown(kind, name, catalog)
    base = options.get("base")
    if isinstance(base, (str, Mapping)):
        options["base"] = choose(kind, catalog, {"name": base} if isinstance(base, str) else base)
    return build(f"{kind} {name}", catalog[name], options)
