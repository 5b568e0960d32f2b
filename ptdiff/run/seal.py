"""The seal of a run: what config.yaml and data.json held when ptdiff wrote them.

    seal.json    {"format": 1, "config": [mapping, …], "data": mapping, "sha256": digest of the others}

A changed digit in one of these files would be read as another run.  The seal has a copy of their contents, so that a
change is named: ``training.lr 0.001 -> 0.01``.  config.yaml may be edited by hand, with a line about what changed; the
measured facts of data.json may not, because the weights depend on them.

``config`` has two entries while config.yaml is being replaced, so that a crash in between does not look like an edit.
Runs of earlier versions have no seal, and nothing is compared.

A seal proves no origin: it has no key, so whoever changes all three files can write a seal that fits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ptdiff.documents.atomic import write_atomic
from ptdiff.documents.jsons import read_json
from ptdiff.documents.yamls import read_yaml
from ptdiff.errors import check_format

SEAL = "seal.json"
FORMAT = 1
MANY = 6
"""Most changes that one line names."""


def write_seal(folder: Path, configs: list[Mapping[str, Any]], data: Mapping[str, Any]) -> None:
    """Write the seal: the contents of config.yaml, accepted and newest last, and of data.json."""
    content = {"format": FORMAT, "config": [dict(config) for config in configs], "data": dict(data)}
    # as they will be read back: tuples become lists, and numbers keep their digits
    content = json.loads(json.dumps(content))
    write_atomic(folder / SEAL, json.dumps(content | {"sha256": _digest(content)}, indent=1) + "\n")


def read_seal(folder: Path) -> dict[str, Any] | None:
    """The contents of the seal, or None if the run has none; raises ValueError or OSError for a damaged one."""
    path = folder / SEAL
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged")
    check_format(content.get("format"), FORMAT, SEAL)
    configs, data = content.get("config"), content.get("data")
    whole = isinstance(configs, list) and configs and all(isinstance(each, dict) for each in configs)
    # of the right form too, because whoever changes it can compute the digest
    if content.pop("sha256", None) != _digest(content) or not whole or not isinstance(data, dict):
        raise ValueError(f"{path} is damaged")
    return content


def edited(folder: Path) -> str | None:
    """A line about config.yaml if it is not what ptdiff wrote, or about a damaged seal; None if nothing was changed."""
    try:
        sealed = read_seal(folder)
    except (OSError, ValueError) as error:
        return f"{error}: changes of config.yaml and data.json since training started cannot be noticed"
    config = read_yaml(folder / "config.yaml")
    if sealed is None or not all(changes(each, config) for each in sealed["config"]):
        return None
    return f"{folder}/config.yaml was edited: {changes(sealed['config'][-1], config)}"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def changes(before: Any, after: Any) -> str:
    """The differences between two values of JSON, in words; empty if they are equal.

    >>> changes({"training": {"lr": 0.001, "batch": 32}}, {"training": {"lr": 0.01, "batch": 32}})
    'training.lr 0.001 -> 0.01'
    """
    found = list(_changes(json.loads(json.dumps(before)), json.loads(json.dumps(after, default=str)), ""))
    more = f", and {len(found) - MANY} more" if len(found) > MANY else ""
    return ", ".join(found[:MANY]) + more


def _changes(before: Any, after: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            here = f"{place}.{key}" if place else str(key)
            if key not in after:
                yield f"{here} is missing"
            elif key not in before:
                yield f"{here} {_short(after[key])} was added"
            else:
                yield from _changes(before[key], after[key], here)
    elif before != after or type(before) is not type(after):
        yield f"{place} {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "…"
