"""Training from Python in one call: what ``ptdiff train`` does, on a modality, a data set or plain tensors."""

from __future__ import annotations

import atexit
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.denoiser.building import TRAIN, built
from ptdiff.machine import host
from ptdiff.modality import registry
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.modality.tensors import NAME, Tensors, tensor_data
from ptdiff.model import Model
from ptdiff.run.config import merged
from ptdiff.run.fine_tuning import begun
from ptdiff.run.folder import Run
from ptdiff.run.recipes import recipe as recipe_by_name
from ptdiff.training.configuration import resolve
from ptdiff.training.fit import Hardware, fit
from ptdiff.training.observer import Observer

if TYPE_CHECKING:
    from torch import nn

EVERY = 10.0
"""Seconds between two lines of progress."""


def train(
    what: str | Modality | Data | Any = None,
    labels: Any = None,
    *,
    network: nn.Module | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    out: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    recipe: str | None = None,
    start: Path | str | None = None,
    device: str = "auto",
    say: Callable[[str], None] | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> Model:
    """Train a model from the beginning, or from the weights of another, and return it.

    what: a modality by name ("pointcloud") or as an object; or data for ``network``: floats (n, *shape), a tensor or
        NumPy array, or a :class:`ptdiff.Data`.  May be left out with ``recipe`` or ``start``.
    labels: whole numbers (n,), the class of each sample of an array; None without classes.
    network: ``forward(x, angle, cond) -> y`` as :meth:`ptdiff.Modality.backbone` describes: x (b, *shape), angle (b,)
        the noise level in [0, pi/2], cond a mapping that may hold "label" (b,), y the shape of x.  It is copied.
    steps, minutes: when to end; with both, whichever comes first.  Default: those of the recipe.
    out: the run folder; by default a temporary one that is removed when Python ends.
    options: of the modality, as ``-o`` on the command line; ``{"data": "path/to/meshes"}``.
    recipe: a recipe by name, as ``-c``.  start: a run, or a model that ships, whose weights it begins with.
    device: auto, cpu, cuda, cuda:1 or mps.
    say: called with lines about the work and its progress, such as ``print``.  observer: sees every step.
    settings: sections of config.yaml and their values: ``process="ve"``, ``training={"batch": 64, "lr": 1e-3}``.

    Raises UnknownName and ValueError, before anything is trained, for whatever is wrong with these; OSError or
    ValueError for data that cannot be read; RunError if ``out`` holds a run; Diverged if the loss stays non-finite.
    """
    values: dict[str, Any] = {} if recipe is None else recipe_by_name(recipe).values()
    kind: Modality | None = None
    if isinstance(what, str):
        registry.trust(what)
        values = merged(values, {"modality": what})
    elif isinstance(what, Modality):
        kind, named = _installed(what)
        values = merged(values, named)
    elif what is not None:
        if network is None:
            raise ValueError("data without a modality needs a network: network=..., see ptdiff.train")
        data = what if isinstance(what, Data) else tensor_data(what, labels)
        kind, values = Tensors(data, network), merged(values, {"modality": NAME})
    if network is not None and not isinstance(kind, Tensors):
        raise ValueError("network is only for plain data; a modality has its own backbone")
    values = merged(values, {**settings, "options": {**values.get("options", {}), **(options or {})}})
    if steps is not None or minutes is not None:
        values = merged(values, {"training": {"steps": steps, "minutes": minutes}})
    watching = observer or (Observer() if say is None else ProgressLines(say))
    run = train_run(out or _temporary(), values, watching, device, start=start, kind=kind)
    return Model.of(run, data=_known(kind), device=device)


def train_run(
    out: Path | str,
    values: Mapping[str, Any],
    observer: Observer | None = None,
    device: str = "auto",
    *,
    start: Path | str | None = None,
    kind: Modality | None = None,
) -> Run:
    """Create a run in the folder ``out`` and train it to its end.

    ``values``: nested as in config.yaml, with a ``modality``; everything else defaults to the modality's recipe and the
    general defaults.  The values of a named recipe are ``ptdiff.run.recipes.recipe(name).values()``;
    ``ptdiff.run.config.merged`` overrides some of them.
    ``device``: auto, cpu, cuda, cuda:1 or mps, see :func:`ptdiff.machine.host.device`.
    ``kind``: the modality itself, if it is not installed under that name.
    ``start``: a run, or the name of a shipped model (``ptdiff.run.models``), whose averaged weights initialize the new
    run.  Its modality and configuration then replace modality and recipe (``ptdiff.run.fine_tuning``), and ``values``
    must contain ``training.steps`` or ``training.minutes``.

    Raises what :func:`train` raises.
    """
    host.device(device)  # raises for an unknown name
    source = None if start is None else Run.open(start)
    config, modality = resolve(values, source, kind)
    data = modality.dataset()
    weights = None
    if source is not None:
        weights = begun(
            source, config, built(modality, data, config.prediction, TRAIN, flow_map=config.is_flow_map), data
        )
    run = Run.create(Path(out), config, data, weights, kind)
    fit(run, modality, data, hardware=Hardware(device=device), observer=observer)
    # as it was settled for this machine
    return dataclasses.replace(run, config=Run.open(run.path, kind=kind).config)


class ProgressLines(Observer):
    """Hands lines about a run to ``write``: what is under way, and progress every ten seconds."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write, self.last, self.loss = write, time.monotonic(), ""

    def say(self, line: str) -> None:
        """Pass on a line."""
        self.write(line)

    def begin(self, what: str) -> None:
        """Say that the first step is under way, which may take long."""
        if what == "first step":
            self.say("first step ...")

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        """Say how far training is, every ten seconds."""
        if (now := time.monotonic()) - self.last >= EVERY:
            self.last = now
            self.say(f"{fraction:.0%}  step {done:,}  {done / max(seconds, 1e-9):.3g} steps/s{self.loss}")

    def report(self, values: dict[str, Any]) -> None:
        """Keep the newest loss."""
        if "loss" in values:
            self.loss = f"  loss {values['loss']:.4f}"


def _installed(kind: Modality) -> tuple[Modality | None, dict[str, Any]]:
    """The entry of a modality in config.yaml, and the object itself if the entry alone cannot recreate it."""
    options = dataclasses.asdict(kind)
    target = f"{type(kind).__module__}:{type(kind).__qualname__}"
    for listed in registry.modalities():
        if listed.target == target:
            return None, {"modality": listed.name, "options": options}
    try:
        json.dumps(options)
    except (TypeError, ValueError):
        options = {}
    return kind, {"modality": type(kind).__name__.lower(), "options": options}


def _known(kind: Modality | None) -> Data | None:
    """The samples of tensors, which nothing else can read."""
    return kind.data if isinstance(kind, Tensors) else None


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ptdiff-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "run"
