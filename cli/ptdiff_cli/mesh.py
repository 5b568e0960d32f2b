"""``ptdiff mesh``: samples as surfaces, and whether they are closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, bad_data, progress, say, show_json

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff_cli.shared.given import Given

FORMATS = ("glb", "obj", "stl", "ply")


def mesh(
    path: Annotated[Path, typer.Argument(help="Samples (.npz), a cloud (.ply …), a run folder, or a model's name.")],
    out: Annotated[Path | None, typer.Option(help="Folder; default beside the samples.")] = None,
    format_: Annotated[str, typer.Option("--format", help="glb, obj, stl or ply.")] = "glb",
    method: Annotated[
        str | None,
        typer.Option(help="poisson (default), ball-pivoting, alpha or marching-cubes (default without Open3D)."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, help="Number of samples, at most; of a run, default 4.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Of a run: points of each cloud, from which surfaces are made.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a run: sample i depends on (seed, i) alone.")] = 0,
    device: Device = "auto",
    modality: Annotated[
        str, typer.Option("-m", "--modality", help="Kind of data, where the file does not say.")
    ] = "pointcloud",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make surfaces: ptdiff mesh samples.npz --out meshes."""
    from ptdiff.choices import unknown
    from ptdiff.errors import Unsupported
    from ptdiff.run.folder import Run
    from ptdiff.run.models import located, outputs

    path = located(path, say)
    if format_ not in FORMATS:
        raise unknown("format", format_, FORMATS)
    if out is not None and out.suffix[1:] in FORMATS:
        raise ValueError(f"--out {out}: meshes go into a folder; --format {out.suffix[1:]} is how they are written")
    if points is not None and not path.is_dir():
        raise ValueError("--points is for samples that are drawn from a run, not for a file")
    kind, given = _read(path, modality) if not path.is_dir() else (Run.open(path).modality(), None)
    ways = kind.meshing()
    if not ways:
        raise Unsupported(f"{type(kind).__name__} makes no surfaces of its samples")
    if method is not None and method not in ways:
        raise unknown("way to make a mesh", method, ways)
    if method is None:
        method = next(iter(ways))
        say(f"{method}: {ways[method]}")
    if given is None:
        given = _drawn(path, count or 4, points, seed, device)
    folder = out or (
        outputs(path) / "samples" / f"meshes-seed-{seed}" if path.is_dir() else path.with_name(f"{path.stem}-meshes")
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with progress("meshes") as bar:
        some = given.samples[:count]
        task = bar.add_task("meshing", total=len(some), note="")
        for i, (sample, name) in enumerate(zip(some, given.classes, strict=False)):
            safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name or path.stem)
            target = folder / f"{i:04d}-{safe}.{format_}"
            rows.append(_one(kind, sample, method, target))
            bar.update(task, advance=1)
    made = [row for row in rows if "error" not in row]
    for row in rows:
        if "error" in row:
            say(f"{row['file']}: {row['error']}")
    if not made:
        raise Failure(f"{path}: none of {len(rows)} samples has a surface", BAD_DATA)
    share = sum(row["watertight"] for row in made) / len(rows)
    result = {"n": len(rows), "method": method, "watertight": share, "meshes": rows}
    if as_json:
        show_json(result)
        return
    for row in made:
        closed = "watertight" if row["watertight"] else "open"
        print(f"{row['file']}  {closed}, components {row['components']}, faces {row['faces']}")
    print(f"watertight: {sum(row['watertight'] for row in made)} of {len(rows)} ({result['method']})")


def _one(kind: Modality, sample: Any, method: str | None, target: Path) -> dict[str, Any]:
    try:
        found = kind.mesh(sample, method)
    except ValueError as error:
        return {"file": str(target), "error": str(error)}
    found.save(target)
    facts = {"watertight": found.watertight, "components": found.components, "faces": found.faces}
    return {"file": str(target), **facts}


def _drawn(path: Path, count: int, points: int | None, seed: int, device: str) -> Given:
    import torch

    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import spread_labels
    from ptdiff_cli.shared.given import Given
    from ptdiff_cli.shared.sampling_options import draw_samples, make_plan, shape_of, titles

    run = Run.open(path)
    labels = spread_labels(torch.arange(count), len(run.data.classes)).get("label")
    drawn = draw_samples(run, make_plan(run, {}, None, seed), labels, count, shape_of(run, points), device=device)
    names = titles(run, drawn.labels) or [""] * count
    return Given(drawn.samples, names, run.config.modality, run.config.options)


def _read(path: Path, modality: str) -> tuple[Modality, Given]:
    from ptdiff.modality import registry
    from ptdiff.run.models import near
    from ptdiff_cli.shared.given import read_given

    if not path.exists():
        raise Failure(f"{path} does not exist{near(path)}", BAD_DATA)
    given = read_given(path, registry.load(modality))
    name = given.modality or modality
    if ":" in name and name != modality:
        # what is imported is for the user to say, never for a file
        raise Failure(f"{path} was made by {name}, which is not installed: add -m {name} if you trust it", 2)
    with bad_data(str(path)):
        return registry.load(name, given.options), given
