"""The Typer app, and what becomes of errors: one line on stderr and an exit code.

0 ok · 2 wrong usage or option · 3 bad data · 4 training diverged · 130 or 143 stopped by a signal · 1 anything else.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Annotated

import typer

from ptdiff_cli.shared.terminal import BAD_DATA, Failure, fail

COMMANDS = {
    "train": "train",
    "resume": "resume",
    "sample": "sample",
    "eval": "evaluate",
    "likelihood": "likelihood",
    "optimize": "optimize",
    "render": "render",
    "gallery": "gallery",
    "mesh": "mesh",
    "edit": "edit",
    "interpolate": "interpolate",
    "complete": "complete",
    "upsample": "upsample",
    "modalities": "listing.modalities",
    "solvers": "listing.solvers",
    "processes": "listing.processes",
    "list": "listing.choices",
    "certify": "certify",
    "data": "data.app",
    "runs": "runs.app",
    "bench": "bench.bench",
    "doctor": "doctor",
}
"""Each command's module, followed by the name in it unless that is the module's own."""


def app(command: str | None = None) -> typer.Typer:
    """The command line; with only one ``command`` if that is known beforehand, since importing all of them is slow."""
    made = typer.Typer(
        name="ptdiff",
        help="Diffusion models on 3-D point clouds and every other kind of data.",
        epilog="A mistake ends with one line and a code; --debug, anywhere, shows the traceback.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(options)
    for name in [command] if command in COMMANDS else COMMANDS:
        module, _, member = COMMANDS[name].partition(".")
        found = getattr(import_module(f"ptdiff_cli.{module}"), member or module)
        if isinstance(found, typer.Typer):
            made.add_typer(found, name=name)
        else:
            made.command(name)(found)
    return made


def _version(asked: bool) -> None:
    if asked:
        import ptdiff

        typer.echo(f"ptdiff {ptdiff.__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Diffusion models on 3-D point clouds and every other kind of data."""


def main() -> None:
    """Run the command line."""
    from ptdiff.machine.host import keep_freed_memory

    # torch makes a million objects that stay: scanning them again and again takes a tenth of its import
    gc.set_threshold(100_000, 50, 100)
    keep_freed_memory()
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app(next(iter(sys.argv[1:]), None))()
    except Exception as error:
        code = _exit_code(error)
        if debug or code is None:
            raise
        fail(str(error) or type(error).__name__, code)


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error of the user or the machine; None for one of ours, which needs its traceback."""
    from ptdiff.errors import CheckpointError, DataError, PluginError, RunError, Unsupported

    if isinstance(error, Failure):
        return error.code
    if isinstance(error, DataError):
        return BAD_DATA
    if isinstance(error, (ValueError, FileNotFoundError, PluginError, RunError)):
        return 2
    return 1 if isinstance(error, (OSError, CheckpointError, Unsupported)) else None


if __name__ == "__main__":
    main()
