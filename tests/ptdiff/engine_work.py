"""Functions for workers, which import them by name."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.machine.engines import Engine


@dataclass(frozen=True)
class Deadly:
    """Squares a number; its first ``deaths`` calls end the process by a signal, by the count of files in ``folder``."""

    folder: str
    deaths: int
    signal: str = "SIGKILL"

    def __call__(self, number: int) -> int:
        place = Path(self.folder)
        if len(list(place.iterdir())) < self.deaths:
            (place / f"{number}-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.Signals[self.signal])
        return number * number


@dataclass(frozen=True)
class DeadlyEngine:
    """An engine whose workers are killed twice on the way."""

    engine: Engine
    folder: str

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        return self.engine.map(DeadlyWork(function, Deadly(self.folder, 2)), items)


@dataclass(frozen=True)
class DeadlyWork:
    """A function whose process is killed twice on the way."""

    function: Callable[[Any], Any]
    deadly: Deadly

    def __call__(self, item: Any) -> Any:
        self.deadly(0)
        return self.function(item)


def failing(number: int) -> int:
    """Fail for 3."""
    if number == 3:
        raise ValueError("three")
    return number
