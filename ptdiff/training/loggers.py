"""Loggers beside metrics.jsonl, by name; each is imported only when asked for."""

from __future__ import annotations

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
