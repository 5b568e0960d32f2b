"""A second opinion on the readers of meshes and clouds: random valid files must be read as they were written.

    python tests/ptdiff_datasets/second_opinion.py --count 20000 --seed 3 [KIND …]

Prints one line of JSON for each format. Ends with an error, and keeps the file, at the first difference.
"""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from cloud_writers import CLOUD_WRITERS, WrittenCloud
from mesh_writers import WRITERS, Written

from ptdiff_datasets.clouds.lists import Lists
from ptdiff_datasets.clouds.reading import read_one
from ptdiff_datasets.formats.arrays import own_labels
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.containers import may_hold_many, members, opened
from ptdiff_datasets.formats.meshes import read_mesh


def compare(written: Written, path: Path) -> None:
    """Raise AssertionError unless the file at ``path`` is read as it was written."""
    mesh = read_mesh(path)
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    size = float(np.abs(written.vertices).max())
    assert vertices.shape == written.vertices.shape, f"{vertices.shape} vertices, written {written.vertices.shape}"
    np.testing.assert_allclose(vertices, written.vertices, rtol=0, atol=2e-6 * size)
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    # coordinates are rounded to float32, also far from zero
    assert abs(area - written.area) <= 1e-5 * written.area + 1e-6 * size**2, f"area {area}, written {written.area}"
    if written.colors is None:
        assert mesh.visual.kind != "vertex", "colors that were not written"
    else:
        np.testing.assert_array_equal(np.asarray(mesh.visual.vertex_colors)[:, :3], written.colors)


def read_clouds(written: WrittenCloud, path: Path) -> tuple[list[Cloud], list[str] | None]:
    """Read all clouds of a file, with the names of their classes if it can hold any."""
    order = written.order
    inside = members(path, path.name, Lists(), order) if may_hold_many(path.name, 1) else None
    if inside is None:
        labels = own_labels(path, order) if path.suffix == ".npz" else None
        return [read_one(path, 1, order)], None if labels is None else [Lists().label(each) for each in labels]
    with opened(path, order) as read:
        return [read(member.set, member.place) for member in inside], [member.label for member in inside]


def compare_clouds(written: WrittenCloud, path: Path) -> None:
    """Raise AssertionError unless the clouds in the file at ``path`` are those that were written."""
    clouds, labels = read_clouds(written, path)
    assert len(clouds) == len(written.points), f"{len(clouds)} clouds, written {len(written.points)}"
    near = written.near * float(np.abs(written.points).max())
    for i, cloud in enumerate(clouds):
        assert cloud.points.shape == written.points[i].shape, f"{cloud.points.shape}, written {written.points[i].shape}"
        np.testing.assert_allclose(cloud.points, written.points[i], rtol=0, atol=near)
        for name, exact in (("normals", 1e-6), ("colors", 0)):
            found, known = getattr(cloud, name), getattr(written, name)
            assert (found is None) == (known is None), f"{name} lost, or never written"
            if known is not None:
                np.testing.assert_allclose(found.astype(float), known[i].astype(float), rtol=0, atol=exact)
    assert (labels or [""] * len(clouds)) == (written.labels or [""] * len(clouds)), f"{labels}, not {written.labels}"


def check(kind: str, seed: int, folder: Path) -> None:
    """Write file number ``seed`` of a format into ``folder`` and compare it with what is read."""
    if kind in CLOUD_WRITERS:
        cloud = CLOUD_WRITERS[kind](random.Random(f"{kind} {seed}"))
        path = folder / f"cloud{cloud.suffix}"
        path.write_bytes(cloud.data)
        compare_clouds(cloud, path)
    else:
        written = WRITERS[kind](random.Random(f"{kind} {seed}"))
        path = folder / f"mesh.{kind}"
        path.write_bytes(written.data)
        compare(written, path)
    path.unlink()


def main(kinds: list[str], count: int, seed: int) -> None:
    """Compare ``count`` files of each of ``kinds``."""
    folder = Path(tempfile.mkdtemp(prefix="second-opinion-"))
    for kind in kinds:
        for i in range(count):
            try:
                check(kind, seed + i, folder)
            except Exception as error:
                raise AssertionError(f"{kind} number {seed + i}, kept in {folder}: {error}") from error
        print(json.dumps({"kind": kind, "equal": count}))
    folder.rmdir()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=[])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}, {given.count} files of each format", file=sys.stderr)
    main(given.kinds or [*WRITERS, *CLOUD_WRITERS], given.count, seed)
