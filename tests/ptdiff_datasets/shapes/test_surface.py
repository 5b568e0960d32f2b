"""Points on single solids and on unions of two, measured against meshes and closed forms."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import elliprg
from scipy.stats import chisquare, kstest

from ptdiff_datasets.shapes.curved import Ellipsoid, TorusArc
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.placing import towards, turn_x, turn_y, turn_z
from ptdiff_datasets.shapes.polyhedra import Box, Loft, oval, rectangle, rounded
from ptdiff_datasets.shapes.revolution import Revolution, frustum
from ptdiff_datasets.shapes.surface import Surface

TILT = turn_x(0.4) @ turn_z(0.9)
PLACE = (0.3, -0.2, 0.5)
BOTTLE = ((0.0, 0.1), (0.3, 0.0), (0.5, 0.1), (0.45, 0.9), (0.2, 1.2), (0.2, 1.5), (0.0, 1.5))
CUP = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.4, 1.0), (0.4, 0.3), (0.0, 0.3))
SHELL = ((0.5, 0.0), (0.3, 0.8), (0.25, 0.8), (0.45, 0.0))
SOLIDS = {
    "box": Box(0.5, 0.2, 0.05),
    "wing": Loft(((0.0, -0.4), (0.05, 0.0), (0.0, 0.4), (-0.05, 0.0)), 1.3, (0.4, 0.4), (0.1, 0.5)),
    "cabin": Loft(rectangle(0.8, 1.6), 0.5, (0.8, 0.5), (0.0, 0.1)),
    "cushion": Loft(rounded(0.3, 0.6, 0.08), 0.7),
    "top": Loft(oval(1.0, 0.6), 0.05, (1.05, 1.05)),
    "cone": frustum(0.4, 0.0, 1.0),
    "frustum": frustum(0.5, 0.2, 0.4),
    "disc": frustum(0.5, 0.5, 0.01),
    "bottle": Revolution(BOTTLE),
    "shell": Revolution(SHELL),
    "cup": Revolution(CUP),
    "ellipsoid": Ellipsoid(0.2, 0.5, 1.0),
    "pancake": Ellipsoid(0.6, 0.1, 0.6),
    "handle": TorusArc(0.3, 0.1, -1.2, 2.4),
    "long arc": TorusArc(0.3, 0.05, 0.5, 5.0),
}
Vectors = npt.NDArray[np.float32]


def placed(solid: Box | Loft | Revolution | Ellipsoid | TorusArc) -> Part:
    return Part("part", solid, PLACE, TILT)


def draw(surface: Surface, count: int, seed: int = 0) -> tuple[Vectors, Vectors]:
    points, normals = surface.sample(np.random.default_rng(seed), count, normals=True)
    assert normals is not None
    return points, normals


@pytest.mark.parametrize("name", SOLIDS)
def test_points_are_uniform_by_area_over_the_mesh(name: str) -> None:
    """In slabs across three oblique directions the counts follow the areas of the mesh's triangles."""
    part = placed(SOLIDS[name])
    points, _ = draw(Surface([part]), 40_000)
    mesh = part.mesh().subdivide_to_size(0.03)
    for direction in np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]:
        where = mesh.triangles_center @ direction
        order = np.argsort(where)
        cumulative = np.cumsum(mesh.area_faces[order])
        edges = np.interp(np.linspace(0, 1, 13)[1:-1], cumulative / cumulative[-1], where[order])
        expected = np.bincount(np.searchsorted(edges, where), weights=mesh.area_faces, minlength=12)
        counted = np.bincount(np.searchsorted(edges, direction @ points), minlength=12)
        assert chisquare(counted, expected / expected.sum() * counted.sum()).pvalue > 1e-4


@pytest.mark.parametrize("name", SOLIDS)
def test_the_area_is_that_of_the_mesh_and_the_mesh_is_watertight(name: str) -> None:
    mesh = placed(SOLIDS[name]).mesh()
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert Surface([placed(SOLIDS[name])]).area == pytest.approx(mesh.area, rel=4e-3)


