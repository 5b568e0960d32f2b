"""``ptdiff data import|check``: import a user's files into a store, and check them for faults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff.errors import reading
from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable, writable_folder
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, counter, progress, say, show, show_json

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality

app = typer.Typer(help="Import your own data, and check it before training.", no_args_is_help=True)

POINTS = 2048
"""Points of each cloud in an image of the data."""

Kind = Annotated[str, typer.Option("-m", "--modality", help="Kind of data.")]
Options = Annotated[
    list[str] | None,
    typer.Option("-o", "--option", metavar="KEY=VALUE", help="Modality option for reading files, key=value."),
]


@app.command("import", short_help="import shapes into a store that loads fast")
def import_(
    source: Annotated[Path, typer.Argument(help="Folder or file.")],
    target: Annotated[Path, typer.Argument(callback=writable_folder, help="Store to write: a new folder.")],
    points: Annotated[
        int, typer.Option(min=1, help="Points to sample from each mesh, and the most to keep of each cloud.")
    ] = 10_000,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing store.")] = False,
    together: Annotated[
        bool, typer.Option("--together", help="Move duplicates in several splits into one: train, else val, else test.")
    ] = False,
    modality: Kind = "pointcloud",
    option: Options = None,
    workers: options.Workers = None,
    engine: options.Engine = "processes",
    as_json: options.Json = False,
) -> None:
    """Import shapes into a store that loads fast: ptdiff data import SOURCE TARGET.

    Train on it with --data TARGET. With --workers, the store is the same to the last bit.
    """
    from ptdiff_cli.shared.workers import chosen_engine

    by = chosen_engine(workers, engine)
    kind = _loaded(modality, source, option)
    with reading(f"-m {modality}"), progress("shapes") as bar:
        found = kind.import_data(
            source,
            target,
            points=points,
            replace=force,
            together=together,
            progress=counter(bar, f"importing {source.name}"),
            engine=by,
        )
    if as_json:
        show_json(dict(found))
        return
    show(found["text"])
    say(f"next: ptdiff data check {target} · ptdiff train -m {modality} --data {target}")


@app.command("check", short_help="check data for faults before training")
def check(
    path: Annotated[Path, typer.Argument(help="Folder, file or store.")],
    modality: Kind = "pointcloud",
    option: Options = None,
    render: Annotated[
        Path | None,
        typer.Option(callback=writable, help="Also save an image of some samples of each class, such as sheet.png."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check data for faults: ptdiff data check FOLDER --render sheet.png.

    Reports what was read, sizes, duplicates and broken files.  The image shows the
    samples as a model would see them.  Exit code 3 if anything is broken.
    """
    from ptdiff.pictures.files import IMAGE_SUFFIXES

    if render is not None and render.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"--render {render}: the suffix must be one of {', '.join(IMAGE_SUFFIXES)}")
    kind = _loaded(modality, path, option)
    with reading(f"-m {modality}"), progress("files") as bar:
        found = kind.check_data(path, progress=counter(bar, f"checking {path.name}"))
    if as_json:
        show_json({key: value for key, value in found.items() if key != "text"})
    else:
        show(found["text"])
    if render is not None:
        from ptdiff_cli.shared.data_sheet import save_sheet

        with reading(f"-m {modality}"):
            say(save_sheet(_shown(modality, path, option), render))
    if not found["ok"]:
        raise Failure(f"{path}: some data is broken; see the report above", BAD_DATA)


def _shown(name: str, data: Path, option: list[str] | None) -> Modality:
    """The modality with the data, and with enough points of each cloud for an image unless the user chose a number."""
    from dataclasses import fields

    from ptdiff.modality import registry
    from ptdiff.run.config import settings

    dense = {"points": POINTS} if "points" in {known.name for known in fields(registry.load(name))} else {}
    return registry.load(name, {**dense, "data": str(data), **settings(option or [])})


def _loaded(name: str, data: Path, option: list[str] | None) -> Modality:
    from ptdiff.modality import registry
    from ptdiff.run.config import settings

    registry.trust(name)
    return registry.load(name, {"data": str(data), **settings(option)} if option else {})
