"""Pictures of clouds against geometry: silhouettes, hiding, framing, colors, orbits, and two engines."""

import math
import subprocess
import sys

import numpy as np
import pytest

from ptdiff_pointcloud.render import render_cloud, turntable
from ptdiff_pointcloud.render.camera import direction

RED, GREEN, BLUE = np.eye(3)


def torus(count, seed=0):
    a, b = np.random.default_rng(seed).random((2, count)) * 2 * np.pi
    around = 1 + 0.4 * np.cos(b)
    return np.stack([around * np.cos(a), 0.4 * np.sin(b), around * np.sin(a)], axis=1)


def tinted(image, color):
    """Pixels in which the channel of `color` clearly outshines the others."""
    channel = int(np.argmax(color))
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    return image[:, :, channel].astype(int) - others > 40


def middle(mask):
    """Mean column and row of a mask."""
    rows, columns = np.nonzero(mask)
    return columns.mean() + 0.5, rows.mean() + 0.5


def test_one_sphere_is_a_disc_of_the_computed_size_and_place(engine):
    image = render_cloud([[5, 6, 7]], radius=2, colors=[RED], size=200, engine=engine)
    seen = tinted(image, RED)
    # The sphere of 0.35 of the framing sphere, which fills 1/1.08 of a field of view of 24 degrees.
    distance = 1.08 / math.sin(math.radians(12))
    radius = math.tan(math.asin(0.35 / distance)) * 100 / math.tan(math.radians(12))
    assert math.sqrt(seen.sum() / math.pi) == pytest.approx(radius, rel=0.015)
    assert middle(seen) == pytest.approx((100, 100), abs=0.3)
    rows, columns = np.nonzero(seen)
    assert np.ptp(rows) + 1 == pytest.approx(2 * radius, abs=1.6)
    assert np.ptp(columns) + 1 == pytest.approx(2 * radius, abs=1.6)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 0), (38, 26), (200, 60), (-70, -20)])
def test_spheres_appear_where_the_camera_formula_puts_them(engine, azimuth, elevation):
    points = np.array([[1.0, 0.2, -0.3], [-1, -0.2, 0.3], [0.2, 0.9, 0.1]])
    image = render_cloud(
        points,
        radius=0.15,
        colors=[RED, GREEN, BLUE],
        size=300,
        azimuth=azimuth,
        elevation=elevation,
        engine=engine,
    )
    # The two far points span the framing sphere: its center is 0. Rotate the world, then divide by depth.
    a, e = math.radians(azimuth), math.radians(elevation)
    scale = np.linalg.norm(points[0]) + 0.15
    for point, color in zip(points / scale, (RED, GREEN, BLUE), strict=True):
        x, y, z = point
        right = -x * math.cos(a) - z * math.sin(a)
        towards = x * math.sin(a) - z * math.cos(a)
        up = y * math.cos(e) - towards * math.sin(e)
        depth = 1.08 / math.sin(math.radians(12)) - towards * math.cos(e) - y * math.sin(e)
        focal = 150 / math.tan(math.radians(12))
        expected = (150 + focal * right / depth, 150 - focal * up / depth)
        assert middle(tinted(image, color)) == pytest.approx(expected, abs=2.5)


def test_a_sphere_hides_the_one_behind_it(engine):
    away = direction(38, 26)
    front, behind = away * 0.5, -away * 0.5
    options = {"radius": 0.4, "size": 128, "engine": engine}
    image = render_cloud([front, behind], colors=[RED, BLUE], **options)
    assert tinted(image, RED).any()
    assert not tinted(image, BLUE).any()
    turned = render_cloud([front, behind], colors=[RED, BLUE], azimuth=218, elevation=-26, **options)
    assert tinted(turned, BLUE).any()
    assert not tinted(turned, RED).any()


def clouds():
    rng = np.random.default_rng(1)
    box = rng.uniform(-1, 1, (500, 3)) * (0.1, 2, 1)
    line = np.stack([np.linspace(-1, 1, 200), np.zeros(200), np.zeros(200)], axis=1)
    return {
        "torus": torus(1000),
        "noise": rng.normal(size=(1000, 3)),
        "far": box * 1e4 + 1e6,
        "tiny": box * 1e-6,
        "line": line,
        "flat": rng.uniform(-1, 1, (300, 3)) * (1, 0, 1),
        "two": np.array([[0.0, 0, 0], [1, 1, 1]]),
        "same": np.ones((4, 3)),
    }


@pytest.mark.parametrize("name", clouds())
@pytest.mark.parametrize("elevation", [0, 26, 80])
def test_nothing_touches_the_border_and_the_corners_are_white(name, elevation):
    image = render_cloud(clouds()[name], size=96, elevation=elevation, engine="numpy")
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert edge.min() >= 253
    assert (image[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert image.min() < 200, "something is seen"


def test_colors_are_respected(engine):
    cloud = torus(600)
    grey = render_cloud(cloud, colors=np.full((600, 3), 0.5), size=128, engine=engine)
    assert (grey.max(axis=2) - grey.min(axis=2)).max() <= 1, "grey spheres, lamp and ground give no tint"
    red = render_cloud(cloud, colors=np.tile((0.9, 0.2, 0.2), (600, 1)), size=128, engine=engine)
    ball = np.ptp(red.astype(int), axis=2) > 60
    assert (red[ball][:, 0] > red[ball][:, 1]).all()
    assert np.abs(red[ball][:, 1].astype(int) - red[ball][:, 2]).max() <= 1
    assert np.quantile(red[ball][:, 0], 0.9) > 200, "lit red is bright"


def test_default_colors_follow_the_position(engine):
    corners = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1, 1) for z in (-1, 1)])
    image = render_cloud(corners[[4, 2, 1]], size=128, radius=0.3, engine=engine)
    for color in (RED, GREEN, BLUE):
        assert tinted(image, color).sum() > 50


