"""Loggers beside metrics.jsonl, by name; each is imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ptdiff.modality import Unsupported
from ptdiff.names import unknown

LOGGERS = {"csv": "CSVLogger", "tensorboard": "TensorBoardLogger", "mlflow": "MLFlowLogger", "wandb": "WandbLogger"}


def make_loggers(names: list[str], run: Path) -> list[Any]:
    """Lightning loggers that write into the run's logs/ folder; Unsupported names the package that is missing."""
    made = []
    for name in names:
        if name not in LOGGERS:
            raise unknown("logger", name, LOGGERS)
        from pytorch_lightning import loggers

        place = run / "logs"
        arguments: dict[str, dict[str, Any]] = {
            "csv": {"save_dir": str(place), "name": "csv", "version": ""},
            "tensorboard": {"save_dir": str(place), "name": "tensorboard", "version": ""},
            "mlflow": {
                "experiment_name": "ptdiff",
                "run_name": run.name,
                "tracking_uri": f"sqlite:///{(place / 'mlflow.db').resolve()}",
            },
            "wandb": {"save_dir": str(place), "name": run.name, "project": "ptdiff"},
        }
        try:
            if name in ("mlflow", "wandb"):
                # both write from the start
                place.mkdir(parents=True, exist_ok=True)
            made.append(getattr(loggers, LOGGERS[name])(**arguments[name]))
        except ImportError as error:
            raise Unsupported(f"--logger {name} needs a package: pip install 'ptdiff[{name}]' ({error})") from error
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
