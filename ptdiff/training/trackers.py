"""Trackers beside metrics.jsonl and metrics.csv, by name; each one's package is imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ptdiff.choices import unknown
from ptdiff.errors import Unsupported
from ptdiff.pictures.files import Picture
from ptdiff.run.config import flattened
from ptdiff.training.backends import Aim, MLflow, TensorBoard, Wandb

LOGGERS: dict[str, Callable[[Path, str, str | None], Any]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": Wandb,
    "aim": Aim,
}


def check_loggers(names: list[str]) -> None:
    """UnknownName for a logger that there is not, Unsupported for one whose package is missing; writes nothing."""
    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", name, LOGGERS)
        if find_spec(name) is None:
            raise Unsupported(f"--logger {name} needs a package: pip install 'ptdiff[{name}]'")


def make_loggers(names: list[str], run: Path) -> list[Any]:
    """The trackers of these names, which write into the run's logs/ folder; raises as :func:`check_loggers`."""
    check_loggers(names)
    # the trials of a set are called alike in every set
    parent = run.resolve().parent
    group = parent.name if (parent / "sweep.yaml").is_file() else None
    made = []
    for name in names:
        try:
            made.append(LOGGERS[name](run / "logs", run.name, group))
        except ImportError as error:
            raise Unsupported(f"--logger {name} does not work with what is installed: {error}") from error
    return made


class Trackers:
    """Loggers, each of which is switched off when it fails: a tracker that is down must not cost a run.

    Lightning is not told of them, because it lets an exception of theirs end the training.
    """

    def __init__(self, loggers: list[Any], say: Callable[[str], None]) -> None:
        self.loggers, self.say = list(loggers), say

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """The figures of a step."""
        self._each(lambda logger: (logger.log_metrics(dict(numbers), step=step), logger.save()))

    def settings(self, values: Mapping[str, Any]) -> None:
        """The configuration, by dotted keys."""
        flat = flattened(values)
        self._each(lambda logger: logger.log_hyperparams(flat))

    @property
    def take_pictures(self) -> bool:
        """Whether there is a logger that pictures can be given to."""
        return any(_pictures(logger) for logger in self.loggers)

    def picture(self, name: str, picture: Picture, step: int) -> None:
        """A picture, for those that take pictures."""
        self._each(lambda logger: logger.log_picture(name, picture, step) if _pictures(logger) else None)

    def close(self, status: str) -> None:
        """No more is to come; status: success or failed."""
        self._each(lambda logger: logger.finalize(status))

    def _each(self, do: Callable[[Any], object]) -> None:
        for logger in list(self.loggers):
            try:
                do(logger)
            except Exception as error:
                # metrics.jsonl has the figures
                self.loggers.remove(logger)
                self.say(f"{type(logger).__name__} is switched off: {type(error).__name__}: {error}")


def _pictures(logger: Any) -> bool:
    # asked of the class: a logger whose attributes raise is found out when it is used
    return hasattr(type(logger), "log_picture")
