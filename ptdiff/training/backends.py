"""Trackers that write a run's figures, settings and pictures, each in its own format.

A tracker is a Lightning logger, or has its methods ``log_metrics``, ``log_hyperparams``, ``save`` and ``finalize``; one
with ``log_picture(name, picture, step)`` receives pictures too.  Everything is written below ``place``, the run's logs/
folder; a resumed run continues there, under the identity stored with it.  ``run`` is the name of the run, ``group`` the
set of runs it is a trial of, or None for a run by itself.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import uuid
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger

from ptdiff.documents.atomic import write_atomic
from ptdiff.pictures.files import Picture
from ptdiff.run.links import appending


class MetricsTable:
    """metrics.csv: one column per figure, one row per report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.columns = next(csv.reader(file), [])

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Append a row; a new figure adds a column."""
        row = {"step": step} | dict(metrics)
        new = [name for name in row if name not in self.columns]
        if new:
            self._widen(new)
        with appending(self.path) as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def _widen(self, new: list[str]) -> None:
        rows: list[dict[str, str]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        self.columns += new
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, self.columns)
        table.writeheader()
        table.writerows(rows)
        write_atomic(self.path, text.getvalue())

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Do nothing: config.yaml lies beside the table."""

    def save(self) -> None:
        """Do nothing: every row is written immediately."""

    def finalize(self, status: str) -> None:
        """Do nothing: every row is written immediately."""


class TensorBoard(TensorBoardLogger):
    """Event files, with the hyperparameters compared by validation loss."""

    def __init__(self, place: Path, run: str, group: str | None = None) -> None:
        super().__init__(str(place), name="tensorboard", version="")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the figures, and the validation loss for the comparison of hyperparameters."""
        # the figure by which TensorBoard's table of hyperparameters compares runs
        judged = {"hp_metric": metrics["validation_loss"]} if "validation_loss" in metrics else {}
        super().log_metrics(dict(metrics) | judged, step)

    def log_picture(self, name: str, picture: Picture, step: int) -> None:
        """Log a picture in the IMAGES tab."""
        self.experiment.add_image(name, picture, step, dataformats="HWC")


class MLflow(MLFlowLogger):
    """A run of the experiment ``ptdiff``, in the run's own database or at MLFLOW_TRACKING_URI."""

    def __init__(self, place: Path, run: str, group: str | None = None) -> None:
        server = os.environ.get("MLFLOW_TRACKING_URI", "")
        if server.startswith("sqlite:") and server.endswith("/logs/mlflow.db"):
            # of an earlier run of this process: MLflow exports the address of every logger
            server = ""
        place.mkdir(parents=True, exist_ok=True)
        self.kept = place / "mlflow-run"
        self.place = None if server else place.resolve()
        super().__init__(
            experiment_name="ptdiff",
            run_name=run if group is None else f"{group}/{run}",
            tags=None if group is None else {"group": group},
            tracking_uri=server or f"sqlite:///{(place / 'mlflow.db').resolve()}",
            artifact_location=None if server else (place / "mlflow-artifacts").resolve().as_uri(),
            run_id=self.kept.read_text(encoding="utf-8") if self.kept.is_file() else None,
        )

    def log_hyperparams(self, params: Any) -> None:
        """Log the parameters that the run does not have yet."""
        identity = str(self.run_id)
        self.kept.write_text(identity, encoding="utf-8")
        # MLflow does not allow changing parameters: a resumed run only adds new ones
        known = self.experiment.get_run(identity).data.params
        super().log_hyperparams({name: value for name, value in params.items() if name not in known})

    def log_picture(self, name: str, picture: Picture, step: int) -> None:
        """Log a picture as an artifact of the run; raises OSError if its database says to write it elsewhere."""
        if self.place is not None:
            where = str(self.experiment.get_run(str(self.run_id)).info.artifact_uri)
            path = Path(url2pathname(urlsplit(where).path)).resolve()
            if urlsplit(where).scheme not in ("", "file") or not path.is_relative_to(self.place):
                raise OSError(f"mlflow.db names {where} for pictures, which is outside the run")
        self.experiment.log_image(str(self.run_id), picture, f"{name}/step-{step:07d}.png")