@pytest.mark.parametrize("name", SOLIDS)
def test_the_bounding_box_is_that_of_the_mesh(name: str) -> None:
    surface, mesh = Surface([placed(SOLIDS[name])]), placed(SOLIDS[name]).mesh()
    assert np.allclose(mesh.bounds, [surface.lower, surface.upper], atol=2e-3)
    assert (mesh.bounds[0] > surface.lower - 1e-9).all()
    assert (mesh.bounds[1] < surface.upper + 1e-9).all()


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_are_unit_and_point_out_of_the_solid(name: str) -> None:
    surface = Surface([placed(SOLIDS[name])])
    points, normals = draw(surface, 4000)
    assert np.allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-5)
    assert not surface.inside(points + 1e-4 * normals).any()
    # Beside an edge, and only there, a step inward can leave through the next face.
    assert surface.inside(points - 1e-4 * normals).mean() > 0.95


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_are_perpendicular_to_the_surface(name: str) -> None:
    """A step of 1e-3 along the surface leaves it by the order of its square, not by its own order."""
    surface = Surface([placed(SOLIDS[name])])
    points, normals = draw(surface, 4000)
    tangents = np.cross(normals, [[0.6], [0.64], [0.48]], axis=0)
    tangents /= np.linalg.norm(tangents, axis=0)
    beside = points + 1e-3 * tangents
    flat = ~surface.inside(beside + 2e-4 * normals) & surface.inside(beside - 2e-4 * normals)
    assert flat.mean() > 0.8


@pytest.mark.parametrize("name", SOLIDS)
def test_the_inside_test_agrees_with_the_winding_number_of_the_mesh(name: str) -> None:
    part = placed(SOLIDS[name])
    surface, mesh = Surface([part]), part.mesh()
    rng = np.random.default_rng(3)
    points = rng.uniform(surface.lower - 0.05, surface.upper + 0.05, (1500, 3))
    winding = winding_number(points, mesh.triangles)
    differs = surface.inside(points.T.astype(np.float32)) != (winding > 0.5)
    distance = np.linalg.norm(points[differs][:, None] - draw(surface, 20_000)[0].T, axis=2).min(axis=1, initial=1.0)
    assert (distance < 0.02).all()  # they disagree only within the mesh's chords
    assert differs.mean() < 0.01