@pytest.mark.usefixtures("open3d")
def test_engines_draw_the_same_picture():
    cloud = torus(2048)
    first, second = (render_cloud(cloud, size=256, engine=e).astype(int) for e in ("numpy", "open3d"))
    assert np.abs(first - second).mean() < 3
    ball = (np.ptp(first, axis=2) > 30) & (np.ptp(second, axis=2) > 30)
    assert abs((first - second)[ball].mean()) < 2, "neither engine is darker"


def test_supersampling_smooths_edges_only(engine):
    cloud = torus(300)
    coarse, fine = (render_cloud(cloud, size=128, supersample=s, engine=engine).astype(int) for s in (1, 3))
    assert 0 < np.abs(coarse - fine).mean() < 6


def test_a_turntable_starts_with_the_picture_and_closes_its_circle(engine):
    options = {"size": 96, "engine": engine}
    cloud = torus(300) * (1, 1, 0.5) + (3, 0, 0)
    frames = list(turntable(cloud, frames=4, **options))
    assert len(frames) == 4
    assert {f.shape for f in frames} == {(96, 96, 3)}
    still = render_cloud(cloud, **options).astype(int)
    assert np.abs(frames[0] - still).max() <= 1
    assert np.abs(render_cloud(cloud, azimuth=38 + 360, **options) - still).mean() < 0.2
    assert np.abs(frames[2] - still).mean() > 2


def test_frames_of_a_turntable_are_drawn_one_by_one():
    frames = turntable(torus(20), frames=10**6, size=32, engine="numpy")
    np.testing.assert_array_equal(next(frames).shape, (32, 32, 3))
    with pytest.raises(ValueError, match="at least one frame"):
        next(turntable(torus(20), frames=0))


def test_an_orbit_keeps_framing_and_colors():
    # A ring of equal spheres around the axis of the orbit looks the same from all sides, but for its light.
    a = np.arange(12) * 2 * np.pi / 12
    ring = np.stack([np.cos(a), 0 * a, np.sin(a)], axis=1)
    frames = list(turntable(ring, frames=12, size=96, colors=np.tile(RED, (12, 1)), engine="numpy"))
    masks = np.stack([tinted(f, RED) for f in frames])
    assert (masks != masks[0]).mean() < 0.01


def test_the_picture_depends_on_neither_place_nor_unit(engine):
    cloud = torus(300)
    first = render_cloud(cloud, size=96, engine=engine).astype(int)
    second = render_cloud(cloud * 250 + (1e3, -40, 7), size=96, engine=engine).astype(int)
    assert np.abs(first - second).mean() < 0.3


def test_a_stray_point_moves_neither_frame_nor_ground():
    cloud = torus(1000)
    alone = render_cloud(cloud, size=128, engine="numpy").astype(int)
    for stray in ([0, -40, 0], [300, 10, 0]):
        image = render_cloud(np.concatenate([cloud, [stray]]), size=128, engine="numpy")
        assert np.abs(image - alone).mean() < 1.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_counted(value):
    cloud = torus(50)
    cloud[[3, 7, 7, 9], [0, 1, 2, 2]] = value
    with pytest.raises(ValueError, match="3 of 50 points are not finite"):
        render_cloud(cloud)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((0, 3)), {}, "n >= 1"),
        (np.zeros((4, 2)), {}, r"not \(4, 2\)"),
        (np.zeros((4, 3)), {"radius": 0}, "radius must be positive"),
        (np.zeros((4, 3)), {"colors": np.zeros((3, 3))}, "3 colors for 4 points"),
        (np.zeros((4, 3)), {"colors": np.full((4, 3), 255)}, r"\[0, 1\]"),
        (np.zeros((4, 3)), {"size": 0}, "at least 1"),
        (np.zeros((4, 3)), {"elevation": 90}, "elevation"),
        (np.zeros((4, 3)), {"engine": "cuda"}, "numpy or open3d"),
    ],
)
def test_nonsense_is_refused(points, options, message):
    with pytest.raises(ValueError, match=message):
        render_cloud(points, **options)


def test_pictures_need_no_open3d(monkeypatch):
    cloud = torus(100)
    expected = render_cloud(cloud, size=64, engine="numpy")
    monkeypatch.setitem(sys.modules, "open3d", None)
    np.testing.assert_array_equal(render_cloud(cloud, size=64), expected)
    with pytest.raises(ImportError):
        render_cloud(cloud, size=64, engine="open3d")


def test_importing_the_package_imports_no_open3d():
    code = "import sys, ptdiff_pointcloud.render; print([m for m in ('open3d', 'PIL') if m in sys.modules])"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.slow
def test_a_hundred_thousand_points_are_drawn(engine):
    image = render_cloud(torus(100_000), size=256, engine=engine)
    assert 0.2 < (np.ptp(image.astype(int), axis=2) > 30).mean() < 0.7