class Wandb(WandbLogger):
    """A run of the project ``ptdiff``: offline, to be uploaded with ``wandb sync``, unless WANDB_MODE is online."""

    def __init__(self, place: Path, run: str, group: str | None = None) -> None:
        place.mkdir(parents=True, exist_ok=True)
        kept = place / "wandb-run"
        if not kept.is_file():
            kept.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
        offline = os.environ.get("WANDB_MODE", "offline") != "online"
        identity = kept.read_text(encoding="utf-8")
        name = run if group is None else f"{group}/{run}"
        super().__init__(save_dir=str(place), name=name, project="ptdiff", id=identity, offline=offline, group=group)

    def log_picture(self, name: str, picture: Picture, step: int) -> None:
        """Log a picture with the figures of its step."""
        self.log_image(name, [picture], step)

    def finalize(self, status: str) -> None:
        """End the run, which Lightning leaves open, so that the next run of this process is not logged into it."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))


class Trackio:
    """A run of the project ``ptdiff`` in Trackio's store, which all runs of this machine share, or on a server.

    The store is where TRACKIO_DIR says; TRACKIO_SPACE_ID or TRACKIO_SERVER_URL sends the run to a server instead.
    """

    def __init__(self, place: Path, run: str, group: str | None = None) -> None:
        import trackio

        place.mkdir(parents=True, exist_ok=True)
        kept, self.trackio = place / "trackio-run", trackio
        if not kept.is_file():
            kept.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
        identity = kept.read_text(encoding="utf-8")
        if not re.fullmatch(r"[0-9a-f]{8}", identity):
            # it becomes part of the names of files
            raise OSError(f"{kept} must hold 8 hexadecimal digits, not {identity[:20]!r}")
        # runs of different folders may have the same name
        name = f"{run if group is None else f'{group}-{run}'}-{identity}"
        with redirect_stdout(sys.stderr):
            self.run = trackio.init(
                "ptdiff", name=name, group=group, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False
            )

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the figures of a step."""
        self.run.log(dict(metrics), step=step)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Log the settings by their dotted keys; they are stored with the first figures."""
        self.run.config.update({k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in params.items()})

    def log_picture(self, name: str, picture: Picture, step: int) -> None:
        """Log a picture with the figures of its step."""
        self.run.log({name: self.trackio.Image(picture)}, step=step)

    def save(self) -> None:
        """Do nothing: Trackio saves on its own."""

    def finalize(self, status: str) -> None:
        """End the run, so that everything is written; Trackio has no place for ``status``."""
        with redirect_stdout(sys.stderr):
            self.trackio.finish()


class Aim:
    """A run of the experiment ``ptdiff`` in an Aim repository (``aim up --repo RUN/logs/aim``).

    Frozen: Aim has had no release since May 2025, so this gets fixes but no new features.
    """

    def __init__(self, place: Path, run: str, group: str | None = None) -> None:
        import aim

        place.mkdir(parents=True, exist_ok=True)
        kept, self.aim = place / "aim-run", aim
        identity = kept.read_text(encoding="utf-8") if kept.is_file() else None
        self.run = aim.Run(run_hash=identity, repo=str(place / "aim"), experiment="ptdiff")
        self.run.name = run if group is None else f"{group}/{run}"
        if group is not None:
            self.run["group"] = group
        kept.write_text(str(self.run.hash), encoding="utf-8")

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log every figure as a sequence."""
        for name, value in metrics.items():
            self.run.track(value, name=name, step=step)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Log the settings by their dotted keys, as text if Aim has no type for them."""
        self.run["hparams"] = {k: v if isinstance(v, (bool, int, float, str)) else str(v) for k, v in params.items()}

    def log_picture(self, name: str, picture: Picture, step: int) -> None:
        """Log a sequence of pictures."""
        from PIL import Image

        self.run.track(self.aim.Image(Image.fromarray(picture)), name=name, step=step)

    def save(self) -> None:
        """Do nothing: Aim saves on its own."""

    def finalize(self, status: str) -> None:
        """Close the run."""
        self.run.close()
