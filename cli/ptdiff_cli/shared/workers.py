"""The options ``--workers`` and ``--engine``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptdiff.machine.engines import Engine


def chosen_engine(workers: int | None, engine: str) -> Engine | None:
    """The engine with that many workers; None without ``--workers``.

    Raises UnknownName for an unknown engine, and ValueError for another engine than the default without ``--workers``.
    """
    from ptdiff.machine.engines import ENGINES

    kind = ENGINES[engine]
    if workers is None:
        if engine != "processes":
            raise ValueError(f"--engine {engine} needs the number of workers: --workers N")
        return None
    return kind(workers)
