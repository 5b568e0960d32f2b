"""``ptdiff plugin ls``: what installed distributions add to ptdiff."""

from __future__ import annotations

import dataclasses

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.terminal import show_json, show_table

app = typer.Typer(help="List plugins: what installed distributions add to ptdiff.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """List plugins: what installed distributions add to ptdiff."""


@app.command("ls", short_help="list plugins with their state; nothing is imported")
def ls(as_json: options.Json = False) -> None:
    """List plugins with their state: ptdiff plugin ls.

    Reads metadata and imports nothing; 'ptdiff doctor' tries each plugin. The
    environment variable PTDIFF_PLUGINS chooses which are used: none, or names of
    distributions, separated by commas.
    """
    from ptdiff.plugins.claims import claims
    from ptdiff_cli.shared.doors import builtin

    found = claims(builtin())
    if as_json:
        rows = [{**dataclasses.asdict(one.plugin), "state": one.state, "detail": one.detail} for one in found]
        show_json([{key: value for key, value in row.items() if key != "problem"} for row in rows])
        return
    show_table(
        ["name", "door", "contract", "installed by", "state", "detail"],
        [
            [
                one.plugin.name,
                one.plugin.door,
                f"v{one.plugin.contract}" if one.plugin.contract else "?",
                one.plugin.origin,
                one.state,
                one.detail,
            ]
            for one in found
        ],
    )