def winding_number(points: npt.NDArray[np.float64], triangles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How often a closed mesh winds around each point (van Oosterom and Strackee 1983)."""
    total = np.zeros(len(points))
    for block in np.array_split(triangles, max(1, len(triangles) // 500)):
        a, b, c = (block[None, :, i] - points[:, None] for i in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
        numerator = np.einsum("ijk,ijk->ij", a, np.cross(b, c))
        dots = [np.einsum("ijk,ijk->ij", u, v) for u, v in ((a, b), (b, c), (c, a))]
        total += np.arctan2(numerator, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb).sum(axis=1)
    return total / (2 * math.pi)


def test_areas_have_their_closed_forms() -> None:
    def area(solid: Box | Loft | Revolution | Ellipsoid | TorusArc) -> float:
        return Surface([placed(solid)]).area

    assert area(Box(1, 2, 3)) == pytest.approx(8 * (2 + 6 + 3))
    assert area(frustum(2, 1, 3)) == pytest.approx(math.pi * (4 + 1 + 3 * math.sqrt(10)))
    assert area(TorusArc(3, 1, 0.3, math.pi)) == pytest.approx(2 * math.pi**2 * 3 + 2 * math.pi)
    assert area(Ellipsoid(1, 1, 1)) == pytest.approx(4 * math.pi)
    eccentricity = math.sqrt(1 - 1 / 16)
    prolate = 2 * math.pi * (1 + 4 / eccentricity * math.asin(eccentricity))
    assert area(Ellipsoid(1, 4, 1)) == pytest.approx(prolate)
    assert area(Ellipsoid(1, 2, 3)) == pytest.approx(4 * math.pi * elliprg(4, 36, 9))


@pytest.mark.parametrize(
    ("solid", "coordinate", "distribution"),
    [
        # Side of a cone of height 1 from its base: the area above y is (1 - y)^2.
        (frustum(1, 0, 1), lambda p: p[1][p[1] > 0], lambda y: 1 - (1 - y) ** 2),
        # Archimedes: a sphere's area is uniform in height.
        (Ellipsoid(1, 1, 1), lambda p: p[1], lambda y: (y + 1) / 2),
        # Tube of a torus at the angle v: density 1 + (r / R) cos v.
        (
            TorusArc(1, 0.5, 0, 6.28),
            lambda p: np.mod(np.arctan2(p[2], np.hypot(p[0], p[1]) - 1), 2 * math.pi),
            lambda v: (v + 0.5 * np.sin(v)) / (2 * math.pi),
        ),
    ],
    ids=["cone", "sphere", "torus"],
)
def test_curved_sides_have_their_exact_distribution(
    solid: Revolution | Ellipsoid | TorusArc,
    coordinate: Callable[[Vectors], Vectors],
    distribution: Callable[[Vectors], Vectors],
) -> None:
    points, _ = draw(Surface([Part("part", solid)]), 20_000)
    assert kstest(coordinate(points), distribution).pvalue > 1e-3


def test_points_of_one_part_inside_another_are_dropped_and_the_rest_stay_uniform() -> None:
    """A unit cube with half of a smaller cube sunk into its top: outer area 6 + 4 x 0.5 x 0.25 exactly."""
    cube, knob = Part("cube", Box(0.5, 0.5, 0.5)), Part("knob", Box(0.25, 0.25, 0.25), (0.0, 0.5, 0.0))
    points, _ = draw(Surface([cube, knob]), 60_000)
    assert points.shape[1] / 60_000 == pytest.approx(6.5 / 7.5, abs=0.006)
    on_top, raised = np.isclose(points[1], 0.5), points[1] > 0.5 + 1e-6
    assert (np.abs(points[[0, 2]][:, on_top]).max(axis=0) > 0.2499).all()
    assert on_top.mean() == pytest.approx(0.75 / 6.5, abs=0.005)
    assert raised.mean() == pytest.approx(0.75 / 6.5, abs=0.005)


def test_points_come_in_random_order() -> None:
    """Any first n of a cloud are a fair cloud: where a point lies in the list says nothing about where it is."""
    parts = [Part("a", Box(0.5, 0.5, 0.5)), Part("b", Ellipsoid(0.5, 0.5, 0.5), (3.0, 0.0, 0.0))]
    points, _ = draw(Surface(parts), 20_000)
    half = points.shape[1] // 2
    first, second = (points[0, :half] > 1).mean(), (points[0, half:] > 1).mean()
    assert abs(first - second) < 0.02


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, -1, 0), (1, 0, 0), (0.3, -0.9, 0.2), (0, 0, -2.0)])
def test_towards_is_a_rotation_that_points_up_along_the_direction(direction: tuple[float, float, float]) -> None:
    turn = towards(direction)
    assert np.allclose(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.allclose(turn[:, 1], np.array(direction) / np.linalg.norm(direction))


def test_turns_go_the_way_they_say() -> None:
    quarter = math.pi / 2
    assert np.allclose(turn_x(quarter) @ [0, 1, 0], [0, 0, 1])
    assert np.allclose(turn_y(quarter) @ [0, 0, 1], [1, 0, 0])
    assert np.allclose(turn_z(quarter) @ [1, 0, 0], [0, 1, 0])


def test_a_draw_of_zero_at_the_tip_of_a_cone_is_the_tip() -> None:
    from ptdiff_datasets.shapes.solids import across_band

    u, tip, edge = (np.array(v, np.float32) for v in ([0.0, 0.25, 1.0], [0.0] * 3, [2.0] * 3))
    assert across_band(u, tip, edge).tolist() == [0.0, 0.5, 1.0]
