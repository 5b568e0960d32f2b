"""What installed distributions declare, read from their metadata; nothing is imported.

A line that cannot be used is a :class:`Plugin` with a ``problem``, so that it harms no other line, and is listed.  The
metadata of the current folder is not used: Python puts it on the path, and it may be from someone else.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ptdiff.plugins.doors import DOORS, GROUP

OURS = "ptdiff"
"""The distribution whose plugins are the built-in ones, and the start of the names of all its packages."""

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,80}", re.ASCII)
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Plugin:
    """One line of the metadata of a distribution, in a group ``ptdiff.<door>.v<contract>``.

    ``distribution``, ``version``: "?" if the metadata does not say.
    ``door``, ``contract``: from the name of the group.
    ``name``: by which it is used.  ``target``: the object, as module:attribute.
    ``problem``: why the line cannot be used; empty if it can.
    """

    distribution: str
    version: str
    door: str
    contract: int
    name: str
    target: str
    problem: str = ""

    @property
    def builtin(self) -> bool:
        """True for what ships with ptdiff."""
        return normalized(self.distribution) == OURS

    @property
    def module(self) -> str:
        """The module of the target."""
        return self.target.partition(":")[0]

    @property
    def origin(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}"


def declared() -> tuple[Plugin, ...]:
    """All lines of all distributions, sorted by door, name and distribution."""
    # Python adds the current folder for python -c, python -m and notebooks
    own = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    folders = [folder for folder in map(Path, sys.path) if folder.is_dir()]
    folders = [folder for folder in folders if folder in own or not folder.samefile(".")]
    return _of_path(tuple((folder, folder.stat().st_mtime_ns) for folder in folders))


def normalized(name: str) -> str:
    """The name of a distribution as the index of packages compares names: a_B.c is a-b-c."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=1)
def _of_path(state: tuple[tuple[Path, int], ...]) -> tuple[Plugin, ...]:
    """Read all metadata once, and again after something was installed."""
    found: list[Plugin] = []
    seen: set[str] = set()
    for folder, _ in state:
        for place in sorted(_places(folder)):
            stem, _, suffix = place.rpartition(".")
            name = normalized(stem.rpartition("-")[0] or stem if suffix == "dist-info" else stem.partition("-")[0])
            # of two versions, the first on the path is the one that is imported
            if name not in seen:
                seen.add(name)
                found += _of_distribution(folder / place, name)
    return tuple(sorted(found, key=lambda plugin: (plugin.door, plugin.name, plugin.distribution)))


def _places(folder: Path) -> list[str]:
    try:
        # not Path.iterdir, which is slow; pip renames what it removes to a name with a tilde
        with os.scandir(folder) as found:
            names = [entry.name for entry in found]
        return [name for name in names if name.endswith((".dist-info", ".egg-info")) and name[0] != "~"]
    except OSError:
        return []


def _of_distribution(place: Path, known_as: str) -> Iterator[Plugin]:
    try:
        data = (place / "entry_points.txt").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield Plugin(known_as, "?", "?", 0, "?", "?", f"entry_points.txt cannot be read: {error.strerror}")
        return
    # most distributions have nothing to do with ptdiff, and decoding is slower than this
    if b"ptdiff." not in data:
        return
    name, version, problem = _identity(place, known_as)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        yield Plugin(name, version, "?", 0, "?", "?", "entry_points.txt is not UTF-8")
        return
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif line and line[0] not in "#;" and group.startswith("ptdiff."):
            yield _of_line(name, version, group, line, problem)


def _of_line(distribution: str, version: str, group: str, line: str, problem: str) -> Plugin:
    name, equals, target = map(str.strip, line.partition("="))
    # extras, as in "module:Class [extra]", say what to install
    target = target.partition("[")[0].strip()
    matched = GROUP.fullmatch(group)
    door, contract = (matched[1], int(matched[2])) if matched else (group.removeprefix("ptdiff."), 0)
    if not matched:
        problem = problem or f"group {group} is not of the form ptdiff.DOOR.v1"
    elif door not in DOORS:
        problem = problem or f"there is no door {door}; choose from: {', '.join(DOORS)}"
    elif not _NAME.fullmatch(name):
        problem = problem or "its name is not made of letters, digits and . _ + -"
    elif not equals or not _TARGET.fullmatch(target):
        problem = problem or f"{target or line!r} is not of the form module:Class"
    return Plugin(distribution, version, door, contract, name, target, problem)


def _identity(place: Path, known_as: str) -> tuple[str, str, str]:
    """Name, version and problem of a distribution, by its METADATA; by the name of its folder if that says nothing."""
    head = b""
    for file in ("METADATA", "PKG-INFO"):
        try:
            head = (place / file).read_bytes().partition(b"\n\n")[0]
            break
        except OSError:
            continue
    fields = dict(re.findall(r"^(Name|Version):[ \t]*(\S+)[ \t]*\r?$", head.decode(errors="replace"), re.MULTILINE))
    name, version = fields.get("Name", ""), fields.get("Version", "?")
    if not _NAME.fullmatch(name):
        return known_as, version, "its METADATA has no valid name"
    if normalized(name) != known_as:
        # the folder is what an installer replaces and removes, so two distributions cannot share it
        return known_as, version, f"its METADATA is that of {name}"
    return name, version if _NAME.fullmatch(version) else "?", ""
