"""YAML: plain values only, without aliases and tags; bounded in size and depth before it is expanded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ptdiff.documents.files import read_text

MOST_YAML = 1 << 17
"""Largest YAML document in bytes: a complete configuration has 3 KiB, and a MiB takes ten seconds to read."""

MOST_DEPTH = 24
"""Deepest nesting of YAML: a configuration needs six levels, and deep nesting exhausts Python's stack."""


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
        return _Loader(text).get_single_data()
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


class _Loader(yaml.SafeLoader):
    """Plain values only; counts levels and refuses aliases and tags while it composes, before they are expanded."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node and what it contains."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
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
        """Build a mapping; a duplicate key is refused, because only one of its values could be used."""
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.tag == "tag:yaml.org,2002:merge":
                    raise ValueError(f"merge keys (<<) are not read, line {key.start_mark.line + 1}: write the values")
                if key.value in seen:
                    raise ValueError(f"the key {key.value!r} appears twice, again in line {key.start_mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _number(loader: yaml.SafeLoader, node: Any) -> Any:
    """Refuse what YAML 1.1 reads to another base than it shows: 1:30 is 90 for it, and 010 is 8."""
    if ":" in node.value or re.fullmatch(r"[-+]?0[0-9_]+", node.value):
        raise ValueError(f"{node.value} can be read as two numbers, line {node.start_mark.line + 1}: rewrite it")
    whole = node.tag.endswith(":int")
    return (loader.construct_yaml_int if whole else loader.construct_yaml_float)(node)


for _kind_of_number in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind_of_number}", _number)


class _Dumper(yaml.SafeDumper):
    """Writes what :class:`_Loader` reads."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a repeated value in full each time, without aliases."""
        return True


for _kind in (_Loader, _Dumper):
    # YAML 1.1 reads 1e-3 as a string, which is never intended
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
    )
