"""Export of a model: a folder to share, in the format of :mod:`ptdiff.run.exported`, or a network in ONNX."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from ptdiff.choices import one_of
from ptdiff.documents.atomic import temporary, write_atomic
from ptdiff.documents.files import expanded
from ptdiff.documents.jsons import read_json
from ptdiff.errors import RunError
from ptdiff.modality import registry
from ptdiff.modality.tensors import NAME
from ptdiff.model.card import measurement, page, score_table
from ptdiff.model.onnx import NetworkOfRun, save_network
from ptdiff.run import evaluations, hub
from ptdiff.run.checkpoint import sha256
from ptdiff.run.config import FORMAT as CONFIG_FORMAT
from ptdiff.run.exported import CARD, CONFIG, FORMAT, LIBRARY, PICTURE, WEIGHTS, is_exported

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.sampling.samples import Samples


class ExportableModel(NetworkOfRun, Protocol):
    """The parts of :class:`ptdiff.model.Model` that an export needs."""

    def sample(self, n: int) -> Samples: ...


def export(
    model: ExportableModel,
    to: Path | str,
    *,
    license: str | None = None,
    half: bool = False,
    samples: int = 9,
    replace: bool = False,
    say: Callable[[str], None],
) -> str:
    """Write ``model`` for others, and return the path or address.

    ``to``: a folder; a file with the suffix .onnx (the network alone, see :mod:`ptdiff.model.onnx`); or
    ``hf://owner/name``, a repository on the Hugging Face Hub, created if needed.
    ``license``, ``half``, ``samples``, ``replace``, ``say``: see :func:`save_folder`, also for errors.
    """
    if hub.is_address(to):
        hub.library()
        repository, _ = hub.parsed(to)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / repository.partition("/")[2]
            save_folder(model, folder, license=license, half=half, samples=samples, say=say)
            return hub.uploaded(folder, to)
    target = expanded(to)
    if target.suffix.lower() == ".onnx":
        if half or license is not None:
            raise ValueError(f"{target}: a license and float16 are for folders; an .onnx file has the network alone")
        return str(save_network(model, target))
    return str(save_folder(model, target, license=license, half=half, samples=samples, replace=replace, say=say))


def save_folder(
    model: ExportableModel,
    folder: Path,
    *,
    license: str | None = None,
    half: bool = False,
    samples: int = 9,
    replace: bool = False,
    say: Callable[[str], None],
) -> Path:
    """Write ``model`` as a folder that others can load, and return its path.

    ``license``: of the weights, such as "mit", for the card.  ``half``: weights in float16, half the size.
    ``samples``: number of samples in the image on the card; 0: no image.
    ``replace``: overwrite an earlier export.  ``say``: called with lines about the export.

    Raises RunError if ``folder`` exists or the run is not of an installed modality, and ValueError if a weight is out
    of the range of float16.
    """
    run = model.run
    if run.config.modality == NAME or run.kind is not None or ":" in run.config.modality:
        raise RunError(
            f"{run.path} cannot be exported: its modality {run.config.modality!r} is not an installed plugin, "
            "so nobody else could load it"
        )
    if folder.exists() and not (replace and is_exported(folder)) and any(folder.iterdir()):
        raise RunError(f"{folder} exists" + (": add --replace to overwrite it" if is_exported(folder) else ""))
    weights = _weights(model, half)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = temporary(folder.parent)
    try:
        fresh.mkdir()
        _save(weights, fresh / WEIGHTS)
        facts = _facts(model, sha256(fresh / WEIGHTS), say)
        write_atomic(fresh / CONFIG, json.dumps(facts, indent=1) + "\n")
        if samples:
            model.sample(samples).render(fresh / PICTURE)
        size = sum(value.numel() for value in weights.values())
        write_atomic(fresh / CARD, page(facts, folder.name, size, license, half, picture=bool(samples)))
        _replace(folder, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    if "eval" not in facts:
        say(f"the card has no scores: run 'ptdiff eval {run.path}' first")
    if license is None:
        say("the card has no license: name one with --license")
    return folder


def _replace(folder: Path, fresh: Path) -> None:
    """Move ``fresh`` to ``folder``; an earlier export there is removed only after that."""
    earlier = temporary(folder.parent)
    if folder.exists():
        folder.rename(earlier)
    try:
        fresh.rename(folder)
    except OSError:
        if earlier.exists():
            earlier.rename(folder)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def _weights(model: ExportableModel, half: bool) -> dict[str, Tensor]:
    weights = {key: value.detach().cpu() for key, value in model.denoiser.state_dict().items()}
    if not half:
        return weights
    narrow = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    for key, value in narrow.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{key} is out of the range of float16: export it in float32")
    return narrow


def _save(weights: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save

    # cloned, because safetensors refuses tensors that share memory (tied weights); save_file would ignore the umask
    path.write_bytes(save({key: value.contiguous().clone() for key, value in weights.items()}, {"format": "pt"}))


def _facts(model: ExportableModel, digest: str, say: Callable[[str], None]) -> dict[str, Any]:
    """The contents of config.json."""
    run = model.run
    checkpoint = run.checkpoint()
    plugin = next(listed for listed in registry.modalities() if listed.name == run.config.modality)
    facts = {
        "library_name": LIBRARY,
        "format": FORMAT,
        "ptdiff": version(LIBRARY),
        "modality": plugin.name,
        "plugin": {"distribution": plugin.distribution, "version": plugin.version},
        "step": checkpoint.step,
        "elapsed": checkpoint.elapsed if "elapsed" in checkpoint.state else None,
        "sha256": digest,
        "config": {"format": CONFIG_FORMAT, **run.config.model_dump(mode="json")},
        "data": _read(run.path / "data.json"),
        "environment": {key: value for key, value in _read(run.path / "env.json").items() if key != "platform"},
    }
    scores = evaluations.first(run, one_of("protocol", None, run.modality().protocols()))
    if scores is not None:
        facts["eval"] = scores
        try:
            score_table(scores["metrics"])
            measurement(scores)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise RunError(f"{run.path}/eval.json cannot be read: {said}; evaluate it again") from error
    places = {
        str(value) for value in run.config.options.values() if isinstance(value, str) and Path(value).is_absolute()
    }
    for place in sorted(places):
        say(f"{place} is written as {Path(place).name}: paths of this machine are not exported")
    without: dict[str, Any] = _without(facts, sorted(places, key=len, reverse=True))
    return without


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise RunError(f"{path} cannot be read: it must be a mapping")
    return found


def _without(value: Any, places: list[str]) -> Any:
    """``value`` with the last part of each path in place of the path, in all texts."""
    if isinstance(value, dict):
        return {key: _without(part, places) for key, part in value.items()}
    if isinstance(value, list):
        return [_without(part, places) for part in value]
    if isinstance(value, str):
        for place in places:
            value = value.replace(place, Path(place).name)
    return value
