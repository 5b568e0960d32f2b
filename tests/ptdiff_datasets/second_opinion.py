"""A second opinion on the mesh readers: random valid files must be read as they were written.

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
from mesh_writers import WRITERS, Written

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


def check(kind: str, seed: int, path: Path) -> None:
    """Write file number ``seed`` of a format and compare it with what is read."""
    written = WRITERS[kind](random.Random(f"{kind} {seed}"))
    path.write_bytes(written.data)
    compare(written, path)


def main(kinds: list[str], count: int, seed: int) -> None:
    """Compare ``count`` files of each of ``kinds``."""
    folder = Path(tempfile.mkdtemp(prefix="second-opinion-"))
    for kind in kinds:
        path = folder / f"mesh.{kind}"
        for i in range(count):
            try:
                check(kind, seed + i, path)
            except Exception as error:
                raise AssertionError(f"{kind} number {seed + i}, kept as {path}: {error}") from error
        path.unlink()
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
    main(given.kinds or list(WRITERS), given.count, seed)
