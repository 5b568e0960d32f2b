"""Checks, when the class of a plugin is defined, that its methods match the contract.

A method with a name of an older version would never be called, and one with other parameters would fail in the middle
of a command.  Both are refused with a one-line error when the plugin is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from ptdiff.errors import PluginError

Parameters = list[inspect.Parameter]


def check_overrides(cls: type, contract: type, renamed: Mapping[str, str]) -> None:
    """Raise PluginError if an attribute of ``cls``, a subclass of ``contract``, does not match it.

    ``renamed``: attributes of earlier versions, each with its replacement.
    """
    defined = {name for part in cls.__mro__ if part not in contract.__mro__ for name in vars(part)}
    for name in renamed:
        if name in defined:
            raise PluginError(f"{cls.__name__} defines {name}: {renamed[name]} (docs/write-a-modality.md)")
    for name, wanted in vars(contract).items():
        if name in defined and not name.startswith("_"):
            problem = _misfit(name, inspect.getattr_static(cls, name), wanted)
            if problem is not None:
                raise PluginError(f"{cls.__name__} {problem} (docs/write-a-modality.md)")


def _misfit(name: str, given: Any, wanted: Any) -> str | None:
    """The reason why ``given`` cannot replace ``wanted``, both as found in the class; None if it can."""
    expected, own = _parameters(wanted), _parameters(given)
    if isinstance(wanted, property):
        return None if own is None else f"defines {name}() as a method, but it is a property"
    if expected is None:
        return None
    if isinstance(given, (property, cached_property)):
        return f"defines {name} as a property, but it is a method"
    if own is None:
        # callable objects and other descriptors, such as partialmethod, are not checked
        if callable(given) or hasattr(given, "__get__"):
            return None
        return f"has an option or attribute {name!r}, but {name}() is a method of ptdiff"
    for every in (False, True):
        called = [p for p in expected if every or p.default is p.empty]
        keywords: dict[str, Any] = {p.name: None for p in called if p.kind is p.KEYWORD_ONLY}
        try:
            inspect.Signature(own).bind(*[None] * (len(called) - len(keywords)), **keywords)
        except TypeError as error:
            return f"defines {name}({_listed(own)}), but it is called as {name}({_listed(expected)}): {error}"
    return None


def _parameters(attribute: Any) -> Parameters | None:
    """The parameters of a function in a class without ``self`` or ``cls``; None for anything else."""
    function: Callable[..., Any] = getattr(attribute, "__func__", attribute)
    if not inspect.isfunction(function):
        return None
    found = list(inspect.signature(function).parameters.values())
    if isinstance(attribute, staticmethod) or not found or found[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return found
    return found[1:]


def _listed(parameters: Parameters) -> str:
    return str(inspect.Signature([p.replace(annotation=p.empty) for p in parameters]))[1:-1]
