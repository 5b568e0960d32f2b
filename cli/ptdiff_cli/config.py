"""``ptdiff config show|schema|validate``: complete configurations, the schema for editors, checks of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import say, show, show_json

if TYPE_CHECKING:
    from ptdiff.run.config import Config

app = typer.Typer(help="Show and check configurations; print their schema for editors.", no_args_is_help=True)

SCHEMA = "ptdiff.schema.json"
"""Name of the schema beside a configuration.  The file names it without a folder, so that both can move together and an
editor finds it on any machine, without a network.  The configuration of a run names none, because nobody edits it."""

Out = Annotated[Path | None, typer.Option(callback=writable, help="Output file; default: print it.")]


@app.command("show", short_help="show a complete configuration, with all defaults")
def show_(
    of: Annotated[str | None, typer.Argument(help="Run folder, model, recipe or YAML file.")] = None,
    modality: options.Modality = None,
    option: options.ModalityOptions = None,
    set_: options.ConfigSettings = None,
    out: Out = None,
    as_json: options.Json = False,
) -> None:
    """Show a complete configuration, with all defaults: ptdiff config show mnist-ddpm.

    With --out, also writes ptdiff.schema.json beside the file, for completion and
    checks in editors.
    """
    found = _complete(of, modality, option or [], set_ or [])
    if out is not None:
        _write(out, found)
    elif as_json:
        show_json(found.model_dump(mode="json"))
    else:
        show(found.to_yaml().rstrip())


@app.command("schema", short_help="print the JSON Schema of configuration files, for editors")
def schema_(out: Out = None) -> None:
    """Print the JSON Schema of configuration files: ptdiff config schema.

    It describes the options of the kinds of data that are installed.
    """
    from ptdiff.documents.atomic import write_atomic
    from ptdiff.training.schema import schema

    if out is None:
        show_json(schema())
    else:
        write_atomic(out, _schema())
        say(str(out))


@app.command("validate", short_help="check a configuration file without training")
def validate(
    file: Annotated[Path, typer.Argument(help="YAML file, or run folder.")],
    modality: options.Modality = None,
    as_json: options.Json = False,
) -> None:
    """Check a configuration file without training: ptdiff config validate my.yaml."""
    path = file / "config.yaml" if (file / "config.yaml").is_file() else file
    # as a path, so that it is never the name of a recipe
    found = _complete(str(path.absolute()), modality, [], [])
    if as_json:
        show_json({"file": str(path), "ok": True, "modality": found.modality})
    else:
        say(f"{path}: a valid configuration of {found.modality}")


def _complete(of: str | None, modality: str | None, options: list[str], settings: list[str]) -> Config:
    """The configuration that training would use."""
    from ptdiff.run.models import located
    from ptdiff.training.configuration import resolve
    from ptdiff_cli.shared.configuration import overrides

    files = [] if of is None else [of]
    run = None if of is None else located(of) / "config.yaml"
    if run is not None and run.is_file():
        files = [str(run)]
    values: dict[str, Any] = overrides(modality, None, files, options, settings, {})
    return resolve(values)[0]


def _schema() -> str:
    import json

    from ptdiff.training.schema import schema

    return json.dumps(schema(), indent=1) + "\n"


def _write(out: Path, found: Config) -> None:
    from ptdiff.documents.atomic import write_atomic

    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out.with_name(SCHEMA), _schema())
    write_atomic(out, f"# yaml-language-server: $schema={SCHEMA}\n{found.to_yaml()}")
    say(f"{out}, with {SCHEMA} for editors; next: ptdiff train -c {out}")
