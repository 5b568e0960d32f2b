"""Exported models: a folder to share, laid out as on the Hugging Face Hub.

    <folder>/
        model.safetensors    averaged weights
        config.json          configuration, facts about the data, scores, plugin and versions, SHA-256 of the weights
        README.md            the model card;   samples.png    samples

:mod:`ptdiff.model.export` writes it.  :func:`unpacked` checks it and converts it, once, to a run folder in the cache,
so that every command and ``ptdiff.load`` take it like any other run.  Nothing in the folder is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.documents.atomic import temporary, write_atomic
from ptdiff.documents.files import expanded, opened, read_text
from ptdiff.documents.jsons import parse_json
from ptdiff.errors import RunError, check_format

if TYPE_CHECKING:
    from ptdiff.run.config import Config

FORMAT = 1
"""Format of config.json.  Increase it when older versions would misread a file without an error."""
LIBRARY = "ptdiff"
CONFIG, WEIGHTS, CARD, PICTURE = "config.json", "model.safetensors", "README.md", "samples.png"
LARGEST = 4 << 20
"""Most bytes of config.json; those of the shipped models have about 10 KB."""


def is_exported(folder: Path) -> bool:
    """True if ``folder`` has a config.json and no config.yaml, as an exported model but no run has."""
    return (folder / CONFIG).is_file() and not (folder / "config.yaml").exists()


def described(folder: Path) -> tuple[Config, dict[str, Any]]:
    """The configuration in config.json, and all of its contents; raises RunError if they are not those of ptdiff."""
    # imported here, because looking for a run's name needs none of it
    from ptdiff.run.config import FORMAT as CONFIG_FORMAT
    from ptdiff.run.config import MOST_STEPS, validate

    path = folder / CONFIG
    try:
        facts = parse_json(read_text(path, LARGEST))
        if not isinstance(facts, dict) or facts.get("library_name") != LIBRARY:
            found = facts.get("library_name") if isinstance(facts, dict) else None
            raise ValueError(f"library_name must be {LIBRARY!r}, not {found!r}: this is not a model of ptdiff")
        check_format(facts.get("format"), FORMAT, CONFIG)
        for name, kind in (("config", dict), ("data", dict), ("step", int), ("sha256", str)):
            if not isinstance(facts.get(name), kind):
                raise ValueError(f"{name} is missing or of the wrong type")
        if isinstance(facts["step"], bool) or not 0 <= facts["step"] <= MOST_STEPS:
            raise ValueError(f"step must be a number of training steps, 0 to {MOST_STEPS:,}")
        settings = dict(facts["config"])
        if ":" in str(settings.get("modality")):
            raise ValueError("modality must be the name of an installed plugin: a file never decides what is imported")
        check_format(settings.pop("format", None), CONFIG_FORMAT, f"config in {CONFIG}")
        return validate(settings), facts
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: {error}") from None


def cache() -> Path:
    """The folder of unpacked models, under ``$PTDIFF_CACHE``, else ``$XDG_CACHE_HOME/ptdiff``, else ``~/.cache``."""
    base = os.environ.get("PTDIFF_CACHE")
    if base is None:
        base = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ptdiff")
    return expanded(base) / "models"


def is_unpacked(run: Path) -> bool:
    """True for a run folder that :func:`unpacked` made, which is read-only."""
    return run.resolve().parent.parent == cache().resolve()


def unpacked(folder: Path, name: str | None = None) -> Path:
    """The run folder of an exported model, unpacked into the cache unless it is there already.

    ``name``: of the run folder; default: that of ``folder``.

    Raises RunError if the configuration is not valid or the weights are not those that were exported.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from ptdiff.documents.yamls import parse_yaml
    from ptdiff.run.checkpoint import save
    from ptdiff.run.seal import write_seal

    config, facts = described(folder)
    weights = folder / WEIGHTS
    try:
        with opened(weights) as stream:
            # read once, so that what is checked is what is used
            stored = stream.read()
    except OSError as error:
        raise RunError(f"{folder}: the weights cannot be read: {error.strerror or error}") from None
    if hashlib.sha256(stored).hexdigest() != facts["sha256"]:
        raise RunError(f"{weights} has changed since it was exported, or was not copied completely")
    content = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    target = cache() / content / (name or folder.resolve().name)
    if (target / "config.yaml").is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = temporary(target.parent)
    try:
        fresh.mkdir()
        try:
            parts = {"ema": load(stored)}
        except SafetensorError as error:
            raise RunError(f"{weights} is not a safetensors file: {error}") from None
        save(fresh / "checkpoints", facts["step"], parts, {"step": facts["step"], "elapsed": facts.get("elapsed", 0.0)})
        for file, key in (("data.json", "data"), ("env.json", "environment"), ("eval.json", "eval")):
            if isinstance(facts.get(key), Mapping):
                write_atomic(fresh / file, json.dumps(facts[key], indent=1) + "\n")
        text = config.to_yaml()
        write_seal(fresh, [parse_yaml(text)], facts["data"])
        write_atomic(fresh / "config.yaml", text)
        try:
            fresh.rename(target)
        except OSError:
            # another process was faster
            if not (target / "config.yaml").is_file():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target
