"""Who may use a name: the rules for plugins that several distributions, or none, can provide.

* A built-in is never replaced.  A name that a built-in and a plugin claim, or two plugins, is refused with both
  origins.
* A plugin for another version of a contract is named with the version that it needs.
* ``PTDIFF_PLUGINS`` is the safe mode: ``none``, or the names of the only distributions to use, separated by commas.
  Built-ins are always used.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ptdiff.errors import PluginError, UnknownName
from ptdiff.plugins.doors import DOORS, Door
from ptdiff.plugins.metadata import OURS, Plugin, declared, normalized

SWITCH = "PTDIFF_PLUGINS"
"""The environment variable of the safe mode."""

State = Literal["ok", "clash", "other version", "disabled", "broken"]


@dataclass(frozen=True)
class PluginState:
    """A plugin with its state, as far as metadata tells; ``detail`` explains a state other than ok."""

    plugin: Plugin
    state: State
    detail: str = ""


def claims(builtin: Mapping[str, Collection[str]] | None = None) -> list[PluginState]:
    """All plugins of all distributions with their states; nothing is imported.

    ``builtin``: the names by door that ptdiff has by itself, without declaring them in its metadata.
    """
    own = builtin or {}
    by_name: dict[tuple[str, str], list[Plugin]] = {}
    for plugin in declared():
        by_name.setdefault((plugin.door, plugin.name), []).append(plugin)
    allowed = _allowed()
    return [
        claim
        for (door, name), plugins in by_name.items()
        for claim in _judged(plugins, allowed, ours=name in own.get(door, ()))
    ]


def names(door: str) -> list[str]:
    """The names that plugins bring to a door and that can be used, as far as metadata tells, sorted."""
    return [claim.plugin.name for claim in claims() if claim.plugin.door == door and claim.state == "ok"]


def claimed(door: Door, name: str) -> bool:
    """True if any distribution declares the name, whether or not it can be used."""
    return any(plugin.door == door.name and plugin.name == name for plugin in declared())


def claimant(door: Door, name: str, *, builtin: bool = False) -> Plugin | None:
    """The plugin to use for a name; None if no distribution declares it, or for a built-in that no plugin claims.

    ``builtin``: True if ptdiff has the name by itself, without declaring it in its metadata.

    Raises PluginError if the name is declared and cannot be used.
    """
    plugins = [plugin for plugin in declared() if plugin.door == door.name and plugin.name == name]
    if not plugins:
        return None
    found = list(_judged(plugins, _allowed(), ours=builtin))
    for claim in found:
        if claim.state == "ok":
            return claim.plugin
    if builtin and all(claim.state != "clash" for claim in found):
        return None
    claim = min(found, key=lambda claim: ("clash", "other version", "broken", "disabled").index(claim.state))
    what = f"{door.kind} {name!r}" + ("" if claim.state == "clash" else f" of {claim.plugin.origin}")
    raise PluginError(f"{what} {claim.detail}")


def _judged(plugins: list[Plugin], allowed: Collection[str] | None, *, ours: bool) -> Iterator[PluginState]:
    """The claims to one name of one door."""
    version = DOORS.get(plugins[0].door)
    rivals = [
        plugin
        for plugin in plugins
        if not plugin.problem and plugin.contract == version and (plugin.builtin or _is_allowed(plugin, allowed))
    ]
    others = [plugin.origin for plugin in rivals if not plugin.builtin]
    ours = ours or len(others) < len(rivals)
    for plugin in plugins:
        if not plugin.builtin and not _is_allowed(plugin, allowed):
            yield PluginState(plugin, "disabled", f"is disabled by {SWITCH}={os.environ[SWITCH]}")
        elif plugin.problem:
            yield PluginState(plugin, "broken", f"cannot be used: {plugin.problem}")
        elif plugin.contract != version:
            needs = f"needs ptdiff with contract v{plugin.contract} of {plugin.door}"
            yield PluginState(plugin, "other version", f"{needs}, and this one has v{version}")
        elif others and len(others) + ours > 1:
            yield PluginState(plugin, "clash", _clash(others, ours=ours))
        else:
            yield PluginState(plugin, "ok")


def _clash(others: list[str], *, ours: bool) -> str:
    claimants = [*([f"{OURS} itself"] if ours else []), *others]
    remedy = f"uninstall {' and '.join(others)}" if ours else "uninstall all but one"
    return f"is claimed by {' and by '.join(claimants)}: {remedy}, or set {SWITCH} to the distributions to use"


def _is_allowed(plugin: Plugin, allowed: Collection[str] | None) -> bool:
    return allowed is None or normalized(plugin.distribution) in allowed


def _allowed() -> Collection[str] | None:
    """The distributions that PTDIFF_PLUGINS lists, normalized; None for all.

    Raises UnknownName for one that is not installed or declares no plugin.
    """
    listed = os.environ.get(SWITCH, "").strip()
    if listed == "":
        return None
    if listed == "none":
        return ()
    wanted = {normalized(name.strip()): name.strip() for name in listed.split(",") if name.strip()}
    known = {normalized(plugin.distribution) for plugin in declared()}
    for name, given in wanted.items():
        if name not in known:
            close = difflib.get_close_matches(name[:200], known, n=1, cutoff=0.5)
            advice = f": did you mean {close[0]!r}?" if close else ""
            raise UnknownName(f"{SWITCH} lists {given[:200]!r}, which is not installed or has no plugins{advice}")
    return wanted.keys()
