"""The Typer app; errors become one line on stderr and an exit code.

0 ok · 2 wrong usage or option · 3 bad data · 4 training diverged · 128 + n stopped by signal n · 1 anything else.
"""

from __future__ import annotations

import gc
import io
import os
import re
import sys
import traceback
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeGuard

import typer
from typer.core import TyperGroup

from ptdiff_cli.shared.terminal import fail, say

GROUPS = {
    "Train": {
        "train": ("train", "train a model on your files or a data set, or with a recipe"),
        "plan": ("plan", "hours, memory, disk and money before the work"),
        "resume": ("resume", "continue a run from its last checkpoint"),
        "config": ("config.app", "show and check configurations; print their schema"),
        "runs": ("runs.app", "list runs, compare them"),
        "data": ("data.app", "import data into a store, check it before training"),
    },
    "Generate": {
        "sample": ("sample", "generate samples with any process, solver and guidance"),
        "complete": ("complete", "complete part of a point cloud"),
        "upsample": ("upsample", "add points to a point cloud"),
        "edit": ("edit", "make variations of samples"),
        "interpolate": ("interpolate", "blend one sample into another"),
        "optimize": ("optimize", "find the best time grid of a model for few steps"),
    },
    "View": {
        "render": ("render", "render samples as images, animations and pages"),
        "mesh": ("mesh", "turn point clouds into watertight meshes"),
        "gallery": ("gallery", "plot the theory and runs: strips, animations, losses"),
    },
    "Share": {
        "export": ("export", "export a model: a folder, the Hugging Face Hub, ONNX"),
    },
    "Measure": {
        "eval": ("evaluate", "score a run on held-out data, with intervals and floors"),
        "likelihood": ("likelihood", "log-likelihood and bits per dimension"),
        "certify": ("certify", "check solvers, losses and likelihoods on exact denoisers"),
        "bench": ("bench.bench", "measure the speed of solvers and of training"),
    },
    "Look up": {
        "list": ("listing.choices", "list models, recipes, solvers, spacings, weightings ..."),
        "modalities": ("listing.modalities", "list the kinds of data and their options"),
        "solvers": ("listing.solvers", "list the solvers with their orders and options"),
        "processes": ("listing.processes", "list the processes with their options"),
        "plugin": ("plugin.app", "list and check plugins, and start a new one"),
        "doctor": ("doctor", "check this machine: libraries, plugins, training speed"),
    },
}
"""Commands by group: module, with the name in it unless both are the same, and a one-line summary."""

COMMANDS = {name: place for group in GROUPS.values() for name, (place, _) in group.items()}


class Overview(TyperGroup):
    """The group of all commands, with an overview that imports none of them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the overview: every command with its summary."""
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(self.help)
        for title, commands in GROUPS.items():
            with formatter.section(typer.style(title, bold=True)):
                formatter.write_dl([(typer.style(f"{n:<11}", fg="cyan"), line) for n, (_, line) in commands.items()])
        with formatter.section(typer.style("Options", bold=True)):
            formatter.write_dl([record for option in self.get_params(ctx) if (record := option.get_help_record(ctx))])
        formatter.write_paragraph()
        formatter.write_text(self.epilog)


def app(only: Collection[str] = COMMANDS) -> typer.Typer:
    """Build the Typer app with the commands ``only``; importing all of them is slow."""
    made = typer.Typer(
        name="ptdiff",
        cls=Overview,
        help="Diffusion models for 3-D point clouds and other data.",
        epilog="Run 'ptdiff COMMAND --help' for the options of a command. Add --debug for the traceback of an error, "
        "--trust MODULE:CLASS to import a modality that a run names.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # the panels of rich leave 32 of 80 columns for the text of an option, plain help 50
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(options)
    for name in only:
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Diffusion models for 3-D point clouds and other data."""
    from ptdiff.machine.host import keep_freed_memory

    keep_freed_memory()


def main() -> None:
    """Run the command line."""
    # importing torch makes a million permanent objects; scanning them again takes a tenth of its time
    gc.set_threshold(100_000, 50, 100)
    # python -c and the start of a process import from the current folder, which may be a stranger's
    if not any(place.exists() and place.samefile(".") for place in map(Path, sys.path)):
        os.environ.setdefault("PYTHONSAFEPATH", "1")
    if re.fullmatch("0+", os.environ.get("COLUMNS", "")):
        # an unknown width, which rich takes for one without room for a character
        del os.environ["COLUMNS"]
    debug = "--debug" in sys.argv
    arguments, trusted = _split_trust([argument for argument in sys.argv[1:] if argument != "--debug"])
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show a character must not end a command
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if (ranks := _refused_ranks(arguments)) is not None:
        fail(ranks, 2)
    try:
        if trusted:
            from ptdiff.modality.registry import trust

            for name in trusted:
                trust(name)
        code = app(_needed(arguments))(args=arguments, standalone_mode=False)
    except (Exception, SystemExit) as error:
        from ptdiff_cli.shared.errors import explained

        if _shows_help(error):
            error.show()
            sys.exit(error.exit_code)
        line, code = explained(error)
        if debug:
            say("".join(traceback.format_exception(error)).rstrip())
        fail(line, code)
    sys.exit(code if isinstance(code, int) else 0)


def _split_trust(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without --trust MODULE:CLASS, which every command takes, and the names that are trusted."""
    rest: list[str] = []
    trusted: list[str] = []
    coming = iter(arguments)
    for argument in coming:
        option, equals, value = argument.partition("=")
        if argument == "--":
            return [*rest, argument, *coming], trusted
        if option != "--trust":
            rest.append(argument)
            continue
        name = value if equals else next(coming, "")
        if ":" not in name:
            fail(f"--trust needs the name of a modality as MODULE:CLASS, not {name!r}", 2)
        trusted.append(name)
    return rest, trusted


def _refused_ranks(arguments: list[str]) -> str | None:
    """A line if torchrun starts several processes of a command that would all do the same; None otherwise."""
    command, world = arguments[0] if arguments else "", os.environ.get("WORLD_SIZE", "")
    alone = "TORCHELASTIC_RUN_ID" not in os.environ or world in ("", "1")
    if alone or command not in COMMANDS or command in ("train", "resume"):
        return None
    return (
        f"{command} runs in one process, not on {world} ranks: leave out torchrun "
        "(ptdiff sample --workers N divides sampling among processes)"
    )


def _shows_help(error: BaseException) -> TypeGuard[Any]:
    # by its name, because some versions of Typer contain a Click of their own
    return type(error).__name__ == "NoArgsIsHelpError"


def _needed(arguments: list[str]) -> Collection[str]:
    """The commands to import for these arguments: one; none for the overview; all to complete or correct a name."""
    if arguments and arguments[0] in COMMANDS:
        return arguments[:1]
    overview = set(arguments) <= {"-h", "--help", "--version"}
    return [] if overview and "_PTDIFF_COMPLETE" not in os.environ else COMMANDS


if __name__ == "__main__":
    main()
