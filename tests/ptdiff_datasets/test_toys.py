"""Every distribution against its own definition: marginals, radii, supports, classes, addresses."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from ptdiff_datasets.toys import TOYS

COUNT = 20_000
# a right sample fails one of these tests once in ten thousand; the points are fixed, so never by chance
P = 1e-4


def draw(name: str) -> tuple[np.ndarray, np.ndarray]:
    points, label = TOYS[name].draw(COUNT, seed=3)
    return points.astype(np.float64), label


def fits(values: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> None:
    assert stats.kstest(values, cdf).pvalue > P


def is_normal(values: np.ndarray, std: float) -> None:
    """Centered, of this deviation to four standard errors, and of the right form."""
    fits(values, stats.norm(scale=std).cdf)
    assert abs(values.std() / std - 1) < 4 / np.sqrt(2 * len(values))


def nearest(points: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """The distance of each point to a finely sampled curve."""
    from scipy.spatial import cKDTree

    return cKDTree(curve).query(points)[0]


@pytest.mark.parametrize("name", TOYS)
def test_points_are_addressed(name: str) -> None:
    toy = TOYS[name]
    points, label = toy.draw(100, seed=5)
    again, label_again = toy.draw(30, seed=5, start=50)
    assert np.array_equal(points[50:80], again)
    assert np.array_equal(label[50:80], label_again)
    assert not np.array_equal(points, toy.draw(100, seed=6)[0])
    assert points.dtype == np.float32
    assert label.dtype == np.int64


@pytest.mark.parametrize("name", TOYS)
def test_a_later_stretch_is_an_independent_sample_of_the_same_distribution(name: str) -> None:
    toy = TOYS[name]
    first, _ = toy.draw(4000, seed=1)
    later, _ = toy.draw(4000, seed=1, start=4000)
    assert stats.ks_2samp(first[:, 0], later[:, 0]).pvalue > P
    assert stats.ks_2samp(first[:, 1], later[:, 1]).pvalue > P
    assert abs(np.corrcoef(first[:, 0], later[:, 0])[0, 1]) < 0.06
    assert len(np.unique(np.concatenate([first, later]), axis=0)) == 8000


@pytest.mark.parametrize("name", TOYS)
def test_classes_are_equally_frequent_and_all_named(name: str) -> None:
    _, label = draw(name)
    count = np.bincount(label)
    assert len(count) == max(1, len(TOYS[name].classes))
    assert len(set(TOYS[name].classes)) == len(TOYS[name].classes)
    if len(count) > 1:
        assert stats.chisquare(count).pvalue > P


@pytest.mark.parametrize("name", TOYS)
def test_the_frame_holds_the_points_and_is_not_much_too_large(name: str) -> None:
    toy = TOYS[name]
    points, _ = draw(name)
    off = np.abs(points - toy.center).max(axis=1)
    assert np.mean(off < toy.reach) > 0.9995
    assert off.max() > 0.8 * toy.reach


def test_two_gaussians_stand_three_apart() -> None:
    points, label = draw("two-gaussians")
    for k, x in enumerate((-1.5, 1.5)):
        is_normal(points[label == k, 0] - x, 0.5)
        is_normal(points[label == k, 1], 0.5)


def test_eight_gaussians_stand_on_a_circle_counted_from_the_east() -> None:
    points, label = draw("8-gaussians")
    for k, name in enumerate(TOYS["8-gaussians"].classes):
        center = 2 * np.array([np.cos(k * np.pi / 4), np.sin(k * np.pi / 4)])
        is_normal(points[label == k, 0] - center[0], 0.15)
        is_normal(points[label == k, 1] - center[1], 0.15)
        assert ("north" in name) == (center[1] > 1e-9)
        assert ("west" in name) == (center[0] < -1e-9)


def test_the_grid_is_twenty_five_gaussians() -> None:
    points, _ = draw("grid")
    cell = np.rint(points)
    is_normal((points - cell).ravel(), 0.08)
    assert stats.chisquare(np.unique(cell, axis=0, return_counts=True)[1]).pvalue > P
    assert len(np.unique(cell, axis=0)) == 25


def test_moons_are_half_circles_that_face_each_other() -> None:
    points, label = draw("moons")
    for k, (center, sign) in enumerate((((0.0, 0.0), 1), ((1.0, 0.5), -1))):
        away = sign * (points[label == k] - center)
        # noise moves the radius by more than its radial part: the exact law is Rice's
        fits(np.hypot(*away.T), stats.rice(b=1 / 0.06, scale=0.06).cdf)
        inner = away[away[:, 1] > 0.3]
        turn = np.arctan2(inner[:, 1], inner[:, 0]) / np.pi
        assert abs(turn.mean() - 0.5) < 0.01
        assert away[:, 1].min() > -0.35


@pytest.mark.parametrize(
    ("name", "radii", "noise"), [("circles", (1.0, 0.5), 0.04), ("rings", (1.0, 2.0, 3.0, 4.0), 0.08)]
)
def test_circles_and_rings_have_rice_distributed_radii(name: str, radii: tuple[float, ...], noise: float) -> None:
    points, label = draw(name)
    for k, radius in enumerate(radii):
        x, y = points[label == k].T
        fits(np.hypot(x, y), stats.rice(b=radius / noise, scale=noise).cdf)
        fits(np.arctan2(y, x), stats.uniform(-np.pi, 2 * np.pi).cdf)


def test_the_checkerboard_is_uniform_on_half_of_its_squares() -> None:
    points, _ = draw("checkerboard")
    square = np.floor(points).astype(int)
    assert (square.sum(axis=1) % 2 == 0).all()
    assert square.min() == -2
    assert square.max() == 1
    fits((points - square).ravel(), stats.uniform.cdf)
    assert stats.chisquare(np.unique(square, axis=0, return_counts=True)[1]).pvalue > P


def test_pinwheel_arms_are_one_arm_turned() -> None:
    points, label = draw("pinwheel")
    first = points[label == 0]
    for k in range(1, 5):
        c, s = np.cos(2 * np.pi * k / 5), np.sin(2 * np.pi * k / 5)
        back = points[label == k] @ np.array([[c, -s], [s, c]])
        assert stats.ks_2samp(back[:, 0], first[:, 0]).pvalue > P
        assert stats.ks_2samp(back[:, 1], first[:, 1]).pvalue > P
    # the twist keeps lengths: |x|^2 / 4 = a^2 + b^2, a ~ N(1, 0.3^2), b ~ N(0, 0.08^2)
    assert np.square(points).sum(axis=1).mean() / 4 == pytest.approx(1 + 0.3**2 + 0.08**2, abs=0.02)


@pytest.mark.parametrize("name", ["swissroll", "spirals"])
def test_spirals_stay_at_noise_distance_of_their_curves(name: str) -> None:
    points, label = draw(name)
    for k in np.unique(label):
        if name == "swissroll":
            turn = np.linspace(0.75, 2.25, 20_000)
            radius, start = turn, 0.0
        else:
            turn = np.linspace(0, 1.5, 20_000)
            radius, start = 1.5 * turn, k / 2
        angle = 2 * np.pi * (turn + start)
        curve = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        mine = points[label == k]
        mine = mine[np.hypot(*mine.T) > 0.6]
        distance = nearest(mine, curve)
        # across a smooth curve the distance is half normal
        assert np.sqrt(np.square(distance).mean()) == pytest.approx(0.05, rel=0.03)


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        TOYS["moons"].draw(-1, seed=0)
    with pytest.raises(ValueError, match="must not be negative"):
        TOYS["moons"].draw(1, seed=0, start=-1)
