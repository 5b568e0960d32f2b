"""Everything public with its signature, one line each.

    python tools/public_api.py > docs/api.txt

A test compares docs/api.txt with the code, so that nothing public changes by accident.  Public are the names that
``import ptdiff`` offers and what these modules list: their functions, classes, and the methods of those.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

MODULES = ("ptdiff.errors", "ptdiff.modality", "ptdiff.process", "ptdiff.solvers", "ptdiff.grid", "ptdiff.guidance")
"""Modules whose ``__all__``, or own names, are public; the front door ``ptdiff`` comes first."""


def lines() -> Iterator[str]:
    """The lines of docs/api.txt."""
    front = import_module("ptdiff")
    for name in sorted(dir(front)):
        if not name.startswith("_"):
            yield from described(f"ptdiff.{name}", getattr(front, name))
    for path in MODULES:
        module = import_module(path)
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == path]
        yield ""
        for name in sorted(getattr(module, "__all__", own)):
            yield from described(f"{path}.{name}", getattr(module, name))


def described(path: str, found: Any) -> Iterator[str]:
    """A function with its signature, a class with its public methods, the names in a catalog, or the name alone."""
    if inspect.isclass(found):
        yield f"class {path}{_signature(found)}"
        for name, member in sorted(_members(found)):
            if isinstance(member, property):
                yield f"    {name}: property"
            elif callable(member := getattr(found, name)):
                yield f"    {name}{_signature(member)}"
            else:
                yield f"    {name}"
    elif inspect.ismodule(found):
        yield f"module {path}"
    elif inspect.isfunction(found):
        yield f"{path}{_signature(found)}"
    elif isinstance(found, dict):
        yield f"{path}: {', '.join(found)}"
    else:
        yield path


def _members(found: type) -> Iterator[tuple[str, Any]]:
    """Public attributes that the class or a base of ours defines, each once."""
    seen = set()
    for base in found.__mro__:
        if not base.__module__.startswith("ptdiff"):
            continue
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in seen and (callable(member) or _is_descriptor(member)):
                seen.add(name)
                yield name, member


def _is_descriptor(member: Any) -> bool:
    return isinstance(member, (property, staticmethod, classmethod))


def _signature(found: Any) -> str:
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    shown = [_shown(p, signature.parameters[p.name]) for p in parameters]
    star = [i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY]
    if star and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        shown.insert(star[0], "*")
    back = signature.return_annotation
    end = "" if back is signature.empty or inspect.isclass(found) else f" -> {_hint(back)}"
    return f"({', '.join(shown)}){end}"


def _hint(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _shown(plain: inspect.Parameter, whole: inspect.Parameter) -> str:
    """A parameter with its type as it is written, and its default if that reads the same everywhere."""
    prefix = {plain.VAR_POSITIONAL: "*", plain.VAR_KEYWORD: "**"}.get(plain.kind, "")
    kind = "" if whole.annotation is whole.empty else f": {_hint(whole.annotation)}"
    if whole.default is whole.empty:
        return f"{prefix}{plain.name}{kind}"
    default = whole.default
    plainly = isinstance(default, (bool, int, float, str, type(None), tuple)) and " at 0x" not in repr(default)
    return f"{prefix}{plain.name}{kind} = {default!r}" if plainly else f"{prefix}{plain.name}{kind} = ..."


if __name__ == "__main__":
    print("\n".join(lines()))
