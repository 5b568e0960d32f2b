"""The object behind the name of a plugin, imported when the name is used."""

from __future__ import annotations

import dataclasses
import dis
import importlib
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any

from ptdiff.errors import PluginError
from ptdiff.plugins.doors import Door
from ptdiff.plugins.metadata import Plugin


def load(door: Door, plugin: Plugin) -> Any:
    """Import a plugin and check that it is what the door takes; PluginError, in one line, if not."""
    label = f"{door.kind} {plugin.name!r} ({plugin.target}) of {plugin.origin}"
    importlib.invalidate_caches()
    return checked(label, door, lambda: imported(plugin.target))


def checked(label: str, door: Door, find: Callable[[], Any]) -> Any:
    """The object that ``find`` returns; PluginError if it raises anything, or if the door does not take the object.

    ``label``: what the object is called in errors.
    """
    try:
        found = find()
    except PluginError as error:
        # a class that does not match the contract, refused when it was defined
        raise PluginError(f"{label}: {error}") from error
    except BaseException as error:
        # importing code of others may raise anything
        if isinstance(error, KeyboardInterrupt) and not _is_raised(error):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:500]
        raise PluginError(f"{label} cannot be imported: {said}") from error
    if door.base is not None and not (isinstance(found, type) and issubclass(found, door.base)):
        raise PluginError(f"{label} is not a subclass of {_public(door.base)}")
    undefined = sorted({*_missing(found, door), *getattr(found, "__abstractmethods__", ())})
    if undefined:
        raise PluginError(f"{label} does not define {', '.join(undefined)}")
    if door.options and not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise PluginError(f"{label} is not a dataclass, whose fields are its options")
    if not callable(found):
        raise PluginError(f"{label} cannot be called")
    return found


def imported(target: str) -> Any:
    """Import ``module:attribute``."""
    module, _, path = target.partition(":")
    return reduce(getattr, path.split("."), importlib.import_module(module))


def _missing(found: object, door: Door) -> list[str]:
    known = {*dir(found), *getattr(found, "__dataclass_fields__", ())}
    return [name for name in door.methods if name not in known]


def _is_raised(error: BaseException) -> bool:
    """True if a statement raised the error; Ctrl-C raises it between two instructions."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return place is not None and dis.opname[place.tb_frame.f_code.co_code[place.tb_lasti]] == "RAISE_VARARGS"


def _public(cls: type) -> str:
    """The name of a class in the package that hands it out, else in its module."""
    package = cls.__module__.rpartition(".")[0]
    handed_out = vars(sys.modules.get(package, object)).get(cls.__name__) is cls
    return f"{package if handed_out else cls.__module__}.{cls.__name__}"
