"""Runs: a trained model on disk, with everything needed to use it again.

    runs/<name>/
        config.yaml      the resolved configuration: modality, options, process, prediction, seed, training, sampling
        data.json        facts about the data: shape, classes, mean, scale
        seal.json        copies of both, against changed digits: see ptdiff.run.seal
        env.json         versions and machine
        metrics.jsonl    one line per report: step, loss, loss by noise band, …;   metrics.csv   the same as a table
        eval.json        the evaluation that stands for the run;   eval/   all of them: see ptdiff.run.evaluations
        samples/         previews;   logs/   files of the logger
        checkpoints/     see ptdiff.run.checkpoint
        averages/        snapshots of averaged weights, if any: see ptdiff.run.posthoc
        start/           initial weights, if they come from another run: see ptdiff.run.fine_tuning

The folder contains no pickle files.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ptdiff.choices import unknown
from ptdiff.documents.atomic import clear, write_atomic
from ptdiff.documents.jsons import read_json
from ptdiff.documents.yamls import parse_yaml, read_yaml
from ptdiff.errors import CheckpointError, RunError
from ptdiff.machine import host
from ptdiff.modality import registry
from ptdiff.modality.backbones import with_backbone
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.modality.tensors import NAME
from ptdiff.run import links
from ptdiff.run.checkpoint import Checkpoint, latest, lost, save
from ptdiff.run.config import Config, read_run
from ptdiff.run.exported import is_unpacked
from ptdiff.run.lock import held
from ptdiff.run.models import located, near, outputs, ships
from ptdiff.run.seal import SEAL, changes, edited, read_seal, write_seal

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.denoiser.network import NetworkDenoiser

RETRIES = 5
"""How often weights are looked for in a newer checkpoint, if training removes one while it is being read."""


@dataclass(frozen=True)
class Start:
    """The initial weights of a run, and their origin.

    ``weights``: tensors by name.
    ``origin``: name of the source, step and SHA-256 of its weights, and the classes that are ``new`` to it.
    """

    weights: Mapping[str, Tensor]
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A run folder.

    ``path``: the folder.
    ``config``: the contents of config.yaml.
    ``data``: the data; facts without samples for a run that was opened from disk.
    ``kind``: the modality if it is an object of the caller; None if it is installed under ``config.modality``.
    """

    path: Path
    config: Config
    data: Data
    kind: Modality | None = field(default=None, compare=False, repr=False)

    @staticmethod
    def create(path: Path, config: Config, data: Data, start: Start | None = None, kind: Modality | None = None) -> Run:
        """Create a new run folder at ``path``.

        ``start``: initial weights; env.json records their origin.

        Raises RunError if the folder already contains a run, is that of an installed model, has links inside, or is
        being filled by another process: nothing is overwritten.
        """
        run = Run(path, config, data, kind)
        run.refuse_model()
        path.mkdir(parents=True, exist_ok=True)
        # before anything is written or looked for: of two that start at the same time, one gets nothing
        with run.locked():
            run._fill(start)
        return run

    def _fill(self, start: Start | None) -> None:
        path = self.path
        if os.path.lexists(path / "config.yaml"):
            raise RunError(
                f"{path} already contains a run: continue it with 'ptdiff resume {path}', or choose another --out"
            )
        if (found := links.check(path)) is not None:
            raise RunError(found)
        for folder in (path / "samples", path / "checkpoints", path / "logs"):
            folder.mkdir(exist_ok=True)
        if start is not None:
            save(path / "start", 0, {"model": start.weights}, start.origin)
        environment = _environment() | {"plugin": registry.origin(self.config.modality)}
        environment |= {} if start is None else {"origin": dict(start.origin)}
        write_atomic(path / "env.json", json.dumps(environment, indent=1) + "\n")
        facts = self.data.facts()
        write_atomic(path / "data.json", json.dumps(facts, indent=1) + "\n")
        text = self.config.to_yaml()
        write_seal(path, [parse_yaml(text)], facts)
        # last, because its presence is what makes the folder a run
        write_atomic(path / "config.yaml", text)

    @staticmethod
    def open(run: Path | str, warn: Callable[[str], None] | None = None, kind: Modality | None = None) -> Run:
        """Open an existing run, given its folder or the name of an installed model; its data has no samples.

        ``warn``: called with a line if the name is ambiguous, or if config.yaml was edited; default: a warning.

        Raises RunError if this is not a run folder, has links inside (:mod:`ptdiff.run.links`), or data.json cannot be
        read or was changed, and ValueError for a bad config.yaml.
        """
        path = located(run, warn)
        if not (path / "config.yaml").is_file():
            raise RunError(f"{path} is not a run folder: it has no config.yaml{near(path)}")
        config = read_run(path / "config.yaml")
        try:
            facts = read_json(path / "data.json")
            data = Data.from_facts(facts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}/data.json cannot be read: {error}") from error
        _compare_with_seal(path, facts, warn or _warn)
        return Run(path, config, data, kind)

    def settled(self, config: Config, trial: Mapping[str, Any]) -> Run:
        """This run with ``config``, in which no setting is "auto"; writes it, and adds ``trial`` to env.json."""
        known = self.path / "env.json"
        facts = read_json(known) if known.exists() else {}
        write_atomic(known, json.dumps({**facts, "trial": dict(trial)}, indent=1) + "\n")
        return self.rewritten(config)

    def rewritten(self, config: Config) -> Run:
        """This run with ``config``, which replaces config.yaml."""
        text, data = config.to_yaml(), read_json(self.path / "data.json")
        write_seal(self.path, [read_yaml(self.path / "config.yaml"), parse_yaml(text)], data)
        write_atomic(self.path / "config.yaml", text)
        write_seal(self.path, [parse_yaml(text)], data)
        return replace(self, config=config)

    @property
    def expected_rate(self) -> float | None:
        """Steps per second that the trial before training measured; None if there was no trial."""
        try:
            return float(self._recorded("trial")["steps_per_second"])
        except (ValueError, KeyError, TypeError):
            return None

    def _recorded(self, key: str) -> Any:
        """A value of env.json; None if it is missing or cannot be read."""
        try:
            return read_json(self.path / "env.json")[key]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def change(self, data: Data) -> str | None:
        """Compare ``data`` with the data of this run; returns the first difference in words, or None."""
        before = read_json(self.path / "data.json")
        now = json.loads(json.dumps(data.facts()))
        for name in ("shape", "classes", "samples", "origin"):
            if before.get(name) != now.get(name):
                return f"{name} were {before.get(name)} and are {now.get(name)}"
        return None

    def with_data(self, where: str) -> Run:
        """This run with its data at ``where``: an option of the modality, in this object only.

        Raises RunError for a modality without the option ``data``.
        """
        if "data" not in self.config.options:
            raise RunError(f"{self.path}: the modality {self.config.modality} has no option data")
        options = {**self.config.options, "data": where}
        return replace(self, config=self.config.model_copy(update={"options": options}))

    def other_content(self, data: Data) -> str | None:
        """Compare the content of ``data`` with that of this run; returns the first difference in words, or None.

        Stricter than :meth:`change`: the ``sha256`` of the data's summary must match, or without one in either,
        as for runs of earlier versions, mean and scale to six digits.
        """
        import numpy as np

        different = self.change(data)
        if different is not None:
            return different
        before, now = (str(facts.get("sha256", "")) for facts in (self.data.summary, data.summary))
        if before and now:
            return None if before == now else f"sha256 of the content was {before[:12]}… and is {now[:12]}…"
        for name in ("mean", "scale"):
            old, new = getattr(self.data, name), getattr(data, name)
            if not np.allclose(np.ravel(old), np.ravel(new), rtol=1e-6, atol=1e-9 * float(np.max(self.data.scale))):
                return f"{name} was {old} and is {new}"
        return None

    @property
    def outputs(self) -> Path:
        """Folder for files made from this run: its own, or ``runs/models/<name>`` for an installed model."""
        return outputs(self.path)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def averages(self) -> Path:
        """Folder of the snapshots of averaged weights; may not exist."""
        return self.path / "averages"

    def modality(self) -> Modality:
        """The modality with the options of this run.

        Raises RunError if the run was trained on plain tensors, or with a plugin that is not installed, which is named,
        and UnknownName if its modality is ``module:Class`` and the user has not named it.
        """
        if self.kind is not None:
            return with_backbone(self.kind, self.config.backbone)
        if self.config.modality == NAME:
            raise RunError(
                f"{self.path} was trained on tensors with a network that is not stored: open it in Python with "
                f"ptdiff.load({str(self.path)!r}, network=...)"
            )
        needed = registry.missing(self.config.modality, self._recorded("plugin"))
        if needed is not None:
            raise RunError(f"{self.path} needs {needed}")
        kind = registry.load(self.config.modality, self.config.options).as_of(self.data)
        return with_backbone(kind, self.config.backbone)

    def checkpoint(self, warn: Callable[[str], None] | None = None) -> Checkpoint:
        """The newest checkpoint that verifies; ``warn`` is called about others.  Raises RunError if there is none."""
        found = latest(self.checkpoints, warn)
        if found is None:
            damaged = lost(self.checkpoints)
            reason = f": {damaged[0].name} is damaged" if damaged else ""
            raise RunError(
                f"{self.path} has no usable checkpoint{reason}: continue training with 'ptdiff resume {self.path}'"
            )
        return found

    def check_checkpoint(self, *, from_scratch: bool = False) -> None:
        """Refuse to train from the beginning by accident, or with ``from_scratch`` to ignore a good checkpoint.

        Raises RunError if the run had checkpoints and none is usable, or if one is usable and ``from_scratch`` is set.
        """
        found = latest(self.checkpoints)
        if found is not None and from_scratch:
            raise RunError(f"{found.path} is a good checkpoint: resume without --from-scratch")
        if found is None and not from_scratch and (gone := lost(self.checkpoints)):
            names = ", ".join(path.name for path in gone[:3])
            raise RunError(
                f"{self.path} has no usable checkpoint ({names}): restore one, "
                f"or train again from step 0 with 'ptdiff resume {self.path} --from-scratch'"
            )

    @property
    def means(self) -> bool:
        """True if the network estimates E[x_0 | x], which all do except those trained for consistency."""
        return bool(self.config.objective["name"] == "denoise")

    def network(self) -> NetworkDenoiser:
        """The denoiser of this run before training, with its initial weights.

        Raises RunError if the weights that it started from are damaged or missing, and ValueError if the network does
        not fit the memory.
        """
        from ptdiff.denoiser.building import built

        model = built(self.modality(), self.data, self.config.prediction, flow_map=self.config.is_flow_map)
        if (self.path / "start").is_dir():
            found = latest(self.path / "start")
            if found is None:
                raise RunError(f"{self.path}/start, the initial weights of the run, is damaged or missing")
            model.load_state_dict(found.tensors("model"))
        return model

    def denoiser(
        self, warn: Callable[[str], None] | None = None, *, weights: str | float | None = None
    ) -> NetworkDenoiser:
        """The trained denoiser, in evaluation mode.

        ``weights``: "raw"; "ema", the average, or "ema-1", … for additional averages; "best" for a run with patience;
        or a number, possibly as text, for the average of that relative width, computed from the snapshots of the run.
        None means "best" if available, and "ema" otherwise.

        Raises UnknownName for an unknown name, and RunError if the run cannot provide these weights.
        """
        model = self.network()
        checkpoint = self.checkpoint(warn)
        for _ in range(RETRIES):
            try:
                found = self._weights(checkpoint, weights, warn)
                break
            except CheckpointError:
                # training may have removed it since it was found
                newer = self.checkpoint(warn)
                if newer.path == checkpoint.path:
                    raise
                checkpoint = newer
        else:
            found = self._weights(checkpoint, weights, warn)
        try:
            model.load_state_dict(found)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise RunError(f"{checkpoint.path} does not fit the modality {self.config.modality!r}: {first}") from error
        return model.eval()

    def _weights(
        self, checkpoint: Checkpoint, weights: str | float | None, warn: Callable[[str], None] | None
    ) -> dict[str, Tensor]:
        from ptdiff.run.posthoc import average

        # an installed model has averaged weights only
        there = sorted(checkpoint.parts)
        parts = {"raw": "model"} if "model" in there else {}
        parts |= {part: part for part in there if part.startswith(("ema", "best"))}
        name = ("best" if "best" in parts else "ema") if weights is None else weights
        if isinstance(name, str) and name in parts:
            return checkpoint.tensors(parts[name])
        try:
            width = float(name)
        except ValueError:
            raise unknown("weights", str(name), [*parts, "a relative width such as 0.1"]) from None
        try:
            return average(self.averages, checkpoint, width, warn)
        except ValueError as error:
            raise RunError(f"{self.path}: {error}") from None

    def locked(self) -> IO[str]:
        """Lock the run for this process in a ``with`` statement; raises RunError if another process is training it."""
        try:
            return held(self.path / ".lock")
        except BlockingIOError:
            raise RunError(f"{self.path} is being trained by another process") from None

    def clear(self) -> None:
        """Delete what killed processes left in the run, for the process that trains it; others may write to samples."""
        for folder in (self.path, self.path / "samples"):
            clear(folder, idle=3600)

    def refuse_model(self) -> None:
        """Raise RunError if this is an installed model, whose folder is read-only."""
        if ships(self.path):
            name = self.path.name
            if is_unpacked(self.path):
                raise RunError(
                    f"{name} is an exported model, which is read-only: fine-tune it with 'ptdiff train --from'"
                )
            raise RunError(
                f"{name} is an installed model, which is read-only: fine-tune it with 'ptdiff train --from {name}'"
            )

    def log(self, values: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        with links.appending(self.path / "metrics.jsonl") as file:
            file.write(json.dumps(dict(values)) + "\n")


def _compare_with_seal(path: Path, data: Any, warn: Callable[[str], None]) -> None:
    """Call ``warn`` if config.yaml is not what ptdiff wrote; raise RunError if data.json is not."""
    try:
        sealed = read_seal(path)
    except (OSError, ValueError):
        # the line below says it
        sealed = None
    changed = "" if sealed is None else changes(sealed["data"], data)
    if changed:
        raise RunError(
            f"{path}/data.json is not what training measured: {changed}; restore it, or delete {SEAL} to use it anyway"
        )
    if (line := edited(path)) is not None:
        warn(line)


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=3)


def process_rank() -> int:
    """Rank of this process among those that train together; 0 for a single process.

    Raises ValueError if the variable RANK or LOCAL_RANK is not a number.
    """
    name = "RANK" if os.environ.get("RANK") else "LOCAL_RANK"
    text = os.environ.get(name) or "0"
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"the environment variable {name} must be the rank of this process, not {text!r}")
    return int(text)


def _environment() -> dict[str, Any]:
    packages = {}
    for name in (
        "ptdiff",
        "torch",
        "pytorch-lightning",
        "torch-geometric",
        "trimesh",
        "open3d",
        "numpy",
        "scipy",
        "pykdtree",
    ):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "machine": host.facts(),
        "packages": packages,
    }
