"""The ten classes: true surfaces, right frame, reproducible, each as its parameters say."""

import math
import sys

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import KDTree

from ptdiff_datasets.shapes import CLASSES, Part, Shape, dense_clouds, make_shape
from ptdiff_datasets.shapes.surface import Surface

SEEDS = (0, 5, 2**40 + 7)
Cloud = npt.NDArray[np.float32]


def corners(parts: list[Part]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    surface = Surface(parts)
    return surface.lower, surface.upper


def in_meters(shape: Shape, points: Cloud) -> Cloud:
    """Points (n, 3) of the shape's own frame back in design space, as (3, n)."""
    lower, upper = shape.surface.lower, shape.surface.upper
    meters = points.astype(np.float64) * np.linalg.norm(upper - lower) + (lower + upper) / 2
    return meters.T.astype(np.float32)


def test_the_classes_are_ten_in_alphabetical_order() -> None:
    assert len(CLASSES) == 10
    assert list(CLASSES) == sorted(CLASSES)
    assert [make_shape(name, 0).label for name in CLASSES] == list(range(10))


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_are_centered_with_unit_diagonal_whatever_points_are_drawn(name: str) -> None:
    for seed in range(6):
        shape = make_shape(name, seed)
        bounds = shape.mesh().bounds
        assert np.allclose(bounds[0], -bounds[1], atol=2e-3)
        assert np.linalg.norm(bounds[1] - bounds[0]) == pytest.approx(1, abs=2e-3)
        points = shape.points(512)
        assert points.dtype == np.float32
        assert (points >= bounds[0] - 2e-3).all()
        assert (points <= bounds[1] + 2e-3).all()


def to_triangles(points: npt.NDArray[np.float64], triangles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance from each point (n, 3) to the nearest of its k triangles (n, k, 3, 3)."""
    import trimesh

    count = triangles.shape[1]
    repeated = np.repeat(points, count, axis=0)
    offset = trimesh.triangles.closest_point(triangles.reshape(-1, 3, 3), repeated) - repeated
    nearest: npt.NDArray[np.float64] = np.linalg.norm(offset, axis=1).reshape(-1, count).min(axis=1)
    return nearest


@pytest.mark.parametrize("name", CLASSES)
def test_points_lie_on_the_surface_of_the_mesh(name: str) -> None:
    import trimesh

    for seed in SEEDS:
        shape = make_shape(name, seed)
        points, mesh = shape.points(400).astype(np.float64), shape.mesh()
        samples, faces = trimesh.sample.sample_surface(mesh, 30_000, seed=0)
        _, near = KDTree(samples).query(points, k=8)
        distance = to_triangles(points, mesh.triangles[faces[near]])
        far = distance > 1e-3  # the sample may have missed the nearest triangle: look at all
        distance[far] = [to_triangles(point[None], mesh.triangles[None])[0] for point in points[far]]
        assert distance.max() < 1.5e-3


@pytest.mark.parametrize("name", CLASSES)
def test_no_point_lies_inside_any_part(name: str) -> None:
    """Part by part, so that a part cannot excuse its own points, and just outside of the point's own surface."""
    for seed in SEEDS:
        shape = make_shape(name, seed)
        points, normals = shape.points_and_normals(2048)
        raised = in_meters(shape, points + 1e-5 * normals)
        hidden = np.zeros(2048, dtype=bool)
        for part in shape.parts:
            hidden |= Surface([part]).inside(raised)
        assert hidden.mean() < 2e-3  # where two surfaces meet, a step off one may enter the other


@pytest.mark.parametrize("name", CLASSES)
def test_no_surface_is_covered_twice(name: str) -> None:
    """Just below a point there is one part only: two faces in one plane would be drawn at double density."""
    for seed in (*range(20), 1017, 1047):
        shape = make_shape(name, seed)
        points, normals = shape.points_and_normals(1024)
        sunk = in_meters(shape, points - 2e-5 * normals)
        depth = sum(Surface([part]).inside(sunk).astype(int) for part in shape.parts)
        assert (depth > 1).mean() < 5e-3, seed
        assert (depth == 0).mean() < 1e-2, seed


@pytest.mark.parametrize("name", CLASSES)
def test_normals_are_unit_and_point_outward(name: str) -> None:
    for seed in SEEDS:
        shape = make_shape(name, seed)
        points, normals = shape.points_and_normals(2048)
        assert np.array_equal(points, shape.points(2048))
        assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        below = shape.surface.inside(in_meters(shape, points - 2e-5 * normals))
        above = shape.surface.inside(in_meters(shape, points + 2e-5 * normals))
        assert below.mean() > 0.99
        assert above.mean() < 0.01


@pytest.mark.parametrize("name", CLASSES)
def test_every_part_of_every_mesh_is_watertight_and_closed_the_right_way(name: str) -> None:
    for seed in range(6):
        for part in make_shape(name, seed).parts:
            mesh = part.mesh()
            assert mesh.is_watertight, (seed, part.name)
            assert mesh.volume > 0, (seed, part.name)
            assert mesh.area == pytest.approx(Surface([part]).area, rel=1e-2), (seed, part.name)


@pytest.mark.parametrize("name", CLASSES)
def test_the_parts_of_a_shape_hang_together(name: str) -> None:
    """Each part but one shares space with another; following these contacts reaches all of them."""
    for seed in range(15):
        shape = make_shape(name, seed)
        count = len(shape.parts)
        touches = np.zeros((count, count), dtype=bool)
        for i, part in enumerate(shape.parts):
            points, _ = Surface([part]).sample(np.random.default_rng(0), 1500, normals=False)
            touches[i] = [j != i and Surface([other]).inside(points).any() for j, other in enumerate(shape.parts)]
        touches |= touches.T
        reached, fresh = {0}, {0}
        while fresh:
            fresh = {j for i in fresh for j in np.flatnonzero(touches[i]).tolist()} - reached
            reached |= fresh
        assert len(reached) == count, (seed, [shape.parts[i].name for i in set(range(count)) - reached])


def test_the_same_class_and_seed_give_bit_equal_clouds_in_any_order_and_batch() -> None:
    rng = np.random.default_rng(0)
    labels, seeds = rng.integers(10, size=24), rng.integers(2**62, size=24)
    clouds = dense_clouds(labels, seeds, 256)
    assert clouds.shape == (24, 256, 3)
    assert clouds.dtype == np.float32
    order = rng.permutation(24)
    assert np.array_equal(dense_clouds(labels[order], seeds[order], 256), clouds[order])
    for label, seed, cloud in zip(labels.tolist(), seeds.tolist(), clouds, strict=True):
        shape = make_shape(CLASSES[label], seed)
        shape.points(100, seed=3)  # another draw from the same shape changes nothing
        assert np.array_equal(shape.points(256), cloud)
        assert make_shape(CLASSES[label], seed).parameters == shape.parameters


def test_different_seeds_classes_and_draws_differ() -> None:
    parameters = {str(make_shape(name, seed).parameters) for name in CLASSES for seed in range(100)}
    assert len(parameters) == 1000
    shape = make_shape("chair", 4)
    assert not np.array_equal(shape.points(64), shape.points(64, seed=1))
    assert not np.array_equal(dense_clouds([4], [4], 64), dense_clouds([4], [4], 64, draw=1))
    # Seeds that share their low or high halves have streams of their own.
    assert make_shape("mug", 1).parameters != make_shape("mug", 1 + 2**32).parameters


def test_every_class_has_many_parameters_and_every_choice_occurs() -> None:
    for name in CLASSES:
        values = [make_shape(name, seed).parameters for seed in range(200)]
        names = {key for value in values for key in value}
        numbers = {key for key in names if isinstance(next(v[key] for v in values if key in v), float)}
        assert min(sum(key in numbers for key in value) for value in values) >= 8, name
        assert len(names - numbers) >= 2, name
        for key in names - numbers:
            assert len({value[key] for value in values if key in value}) >= 2, (name, key)


def test_an_unknown_class_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'airplane'"):
        make_shape("aeroplane", 0)
    with pytest.raises(ValueError, match="did you mean 'sofa'"):
        make_shape("Sofas", 0)


def test_wrong_seeds_labels_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        make_shape("car", -1)
    with pytest.raises(ValueError, match="seed"):
        make_shape("car", 2**63)
    with pytest.raises(ValueError, match="n >= 1"):
        make_shape("car", 0).points(0)
    with pytest.raises(ValueError, match=r"0\.\.9"):
        dense_clouds([10], [0], 16)
    with pytest.raises(ValueError, match="equal length"):
        dense_clouds([1, 2], [0], 16)
    with pytest.raises(ValueError, match="integers"):
        dense_clouds([1.0], [0], 16)


def parts_named(shape: Shape, name: str) -> list[Part]:
    return [part for part in shape.parts if part.name == name]


def test_wheels_touch_the_ground_and_nothing_reaches_below() -> None:
    for seed in range(100):
        car = make_shape("car", seed)
        wheels = parts_named(car, "wheel")
        assert len(wheels) == 4
        for wheel in wheels:
            assert corners([wheel])[0][1] == pytest.approx(0, abs=1e-9)
        assert car.surface.lower[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["chair", "table", "sofa"])
def test_legs_and_feet_stand_on_the_floor_under_the_seat_or_top(name: str) -> None:
    for seed in range(100):
        shape = make_shape(name, seed)
        assert shape.surface.lower[1] == pytest.approx(0, abs=1e-9)
        top = corners(parts_named(shape, {"chair": "seat", "table": "top", "sofa": "base"}[name]))[1][1]
        for part in parts_named(shape, "leg") + parts_named(shape, "foot"):
            lower, upper = corners([part])
            assert lower[1] < 0.06
            assert upper[1] < top


def test_furniture_and_vehicles_face_the_negative_z_axis() -> None:
    for seed in range(30):
        chair, sofa, plane = (make_shape(name, seed) for name in ("chair", "sofa", "airplane"))
        assert corners([p for p in chair.parts if p.name in ("back", "post")])[0][2] > 0
        assert corners(parts_named(sofa, "back"))[0][2] > corners(parts_named(sofa, "cushion"))[0][2]
        assert corners(parts_named(plane, "fin"))[0][2] > 0


def test_airplanes_and_cars_are_mirror_symmetric() -> None:
    for name in ("airplane", "car"):
        for seed in range(30):
            shape = make_shape(name, seed)
            if parts_named(shape, "propeller"):
                continue
            points = in_meters(shape, shape.points(1024))
            mirrored = points * np.array([[-1], [1], [1]], dtype=np.float32)
            outside = [Surface(list(shape.parts)).inside(p * np.float32(1)).mean() for p in (points, mirrored)]
            assert max(outside) < 0.02, (name, seed)
            spans = sorted((part.name, round(float(corners([part])[1][0]), 6)) for part in shape.parts)
            left = sorted((part.name, round(-float(corners([part])[0][0]), 6)) for part in shape.parts)
            swap = {"wing right": "wing left", "wing left": "wing right"}
            swap |= {"tail right": "tail left", "tail left": "tail right"}
            assert spans == sorted((swap.get(part, part), reach) for part, reach in left)


@pytest.mark.parametrize("name", CLASSES)
def test_the_union_is_watertight_and_has_the_area_the_points_cover(name: str) -> None:
    """The share of points kept times the area of all parts is the area of the union found by manifold3d."""
    pytest.importorskip("manifold3d")
    for seed in SEEDS:
        shape = make_shape(name, seed)
        union = shape.mesh(union=True)
        assert union.is_watertight
        kept = shape.surface.sample(np.random.default_rng(0), 40_000, normals=False)[0].shape[1] / 40_000
        diagonal = math.dist(shape.surface.lower, shape.surface.upper)
        assert kept * shape.surface.area / diagonal**2 == pytest.approx(union.area, rel=0.012), seed


def test_a_union_without_manifold3d_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "manifold3d", None)
    with pytest.raises(ImportError, match="pip install manifold3d"):
        make_shape("table", 1).mesh(union=True)


def test_the_handle_of_a_mug_does_not_reach_into_the_cup() -> None:
    for seed in range(40):
        mug = make_shape("mug", seed)
        (cup,), handle = parts_named(mug, "cup"), [part for part in mug.parts if part.name != "cup"]
        points, _ = Surface(handle).sample(np.random.default_rng(0), 4000, normals=False)
        inner = np.array(cup.solid.profile[-8:-1])[::-1]  # the wall inside, upwards
        radius = np.hypot(points[0], points[2])
        hollow = (points[1] > inner[0, 1]) & (radius < np.interp(points[1], inner[:, 1], inner[:, 0]) - 1e-6)
        assert not hollow.any(), seed
