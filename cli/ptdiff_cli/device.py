"""The option ``--device``, the same of every command that computes."""

from __future__ import annotations

from typing import Annotated

import typer


def _there(name: str) -> str:
    """The name as it was given; ValueError for a device that this machine lacks, before a command does any work."""
    if name != "auto":
        from ptdiff import host

        host.device(name)
    return name


Device = Annotated[
    str,
    typer.Option(help="auto (a GPU, if there is one), cpu, cuda, cuda:1 or mps.", metavar="NAME", callback=_there),
]
"""The name of a device; :func:`ptdiff.host.device` says which it is."""
