"""Random valid files of independent writers are read as they were written.

Of meshes, vertices, area and colors are compared; of clouds, points, normals, colors and classes.

`make fuzz` does the same with 20,000 files of each format.
"""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cloud_writers import CLOUD_WRITERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mesh_writers import WRITERS, Written, turn
from second_opinion import check, compare, compare_clouds

from ptdiff_datasets.formats.polygons import triangles

FILES = 500
quick = settings(max_examples=FILES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("kind", [*WRITERS, *CLOUD_WRITERS])
@quick
@given(seed=st.integers(0, 2**32))
def test_files_are_read_as_they_were_written(tmp_path: Path, kind: str, seed: int) -> None:
    check(kind, seed, tmp_path)


@pytest.mark.parametrize("kind", CLOUD_WRITERS)
def test_the_comparison_sees_a_moved_point_and_another_color_normal_and_class(tmp_path: Path, kind: str) -> None:
    seen = set()
    for seed in range(30):
        written = CLOUD_WRITERS[kind](random.Random(seed))
        path = tmp_path / f"cloud{written.suffix}"
        path.write_bytes(written.data)
        compare_clouds(written, path)
        moved = written.points.copy()
        moved[-1, -1, 2] += 1e-4 * max(1, float(np.abs(moved).max()))
        changes: dict[str, object] = {"points": moved, "colors": None if written.colors is not None else moved}
        changes["normals"] = None if written.normals is not None else moved
        changes["labels"] = ["another"] * len(moved)
        for name, value in changes.items():
            with pytest.raises(AssertionError):
                compare_clouds(replace(written, **{name: value}), path)
        seen |= {name for name in changes if getattr(written, name) is not None}
    assert {"points"} < seen


@pytest.mark.parametrize("kind", WRITERS)
def test_the_comparison_sees_a_moved_vertex_and_a_lost_area(tmp_path: Path, kind: str) -> None:
    written = WRITERS[kind](random.Random(1))
    path = tmp_path / f"mesh.{kind}"
    path.write_bytes(written.data)
    compare(written, path)
    moved = written.vertices.copy()
    moved[-1, 2] += 0.01
    with pytest.raises(AssertionError):
        compare(Written(written.data, moved, written.area, written.colors), path)
    with pytest.raises(AssertionError, match="area"):
        compare(Written(written.data, written.vertices, 1.01 * written.area, written.colors), path)


@quick
@given(seed=st.integers(0, 2**32), corners=st.integers(4, 40))
def test_triangles_of_a_polygon_cover_its_area_and_turn_as_it_does(seed: int, corners: int) -> None:
    r = random.Random(seed)
    angles = (np.arange(corners) + [r.uniform(0, 0.8) for _ in range(corners)]) * 2 * np.pi / corners
    flat = np.stack([np.cos(angles), np.sin(angles)], 1) * [[r.uniform(0.05, 1)] for _ in range(corners)]
    x, y = flat.T
    doubled = float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    rotation = turn(r)
    space = np.pad(flat, ((0, 0), (0, 1))) @ rotation.T + 3
    cut, crossed = triangles(space, np.arange(corners), np.array([corners]))
    a, b, c = space[cut].transpose(1, 0, 2)
    crosses = np.cross(b - a, c - a)
    assert crossed == 0
    assert np.linalg.norm(crosses, axis=1).sum() == pytest.approx(doubled, rel=1e-6)
    assert (crosses @ rotation[:, 2] > -1e-9).all()


def test_a_polygon_that_crosses_itself_is_counted() -> None:
    bow = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]], float)
    cut, crossed = triangles(bow, np.arange(4), np.array([4]))
    assert (crossed, len(cut)) == (1, 2)


def test_a_quad_that_is_not_flat_is_two_triangles() -> None:
    saddle = np.array([[0, 0, 0], [1, 0, 0.3], [1, 1, 0], [0, 1, 0.3]], float)
    cut, crossed = triangles(saddle, np.arange(4), np.array([4]))
    assert (crossed, cut.tolist()) == (0, [[0, 1, 2], [0, 2, 3]])


def test_corners_on_one_line_lose_no_area() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 2, 0], [1, 2, 0], [1, 1, 0], [0, 1, 0]], float)
    cut, _ = triangles(square, np.arange(7), np.array([7]))
    a, b, c = square[cut].transpose(1, 0, 2)
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(3)
