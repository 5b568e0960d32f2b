"""From options of the command line to a plan of sampling, and to the model that follows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ptdiff.run.folder import Run
    from ptdiff.sampling.sampler import Plan
    from ptdiff.sampling.samples import Samples

NAMES = ("points", "label", "spacing", "weak")
"""Arguments of the library that errors begin with, and that are options of the same name here."""


def make_plan(run: Run, over: Mapping[str, Any], settings: list[str] | None = None, seed: int = 0) -> Plan:
    """The run's own way of sampling, with what the command line says instead.

    over: option to value, None where it was not given; "process" beside the keys of the section ``sampling``.
    """
    from ptdiff.model.arguments import planned
    from ptdiff.run.config import merged
    from ptdiff.run.config import settings as parse

    extra = parse(settings or [], "solver.key=value")
    # among themselves first: an option and the name it belongs to come in any order
    asked = merged({key: value for key, value in over.items() if value is not None}, extra)
    with named_as_options():
        # a wrong combination ends here, before the weights are read
        return planned(run, asked, seed)


def scale(guidance: float | None) -> dict[str, float] | None:
    """--guidance as the option of whatever rule the run is configured with."""
    return None if guidance is None else {"scale": guidance}


@contextmanager
def named_as_options() -> Iterator[None]:
    """Errors inside about an argument, such as "points must …", become errors about the option, "--points must …"."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        if text.partition(" ")[0].rstrip(":") in NAMES:
            raise type(error)(f"--{text}") from error
        raise


def read_samples(path: Path, modality: str) -> Samples:
    """The samples of a file of any modality; DataError if there are none in it."""
    from ptdiff.errors import DataError
    from ptdiff.run.models import near
    from ptdiff.sampling.samples import Samples

    if not path.exists():
        raise DataError(f"{path} does not exist{near(path)}")
    return Samples.read(path, modality)
