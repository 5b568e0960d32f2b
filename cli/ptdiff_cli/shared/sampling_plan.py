"""Turns command-line options into a plan of sampling, and reads samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ptdiff.run.folder import Run
    from ptdiff.sampling.sampler import Plan
    from ptdiff.sampling.samples import Samples

NAMES = ("points", "label", "condition", "spacing", "weak", "out")
"""Arguments of the library that are options of the same name here, and with which its errors begin."""


def make_plan(run: Run, over: Mapping[str, Any], settings: list[str] | None = None, seed: int = 0) -> Plan:
    """The plan of a run, with the options of the command line in place of its own.

    ``over``: option to value, None if not given: "process" and the keys of the section ``sampling``.
    ``settings``: texts "section.key=value".

    Raises UnknownName for an unknown name, and ValueError for a wrong value or combination.
    """
    from ptdiff.model.arguments import planned
    from ptdiff.run.config import merged
    from ptdiff.run.config import settings as parse

    extra = parse(settings or [], "solver.key=value")
    # merged with each other first, because an option and its name may come in any order
    asked = merged({key: value for key, value in over.items() if value is not None}, extra)
    with named_as_options():
        # refuses a wrong combination before the weights are read
        return planned(run, asked, seed)


def scale(guidance: float | None) -> dict[str, float] | None:
    """The value of --guidance as the scale of the configured guidance rule; None if not given."""
    return None if guidance is None else {"scale": guidance}


def spoken(conditions: list[str]) -> dict[str, str]:
    """The values of --condition by name; ValueError unless each is NAME=VALUE with a name of its own."""
    found: dict[str, str] = {}
    for text in conditions:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"--condition must be NAME=VALUE, not {text!r}")
        if name.strip() in found:
            raise ValueError(f"--condition {name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found


@contextmanager
def named_as_options() -> Iterator[None]:
    """Turn errors about an argument, such as "points must …", into errors about the option, "--points must …"."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        if text.partition(" ")[0].rstrip(":") in NAMES:
            raise type(error)(f"--{text}") from error
        raise


def read_samples(path: Path, modality: str, data: str | None = None) -> Samples:
    """The samples of a file; arguments: see :meth:`ptdiff.sampling.samples.Samples.read`."""
    from ptdiff.errors import DataError
    from ptdiff.run.models import near
    from ptdiff.sampling.samples import Samples

    if not path.exists():
        raise DataError(f"{path} does not exist{near(path)}")
    return Samples.read(path, modality, data)
