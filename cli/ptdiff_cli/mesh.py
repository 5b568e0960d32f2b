"""``ptdiff mesh``: turn samples into meshes, and report whether they are closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable_folder
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, counted, say, show, show_json

if TYPE_CHECKING:
    from ptdiff.sampling.samples import Samples

_FACE_BYTES = 100
"""Bytes of a .glb for each point of a sample: up to six faces, each with half a vertex."""


def mesh(
    path: Annotated[Path, typer.Argument(help="Samples (.npz), a cloud (.ply …), a run folder or model name.")],
    out: Annotated[
        Path | None, typer.Option(callback=writable_folder, help="Output folder; default: next to the samples.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="File format: glb, obj, stl or ply.")] = "glb",
    method: Annotated[
        str | None,
        typer.Option(
            help="poisson, ball-pivoting, alpha or marching-cubes; default: poisson, or marching-cubes without Open3D."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, help="Number of samples; default: all of a file, 4 of a run.")
    ] = None,
    points: options.PointsOfRun = None,
    seed: Annotated[int, typer.Option(min=0, help="Runs only: random seed.")] = 0,
    device: options.Device = "auto",
    modality: options.ModalityOfFile = "pointcloud",
    as_json: options.Json = False,
) -> None:
    """Turn point clouds into meshes: ptdiff mesh samples.npz --out meshes."""
    from ptdiff.choices import unknown
    from ptdiff.documents.atomic import check_writable
    from ptdiff.documents.files import expanded
    from ptdiff.run.folder import Run
    from ptdiff.run.links import chosen
    from ptdiff.run.models import located, outputs
    from ptdiff.sampling.meshes import FORMATS, default_method, save_meshes
    from ptdiff_cli.shared.sampling_plan import read_samples

    path = located(path, say)
    if format_ not in FORMATS:
        raise unknown("format", format_, FORMATS)
    if out is not None and out.suffix[1:] in FORMATS:
        raise ValueError(f"--out {out}: must be a folder; choose the file format with --format {out.suffix[1:]}")
    if points is not None and not path.is_dir():
        raise ValueError("--points is for runs only; leave it out with a file")
    given = None if path.is_dir() else read_samples(path, modality)
    kind = Run.open(path).modality() if given is None else given.modality
    way = default_method(kind, method)
    if method is None:
        say(f"{way}: {kind.meshing()[way]}")
    if given is None:
        given = _of_run(path, count or 4, points, seed, device)
    folder = out or (
        outputs(path) / "samples" / f"meshes-seed-{seed}" if path.is_dir() else path.with_name(f"{path.stem}-meshes")
    )
    if out is None:
        chosen(folder)
    some = given.first(count)
    if format_ == "stl" and any(given.stored.origin):
        say("most programs read .stl in 32 bits, which blurs places this far from zero; .glb and .ply keep them exact")
    check_writable(expanded(folder), _FACE_BYTES * some.samples[..., 0].numel())
    with counted("meshes", "meshing") as move:
        rows = save_meshes(some.stored, kind, folder, format_, way, name=path.stem, progress=move)
    made = [row for row in rows if "error" not in row]
    for row in rows:
        if "error" in row:
            say(f"{row['file']}: {row['error']}")
    if not made:
        raise Failure(f"{path}: no surface found for any of {len(rows)} samples; try another --method", BAD_DATA)
    share = sum(row["watertight"] for row in made) / len(rows)
    result = {"n": len(rows), "method": way, "watertight": share, "meshes": rows}
    if as_json:
        show_json(result)
        return
    for row in made:
        closed = "watertight" if row["watertight"] else "open"
        show(f"{row['file']}  {closed}, components {row['components']}, faces {row['faces']}")
    show(f"watertight: {sum(row['watertight'] for row in made)} of {len(rows)} ({result['method']})")


def _of_run(path: Path, count: int, points: int | None, seed: int, device: str) -> Samples:
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options

    run = Run.open(path)
    model = Model.of(run, make_plan(run, {}, None, seed), device=device, warn=say)
    with counted("samples", "sample") as move, named_as_options():
        return model.sample(count, points=points, seed=seed, progress=move, say=say)
