"""Light against geometry: who stands in whose shadow, and where shadows lie on the ground."""

import numpy as np
import pytest

from ptdiff_pointcloud.render import turntable
from ptdiff_pointcloud.render.light import (
    cells_per_sphere,
    gather,
    octahedron_to_sphere,
    sphere_to_octahedron,
    studio,
)
from ptdiff_pointcloud.render.scene import make_scene, to_linear, to_srgb
from ptdiff_pointcloud.render.spheres_numpy import NumpyVisibility
from ptdiff_pointcloud.render.spheres_open3d import Open3DVisibility


def lit(points, engine, radius=None, azimuth=0.0):
    scene = make_scene(points, None, radius)
    visibility = (Open3DVisibility if engine == "open3d" else NumpyVisibility)(scene)
    light = studio(azimuth, len(scene.centers))
    nodes = cells_per_sphere(len(scene.centers)) + 1
    needed = np.ones((len(scene.centers), nodes, nodes), dtype=bool)
    return scene, light, gather(scene, light, visibility, needed)


def node_toward(gathered, sphere, vector):
    """Share of the key light at the node of a sphere that is nearest to a direction."""
    cells = gathered.key.shape[1] - 1
    u, v = sphere_to_octahedron(np.asarray(vector, dtype=np.float32))
    return gathered.key[sphere, round(float(u + 1) / 2 * cells), round(float(v + 1) / 2 * cells)]


def test_a_sphere_alone_is_lit_all_around(engine):
    _, _, gathered = lit([[0, 0, 0]], engine)
    assert gathered.key.min() == 1
    assert gathered.ambient.min() == 1


def test_a_sphere_in_line_with_the_lamp_shades_the_other(engine):
    toward = studio(0, 2).toward
    _, _, gathered = lit([toward, -toward], engine, radius=0.6)
    assert node_toward(gathered, 0, toward) == 1
    assert node_toward(gathered, 1, toward) < 0.05
    assert node_toward(gathered, 0, -toward) == 1, "what faces away has nothing to lose"


def test_spheres_across_the_light_do_not_shade_each_other(engine):
    toward = studio(0, 2).toward
    across = np.cross(toward, [0, 1, 0])
    _, _, gathered = lit([across, -across], engine, radius=0.3)
    assert min(node_toward(gathered, i, toward) for i in (0, 1)) == 1


def test_ambient_light_is_dim_inside_and_bright_outside(engine):
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(3000, 3))
    ball *= (rng.random((3000, 1)) ** (1 / 3)) / np.linalg.norm(ball, axis=1, keepdims=True)
    _, _, gathered = lit(ball, engine, radius=0.05)
    distance = np.linalg.norm(ball, axis=1)
    share = gathered.ambient.mean(axis=(1, 2))
    assert share[distance < 0.5].mean() < 0.05
    assert share[distance > 0.97].mean() > 0.4


def test_the_shadow_of_a_sphere_lies_where_the_lamp_throws_it(engine):
    # The low sphere makes the ground; the high one casts the shadow that is measured.
    points = np.array([[0.0, -1, 0], [0, 1, 0]])
    scene, light, gathered = lit(points, engine, radius=0.25)
    count = len(gathered.ground_key)
    x = np.linspace(gathered.low[0], gathered.high[0], count)
    z = np.linspace(gathered.low[1], gathered.high[1], count)
    height = scene.centers[1, 1] - scene.ground
    drop = light.toward * height / light.toward[1]
    place = scene.centers[1, [0, 2]] - drop[[0, 2]]
    near = np.hypot(x[None, :] - place[0], z[:, None] - place[1]) < 0.3
    dark = (1 - gathered.ground_key) * near
    center = (dark * x[None, :]).sum() / dark.sum(), (dark * z[:, None]).sum() / dark.sum()
    assert center == pytest.approx(tuple(place), abs=0.04)
    assert place @ light.toward[[0, 2]] < 0, "on the side away from the lamp"


def test_the_ground_is_untouched_far_from_the_cloud(engine):
    _, _, gathered = lit(np.random.default_rng(0).normal(size=(200, 3)), engine)
    for grid in (gathered.ground_key, gathered.ground_ambient):
        for edge in (grid[0], grid[-1], grid[:, 0], grid[:, -1]):
            assert edge.min() == 1
        assert grid.min() < 0.7


def test_in_pictures_the_shadow_falls_right_of_the_cloud_and_left_when_seen_from_behind():
    post = np.stack([np.zeros(60), np.linspace(-1, 1, 60), np.zeros(60)], axis=1)
    red = np.tile((1.0, 0, 0), (60, 1))
    front, behind = turntable(post, frames=2, size=128, radius=0.15, azimuth=0, colors=red, engine="numpy")
    for image, side in ((front, 1), (behind, -1)):
        ground = (np.ptp(image.astype(int), axis=2) <= 2) & (image[:, :, 0] < 235)
        assert side * (np.nonzero(ground)[1].mean() - 64) > 8


def test_the_higher_a_sphere_the_softer_its_shadow(engine):
    # Seen from the ground, the lamp is wider than the high sphere and narrower than the low one.
    scene, light, gathered = lit([[0, -1, 0], [0, 1, 0]], engine, radius=0.12)
    x, z = (np.linspace(gathered.low[i], gathered.high[i], len(gathered.ground_key)) for i in (0, 1))
    darkness = []
    for center in scene.centers:
        place = center - light.toward * (center[1] - scene.ground) / light.toward[1]
        near = np.hypot(x[None, :] - place[0], z[:, None] - place[2]) < 0.25
        darkness.append(1 - gathered.ground_key[near].min())
    low, high = darkness
    assert low > 0.65
    assert 0.05 < high < 0.3


def test_ground_in_the_open_is_fully_lit(engine):
    scene, _, gathered = lit([[0, 0, 0]], engine)
    for grid, reach in ((gathered.ground_key, 1.2), (gathered.ground_ambient, 3.0)):
        x, z = (np.linspace(gathered.low[i], gathered.high[i], len(grid)) for i in (0, 1))
        away = np.hypot(x[None, :], z[:, None])
        assert grid.max() == pytest.approx(1, abs=1e-5)
        assert grid[away < 0.3 * scene.radius].max() < 0.6, "under the sphere it is dark"
        assert grid[away > reach * scene.radius + 0.5].min(initial=1) > 0.93


def test_the_octahedral_map_is_a_bijection():
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(1000, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    u, v = sphere_to_octahedron(normals)
    assert max(np.abs(u).max(), np.abs(v).max()) <= 1
    np.testing.assert_allclose(octahedron_to_sphere(u, v), normals, atol=1e-6)


def test_srgb_bytes_survive_linear_light():
    levels = np.arange(256)
    linear = to_linear(levels / 255)
    np.testing.assert_array_equal(to_srgb(linear), levels)
    assert linear[128] == pytest.approx(0.2158, abs=1e-3)
