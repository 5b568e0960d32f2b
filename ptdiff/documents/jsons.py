"""JSON and JSON lines; bounded in size and depth."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptdiff.documents.files import opened, read_text

MOST_JSON = 1 << 24
"""Largest JSON document in bytes: facts about the data of a run have a few KiB, 1 MiB with many thousand classes."""

MOST_LINE, MOST_LINES = 1 << 20, 1 << 28
"""Largest line and file of JSON lines, in bytes: a week of training writes about 100 MiB of metrics.jsonl."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON document.

    Raises ValueError, in one line, also for nesting that is too deep and for an object with the same key twice, because
    only one of its values could be used.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("not JSON: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not JSON in UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} appears twice")
    return made


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises OSError or ValueError, in one line that begins with the path."""
    text = read_text(path, MOST_JSON)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects in a file with one in each line; nothing if there is no file.

    Lines that are no JSON object are left out: a process that is killed may leave a part of one.

    Raises OSError for a pipe or a device, and ValueError for a line or file that is too large.
    """
    if not path.exists():
        return
    with opened(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > MOST_LINES:
            raise ValueError(f"{path} has {size:,} bytes; at most {MOST_LINES:,} are read")
        while line := file.readline(MOST_LINE + 1):
            if len(line) > MOST_LINE:
                raise ValueError(f"{path} has a line of more than {MOST_LINE:,} bytes")
            try:
                value = parse_json(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value
