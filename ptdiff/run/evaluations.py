"""Evaluations in a run folder: every one is kept, and one stands for the run.

eval/<protocol>-n<n>.json    the newest evaluation of a protocol and a number of samples
eval.json                    a copy of the one that comparisons, lists, cards and exports show

Raw samples, another split and other reference data are appended to the name: ``full-set-n120-train.json``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptdiff.documents.atomic import whole, write_atomic
from ptdiff.documents.jsons import read_json
from ptdiff.errors import RunError
from ptdiff.run.folder import Run

FILE, FOLDER = "eval.json", "eval"

LONGEST = 60
"""Most characters of a part of a file name."""


def keep(run: Run, evaluation: Mapping[str, Any], protocol: str) -> Path:
    """Write ``evaluation`` to the folder ``eval`` of a run, also to eval.json if it ranks first; return its path.

    An eval.json of an earlier version, which is nowhere else, is copied to the folder ``eval`` first.

    protocol: the default protocol of the modality.
    """
    folder, data = run.outputs, _data(run)
    shown, before = folder / FILE, None
    if shown.is_file():
        try:
            before = rank(found := read_json(shown), protocol, data)
            if not (copy := folder / FOLDER / file_name(found, data)).exists():
                with whole(copy) as part:
                    shutil.copyfile(shown, part)
        except (ValueError, KeyError, TypeError, AttributeError):
            before = None  # damaged, so it is replaced
    target, text = folder / FOLDER / file_name(evaluation, data), json.dumps(evaluation, indent=1) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, text)
    if before is None or rank(evaluation, protocol, data) >= before:
        write_atomic(shown, text)
    return target


def first(run: Run, protocol: str) -> dict[str, Any] | None:
    """Read the evaluation that stands for a run; None if it was not evaluated.

    An installed model has two eval.json: the one it came with and one in ``run.outputs``.

    Raises RunError for a damaged file.
    """
    found: list[tuple[tuple[int, bool, int], dict[str, Any]]] = []
    for path in {folder / FILE: None for folder in (run.outputs, run.path)}:
        if path.is_file():
            try:
                evaluation = read_json(path)
                found.append((rank(evaluation, protocol, _data(run)), evaluation))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(f"{path} cannot be read: {type(error).__name__}: {error}; evaluate it again") from error
    return max(found, key=lambda each: each[0])[1] if found else None


def rank(evaluation: Mapping[str, Any], protocol: str, data: str) -> tuple[int, bool, int]:
    """Return what decides which evaluation stands for a run; of equal ones it is the newest.

    In this order: the training step of the weights; the default protocol on held-out data of the run, without ``raw``;
    the number of samples.  Raises KeyError, TypeError, ValueError or AttributeError for a damaged evaluation.
    """
    usual = evaluation["protocol"] == protocol and not _others(evaluation, data)
    return int(evaluation.get("step", -1)), usual, int(evaluation["n"])


def file_name(evaluation: Mapping[str, Any], data: str) -> str:
    """Return the name of an evaluation in the folder ``eval``.

    >>> file_name({"protocol": "full-set", "n": 120, "reference": {"data": "moons", "split": "train"}}, "moons")
    'full-set-n120-train.json'
    """
    parts = [_plain(evaluation["protocol"]), f"n{int(evaluation['n'])}", *_others(evaluation, data)]
    return "-".join(parts) + ".json"


def _data(run: Run) -> str:
    """The data of a run, as evaluations record it."""
    return str(run.config.options.get("data"))


def _others(evaluation: Mapping[str, Any], data: str) -> list[str]:
    """What was not measured as usual, in words: other data, another split, raw samples."""
    reference = evaluation.get("reference", {})
    other = reference.get("data", data)
    return [
        *([_plain(Path(other).name)] if other != data else []),
        *([_plain(split)] if (split := reference.get("split", "val")) != "val" else []),
        *(["raw"] if evaluation.get("sampling", {}).get("raw") else []),
    ]


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text)[:LONGEST]
