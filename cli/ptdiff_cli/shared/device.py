"""The option ``--device``, shared by all commands that compute."""

from __future__ import annotations

from typing import Annotated

import typer


def _there(name: str) -> str:
    """Return the name unchanged; raise ValueError if this machine lacks the device, before a command does any work."""
    if name != "auto":
        from ptdiff.machine import host

        host.device(name)
    return name


Device = Annotated[
    str,
    typer.Option(help="Device: auto (GPU if available), cpu, cuda, cuda:1 or mps.", metavar="NAME", callback=_there),
]
"""The name of a device, for :func:`ptdiff.machine.host.device`."""
