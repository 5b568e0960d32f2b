"""Every distribution against its own definition: marginals, radii, supports, classes, addresses."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from ptdiff_datasets.points.formulas import Blurred
from ptdiff_datasets.points.toys import TOYS, Toy

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


def test_a_ring_of_six_gaussians_stands_in_one_of_twelve() -> None:
    points, label = draw("gaussian-rings")
    for k, (radius, count) in enumerate(((1.0, 6), (2.0, 12))):
        turn = np.arange(count) * 2 * np.pi / count
        centers = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        mine = points[label == k]
        which = np.square(mine[:, None] - centers).sum(axis=2).argmin(axis=1)
        assert stats.chisquare(np.bincount(which, minlength=count)).pvalue > P
        is_normal((mine - centers[which]).ravel(), 0.1)


def test_the_roll_in_space_is_the_plane_roll_pulled_along_y() -> None:
    points, _ = draw("swissroll-3d")
    turn = np.linspace(0.75, 2.25, 20_000)
    curve = np.stack([turn * np.cos(2 * np.pi * turn), turn * np.sin(2 * np.pi * turn)], axis=1)
    flat = points[:, [0, 2]]
    assert np.sqrt(np.square(nearest(flat, curve)).mean()) == pytest.approx(0.05, rel=0.03)
    # uniform, blurred: the middle part has no edge
    half = 21 / (4 * np.pi)
    inner = points[np.abs(points[:, 1]) < half - 0.25, 1]
    fits(inner, stats.uniform(-(half - 0.25), 2 * (half - 0.25)).cdf)
    assert points[:, 1].var() == pytest.approx(half**2 / 3 + 0.05**2, rel=0.03)
    assert abs(np.corrcoef(points[:, 1], np.hypot(*flat.T))[0, 1]) < 0.03


def segments() -> list[tuple[np.ndarray, np.ndarray]]:
    """The branches of the tree, by recursion."""
    found = []

    def grow(foot: np.ndarray, angle: float, length: float, levels: int) -> None:
        tip = foot + length * np.array([np.cos(angle), np.sin(angle)])
        found.append((foot, tip))
        if levels > 1:
            for side in (-1, 1):
                grow(tip, angle + side * np.radians(28), 0.7 * length, levels - 1)

    grow(np.zeros(2), np.pi / 2, 1.0, 7)
    return found


def test_the_tree_is_its_recursion_with_points_in_proportion_to_length() -> None:
    points, _ = draw("tree")
    branches = segments()
    assert len(branches) == 127
    distances, lengths = [], []
    for foot, tip in branches:
        way = tip - foot
        along = ((points - foot) @ way / (way @ way)).clip(0, 1)
        distances.append(np.hypot(*(points - foot - along[:, None] * way).T))
        lengths.append(np.hypot(*way))
    found, least = np.array(distances), np.array(lengths)
    is_normal(points[points[:, 1] < 0.9, 0], 0.01)
    # elsewhere another branch may be nearer than one's own
    assert found.min(axis=0).max() < 0.05
    assert 0.009 < np.sqrt(np.square(found.min(axis=0)).mean()) < 0.01
    count = np.bincount(found.argmin(axis=0), minlength=127)
    # the forks blur which branch a point is of, so levels are compared, not branches
    level = np.rint(np.log(least) / np.log(0.7)).astype(int)
    share = np.bincount(level, weights=count) / len(points)
    assert np.allclose(share, np.bincount(level, weights=least) / least.sum(), atol=0.012)
    assert abs(points[:, 0].mean()) < 4 * points[:, 0].std() / np.sqrt(len(points))


def test_every_row_of_coins_has_36_heads_of_48_and_no_coin_is_special() -> None:
    rows, _ = draw("coins")
    assert rows.shape == (COUNT, 48)
    assert set(np.unique(rows)) == {0.0, 1.0}
    assert (rows.sum(axis=1) == 36).all()
    heads = rows.mean(axis=0)
    assert np.abs(heads - 0.75).max() < 4.5 * np.sqrt(0.75 * 0.25 / COUNT)
    # a fixed sum: every two coins are correlated by -1 / 47
    correlation = np.corrcoef(rows.T)[np.triu_indices(48, 1)]
    assert correlation.mean() == pytest.approx(-1 / 47, abs=1e-4)
    assert np.abs(correlation + 1 / 47).max() < 5 / np.sqrt(COUNT)


BLURRED = {name: toy for name, toy in TOYS.items() if toy.density is not None}


def test_the_distributions_with_a_density_are_known() -> None:
    assert set(TOYS) - set(BLURRED) == {"checkerboard", "pinwheel", "swissroll-3d", "tree", "coins"}


@pytest.mark.parametrize("name", BLURRED)
def test_points_have_the_density_that_is_stated(name: str) -> None:
    # the same skeleton less blurred is a density q with bounded q / p, whose mean over points of p is the integral of q
    points, _ = TOYS[name].draw(1000, seed=7)
    exact = density(TOYS[name])
    narrow = Blurred(exact.skeleton, 0.8 * exact.std, exact.nodes)
    x = points.astype(np.float64)
    ratio = np.exp(narrow.log_density(x) - exact.log_density(x))
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(len(x)))
    # a density of another width fails by far
    assert ratio.std() / np.sqrt(len(x)) < 0.02


def test_less_noise_is_nearer_to_the_same_curve_and_its_density_stays_exact() -> None:
    toy = TOYS["moons"].blurred(0.02)
    points, label = toy.draw(2000, seed=3)
    wide, _ = TOYS["moons"].draw(2000, seed=3)
    curve, _ = density(toy).skeleton(np.stack([np.linspace(0, 1, 4000, endpoint=False)] * 2, axis=1))
    # the same noise, a third of it
    assert np.median(nearest(points, curve)) == pytest.approx(np.median(nearest(wide, curve)) / 3, rel=0.05)
    finer = Blurred(density(toy).skeleton, 0.02, (4 * density(toy).nodes[0], 1))
    x = points[:200].astype(np.float64)
    assert np.abs(finer.log_density(x) - density(toy).log_density(x)).max() < 2e-3
    assert set(label) == {0, 1}


def density(toy: Toy) -> Blurred:
    assert toy.density is not None
    return toy.density


@pytest.mark.parametrize(
    ("name", "radii", "noise"), [("circles", (1.0, 0.5), 0.04), ("rings", (1.0, 2.0, 3.0, 4.0), 0.08)]
)
def test_densities_of_circles_are_those_with_bessel_functions(
    name: str, radii: tuple[float, ...], noise: float
) -> None:
    # exp(-(r^2 + R^2) / 2 s^2) I_0(r R / s^2) / 2 pi s^2
    x = np.random.default_rng(0).uniform(-4.5, 4.5, (60, 2))
    r = np.hypot(*x.T)[:, None]
    part = -np.square(r - radii) / (2 * noise**2) + np.log(special.i0e(r * np.array(radii) / noise**2))
    expected = special.logsumexp(part, axis=1) - np.log(len(radii) * 2 * np.pi * noise**2)
    assert np.allclose(density(TOYS[name]).log_density(x), expected, rtol=1e-9, atol=1e-9)


def test_densities_of_gaussians_are_mixtures() -> None:
    x = np.random.default_rng(0).uniform(-3, 3, (40, 2))

    def mixture(centers: np.ndarray, std: float) -> np.ndarray:
        return np.log(np.mean([stats.multivariate_normal(c, std**2).pdf(x) for c in centers], axis=0))

    turn = np.arange(8) * np.pi / 4
    eight = 2 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    grid = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), axis=-1).reshape(-1, 2)
    two = np.array([[-1.5, 0], [1.5, 0]])
    for name, centers, std in (("8-gaussians", eight, 0.15), ("grid", grid, 0.08), ("two-gaussians", two, 0.5)):
        near = mixture(centers, std) > -300
        assert np.allclose(density(TOYS[name]).log_density(x[near]), mixture(centers, std)[near], atol=1e-9)


@pytest.mark.parametrize("name", ["moons", "swissroll", "spirals"])
def test_densities_along_curves_have_nodes_enough(name: str) -> None:
    exact = density(TOYS[name])
    x = TOYS[name].draw(200, seed=9)[0].astype(np.float64)
    finer = Blurred(exact.skeleton, exact.std, (4 * exact.nodes[0], 1))
    assert np.abs(exact.log_density(x) - finer.log_density(x)).max() < 2e-3
    assert density(TOYS[name]).log_density(np.zeros((0, 2))).shape == (0,)


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        TOYS["moons"].draw(-1, seed=0)
    with pytest.raises(ValueError, match="must not be negative"):
        TOYS["moons"].draw(1, seed=0, start=-1)
