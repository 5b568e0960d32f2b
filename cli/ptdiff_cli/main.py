"""The Typer app, and what becomes of errors: one line on stderr and an exit code.

0 ok · 2 wrong usage or option · 3 bad data · 4 training diverged · 130 or 143 stopped by a signal · 1 anything else.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ptdiff_cli import (
    bench,
    certify,
    complete,
    data,
    doctor,
    edit,
    evaluate,
    gallery,
    interpolate,
    likelihood,
    listing,
    mesh,
    optimize,
    render,
    resume,
    runs,
    sample,
    train,
    upsample,
)
from ptdiff_cli.terminal import Failure, fail

app = typer.Typer(
    name="ptdiff",
    help="Diffusion models on 3-D point clouds and every other kind of data.",
    epilog="A mistake ends with one line and a code; --debug, anywhere, shows the traceback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        import ptdiff

        typer.echo(f"ptdiff {ptdiff.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Diffusion models on 3-D point clouds and every other kind of data."""


app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("sample")(sample.sample)
app.command("eval")(evaluate.evaluate)
app.command("likelihood")(likelihood.likelihood)
app.command("optimize")(optimize.optimize)
app.command("render")(render.render)
app.command("gallery")(gallery.gallery)
app.command("mesh")(mesh.mesh)
app.command("edit")(edit.edit)
app.command("interpolate")(interpolate.interpolate)
app.command("complete")(complete.complete)
app.command("upsample")(upsample.upsample)
app.command("modalities")(listing.modalities)
app.command("solvers")(listing.solvers)
app.command("processes")(listing.processes)
app.command("list")(listing.choices)
app.command("certify")(certify.certify)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.add_typer(bench.bench, name="bench")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line."""
    from ptdiff.host import keep_freed_memory

    keep_freed_memory()
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except Exception as error:
        code = _exit_code(error)
        if debug or code is None:
            raise
        fail(str(error) or type(error).__name__, code)


def _exit_code(error: Exception) -> int | None:
    """The exit code of an error of the user or the machine; None for one of ours, which needs its traceback."""
    from ptdiff.checkpoint import CheckpointError
    from ptdiff.modality import Unsupported
    from ptdiff.registry import PluginError
    from ptdiff.run import RunError

    if isinstance(error, Failure):
        return error.code
    if isinstance(error, (ValueError, FileNotFoundError, PluginError, RunError)):
        return 2
    return 1 if isinstance(error, (OSError, CheckpointError, Unsupported)) else None


if __name__ == "__main__":
    main()
