"""Import of single modules from libraries whose packages import more than is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from ptdiff.certify.peers import Noise


class _Nothing(ModuleType):
    """An empty module from which any name can be imported."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def installed(package: str) -> bool:
    """Return True if the package is installed; does not import it."""
    return find_spec(package) is not None


def part(package: str, name: str, unused: tuple[str, ...] = ()) -> Any:
    """Import the module ``package.name`` without running the package's own ``__init__``.

    ``unused``: libraries that the module imports but that nothing here calls; if missing, they are replaced by empty
    modules during the import.  Raises ImportError if the package is not installed.
    """
    full = f"{package}.{name}"
    if full in sys.modules:
        return sys.modules[full]
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{package} is not installed", name=package)
    shell = ModuleType(package)
    shell.__path__ = list(spec.submodule_search_locations)
    stand_ins: dict[str, ModuleType] = {package: shell}
    for missing in unused:
        if find_spec(missing.partition(".")[0]) is None:
            stand_ins[missing] = _Nothing(missing)
            stand_ins[missing].__path__ = []
    # modules loaded by the import itself must stay, which mock.patch.dict would remove
    stand_ins = {key: module for key, module in stand_ins.items() if key not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return import_module(full)
    finally:
        for key in stand_ins:
            del sys.modules[key]


@contextmanager
def drawing(noise: Noise) -> Iterator[None]:
    """Make ``torch.randn_like`` and ``torch.randn`` return the numbers of ``noise`` within the context."""
    with (
        mock.patch.object(torch, "randn_like", side_effect=lambda *_, **__: noise()),
        mock.patch.object(torch, "randn", side_effect=lambda *_, **__: noise()),
    ):
        yield
