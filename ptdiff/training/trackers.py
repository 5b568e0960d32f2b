"""Trackers in addition to metrics.jsonl and metrics.csv, by name; the package of each is imported on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ptdiff.choices import Catalog
from ptdiff.errors import Unsupported
from ptdiff.pictures.files import Picture
from ptdiff.plugins.doors import Door
from ptdiff.run.config import flattened
from ptdiff.run.links import separate
from ptdiff.training.backends import Aim, MLflow, TensorBoard, Trackio, Wandb

LOGGERS: Catalog[Callable[[Path, str, str | None], Any]] = Catalog(
    "logger",
    {
        "tensorboard": TensorBoard,
        "mlflow": MLflow,
        "wandb": Wandb,
        "trackio": Trackio,
        "aim": Aim,
    },
    Door("trackers", "logger", methods=("log_metrics", "log_hyperparams", "save", "finalize"), options=False),
)
"""Trackers by name, called with the folder for their files, the name of the run, and that of its set of runs or None.

Further attributes: :mod:`ptdiff.training.backends`."""


def check_loggers(names: list[str]) -> None:
    """Raise UnknownName for an unknown logger, Unsupported if its package is missing; writes nothing.

    A logger of a plugin is imported, and PluginError raised if that fails.
    """
    builtin = set(LOGGERS)
    for name in names:
        LOGGERS[name]
        if name in builtin and find_spec(name) is None:
            raise Unsupported(f"--logger {name} needs a package: pip install 'ptdiff[{name}]'")


def make_loggers(names: list[str], run: Path) -> list[Any]:
    """Create the trackers with these names, which write into the run's logs/ folder.

    Raises like :func:`check_loggers`, and Unsupported if a tracker does not work.
    """
    check_loggers(names)
    # the packages write some of their files in place
    separate(run / "logs")
    # trials have the same names in every set
    parent = run.resolve().parent
    group = parent.name if (parent / "sweep.yaml").is_file() else None
    made = []
    for name in names:
        try:
            made.append(LOGGERS[name](run / "logs", run.name, group))
        except ImportError as error:
            raise Unsupported(f"--logger {name} does not work with the installed packages: {error}") from error
    return made


class Trackers:
    """Loggers that are switched off when they fail: a broken tracker must not end a run.

    Lightning does not know them, because it lets their exceptions end the training.
    """

    def __init__(self, loggers: list[Any], say: Callable[[str], None]) -> None:
        self.loggers, self.say = list(loggers), say

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Log the figures of a step."""
        self._each(lambda logger: (logger.log_metrics(dict(numbers), step=step), logger.save()))

    def settings(self, values: Mapping[str, Any]) -> None:
        """Log the configuration, by dotted keys."""
        flat = flattened(values)
        self._each(lambda logger: logger.log_hyperparams(flat))

    @property
    def take_pictures(self) -> bool:
        """True if any logger accepts pictures."""
        return any(_pictures(logger) for logger in self.loggers)

    def picture(self, name: str, picture: Picture, step: int) -> None:
        """Log a picture with the loggers that accept pictures."""
        self._each(lambda logger: logger.log_picture(name, picture, step) if _pictures(logger) else None)

    def close(self, status: str) -> None:
        """Close all loggers; ``status`` is "success" or "failed"."""
        self._each(lambda logger: logger.finalize(status))

    def _each(self, do: Callable[[Any], object]) -> None:
        for logger in list(self.loggers):
            try:
                do(logger)
            except Exception as error:
                # the figures are still in metrics.jsonl
                self.loggers.remove(logger)
                self.say(f"{type(logger).__name__} failed and is switched off: {type(error).__name__}: {error}")


def _pictures(logger: Any) -> bool:
    # check the class: a logger whose attributes raise is detected when it is used
    return hasattr(type(logger), "log_picture")
