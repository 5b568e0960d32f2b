"""Reading of YAML and JSON from files, which may come from strangers; bounded before anything is expanded.

Every function refuses folders, pipes and devices, which may never end, and files larger than a bound, with OSError or
ValueError in one line.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import yaml

MOST_YAML = 1 << 17
"""Largest YAML document in bytes: a complete configuration has 3 KiB, and YAML takes about ten seconds a MiB to read."""

MOST_JSON = 1 << 24
"""Largest JSON document in bytes: facts about the data of a run have a few KiB, 1 MiB with many thousand classes."""

MOST_LINE, MOST_LINES = 1 << 20, 1 << 28
"""Largest line and file of JSON lines, in bytes: a week of training writes about 100 MiB of metrics.jsonl."""

MOST_DEPTH = 24
"""Deepest nesting of YAML: a configuration needs six levels, and deep nesting exhausts Python's stack."""


def opened(path: Path) -> IO[bytes]:
    """Open a regular file for reading in binary; a pipe is refused without waiting for a writer.

    Raises OSError if the file cannot be read or is a folder, a device, a pipe or a socket.
    """
    # a pipe opened without O_NONBLOCK waits until somebody writes; checked after opening, so that nobody can exchange it
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(f"{path} is a {'folder' if stat.S_ISDIR(mode) else 'device or a pipe'}, not a file")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, most: int) -> bytes:
    """The contents of a file of at most ``most`` bytes; raises ValueError for a larger one."""
    with opened(path) as file:
        data = file.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{path} has {os.fstat(file.fileno()).st_size:,} bytes, and at most {most:,} are read")
        return data


def read_text(path: Path, most: int) -> str:
    """The text of a file in UTF-8 with at most ``most`` bytes; raises ValueError for anything else."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from None


def parse_yaml(text: str) -> Any:
    """The value of a YAML document: plain values only, without aliases and tags, at most MOST_DEPTH levels.

    Numbers with an exponent need no point: 1e-3 is a number, as in YAML 1.2.  Raises ValueError, in one line.

    >>> parse_yaml("lr: 1e-3")
    {'lr': 0.001}
    >>> parse_yaml("a: &a [1]\\nb: *a")
    Traceback (most recent call last):
    ValueError: aliases are not read, line 2: write the value of *a
    """
    # measured in characters here, because settings on the command line get no further
    if len(text) > MOST_YAML:
        raise ValueError(f"a YAML document of {len(text):,} characters; at most {MOST_YAML:,} are read")
    try:
        # _Loader constructs plain values only
        return yaml.load(text, _Loader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from None


def read_yaml(path: Path) -> Any:
    """The value of a YAML file; raises OSError or ValueError, in one line that begins with the path."""
    text = read_text(path, MOST_YAML)
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def yaml_text(value: Any) -> str:
    """Plain values as a YAML document, which :func:`parse_yaml` reads; keys keep their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON document; raises ValueError, in one line, also for nesting that is too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("not JSON: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not JSON in UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


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
            raise ValueError(f"{path} has {size:,} bytes, and at most {MOST_LINES:,} are read")
        while line := file.readline(MOST_LINE + 1):
            if len(line) > MOST_LINE:
                raise ValueError(f"{path} has a line of more than {MOST_LINE:,} bytes")
            try:
                value = parse_json(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


class _Loader(yaml.SafeLoader):
    """Plain values only; counts levels and refuses aliases and tags while it composes, before they are expanded."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node and what it contains."""
        event = self.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"aliases are not read, line {line}: write the value of *{event.anchor}")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"tags are not read, line {line}: leave out {event.tag}")
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError(f"nested more than {MOST_DEPTH} levels deep, line {line}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Build a mapping; a key that stands twice is refused, because only one of its values could be used."""
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ValueError(f"the key {key.value!r} stands twice, again in line {key.start_mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes what :class:`_Loader` reads."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands twice as often as it stands."""
        return True


for _kind in (_Loader, _Dumper):
    # YAML 1.1 reads 1e-3 as a string, which is never intended
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )
