"""Pictures of the theory: what is drawn is what the core computes, and the theory holds."""

import math

import numpy as np
import pytest
import torch
from matplotlib import style
from matplotlib.figure import Figure

from ptdiff.certify.moments import moments
from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.gallery import THEORY, densities, diffusion_2d, embedding, preconditioning, resolution, schedules
from ptdiff.gallery import solver_panel as panel
from ptdiff.gallery import variance_study as study
from ptdiff.pictures.plot import DPI, density_map, picture
from ptdiff.process import Chain, Level, TrigFlow
from ptdiff.solvers.exponential import DDPM

QUICK = ("schedules", "processes", "shifts", "density-tails", "preconditioning", "embedding")
SLOW = tuple(name for name in THEORY if name not in QUICK)


def drawn(name: str) -> Figure:
    """The figure of a picture, before it becomes pixels."""
    figure = Figure()
    THEORY[name].__wrapped__(figure)
    return figure


def line(axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    found = next(line for line in axes.lines if line.get_label() == label)
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_every_picture_is_a_page_with_something_on_it(name: str) -> None:
    page = THEORY[name]()
    assert page.dtype == np.uint8
    assert page.shape[1:] == (8 * DPI, 3)
    assert 300 <= page.shape[0] <= 1500
    # a light ground, and neither blank nor black
    assert (page == 255).all(axis=2).mean() > 0.03
    assert (page < 250).any(axis=2).mean() > 0.01
    # nothing is cut off: the outermost pixels are the page
    border = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    assert (border == 255).all()
    assert THEORY[name].__doc__.splitlines()[0].endswith(".")


def test_pictures_are_the_same_twice_and_under_other_settings() -> None:
    first = THEORY["preconditioning"]()
    with style.context({"lines.linewidth": 7.0, "font.size": 20.0, "figure.facecolor": "red"}):
        second = THEORY["preconditioning"]()
    np.testing.assert_array_equal(first, second)


def test_a_drawing_becomes_pixels_of_its_size_with_its_name_and_docstring() -> None:
    @picture(2.0, 3.0)
    def square(figure: Figure, shade: str) -> None:
        """A square."""
        figure.set_facecolor(shade)

    found = square("#204060")
    assert found.shape == (2 * DPI, 3 * DPI, 3)
    assert (found == [0x20, 0x40, 0x60]).all()
    assert (square.__name__, square.__doc__) == ("square", "A square.")


def test_a_density_of_nothing_is_the_page() -> None:
    assert density_map()(0.0) == (1.0, 1.0, 1.0, 1.0)
    light = [sum(density_map()(x)[:3]) for x in np.linspace(0, 1, 11)]
    assert light == sorted(light, reverse=True)


def test_the_curves_of_the_chains_are_their_levels() -> None:
    beta, abar, snr, sigma = drawn("schedules").axes
    for name, chain in schedules.CHAINS.items():
        level = chain.levels(torch.arange(1000))
        for axes, expected in (
            (beta, chain.beta),
            (abar, level.alpha**2),
            (snr, torch.log(level.alpha**2 / level.sigma**2)),
            (sigma, level.sigma),
        ):
            np.testing.assert_allclose(line(axes, name)[1], expected.numpy(), rtol=1e-9, atol=1e-12)


def test_the_curves_of_the_processes_are_their_levels() -> None:
    alpha, sigma, snr, angle = drawn("processes").axes
    for name, process in schedules.CONTINUOUS.items():
        for axes, of in (
            (alpha, lambda level: level.alpha),
            (sigma, lambda level: level.sigma),
            (snr, lambda level: 2 * level.half_log_snr),
            (angle, lambda level: level.angle),
        ):
            t, y = line(axes, name)
            np.testing.assert_allclose(y, of(process.level(torch.from_numpy(t))).numpy(), rtol=1e-12, atol=1e-15)


def test_a_shift_moves_the_log_snr_by_twice_its_logarithm_and_the_density_with_it() -> None:
    snr, density = drawn("shifts").axes
    t, base = line(snr, "trigflow")
    _, shifted = line(snr, "shift 4")
    np.testing.assert_allclose(base - shifted, 2 * math.log(4), rtol=1e-9)
    x, height = line(density, "trigflow")
    # log rho = log tan(pi t / 2) for t uniform: p(lambda) = sech(lambda) / pi, and half of it over twice lambda
    np.testing.assert_allclose(height, 0.5 / (math.pi * np.cosh(x / 2)), rtol=1e-6)
    assert np.trapezoid(height[::-1], x[::-1]) == pytest.approx(1, abs=2e-3)
    assert t[0] < t[-1]


@pytest.mark.parametrize("name", [*densities.OF_RATIO, *densities.OF_TIME])
def test_densities_integrate_to_one_and_their_shares_are_what_is_drawn(name: str) -> None:
    density = {**densities.OF_RATIO, **densities.OF_TIME}[name]
    at = torch.linspace(-40, 40, 8001, dtype=torch.float64)
    height = densities.continuous(density, at)
    assert float(torch.trapezoid(height, at)) == pytest.approx(1, abs=3e-3)
    place = torch.tensor([-3.0, 0.0, 2.5], dtype=torch.float64)
    noisier, cleaner = densities.beyond(density, place)
    np.testing.assert_allclose((noisier + cleaner).numpy(), 1)
    below = [float(torch.trapezoid(height[at <= x], at[at <= x])) for x in place]
    np.testing.assert_allclose(noisier.numpy(), below, atol=4e-3)


def test_the_density_of_a_chain_is_that_of_its_levels() -> None:
    for chain in schedules.CHAINS.values():
        at, height = densities.discrete(chain)
        found = 2 * chain.levels(torch.arange(chain.steps)).half_log_snr
        # between neighbors lies one T-th of the levels, whatever their distance
        np.testing.assert_allclose((height * (found[:-1] - found[1:])).numpy(), 1e-3)
        assert (at.diff() < 0).all()


def test_edm_is_the_velocity_at_alpha_one() -> None:
    axes = drawn("preconditioning").axes[0]
    for label, formula in (
        (r"$c_{\mathrm{skip}}$", lambda s: 1 / (1 + s**2)),
        (r"$c_{\mathrm{out}}$", lambda s: s / np.sqrt(1 + s**2)),
        (r"$c_{\mathrm{in}}$", lambda s: 1 / np.sqrt(1 + s**2)),
    ):
        sigma, curve = line(axes, label)
        np.testing.assert_allclose(curve, formula(sigma), rtol=1e-12)
    skip, out = drawn("preconditioning").axes[1:]
    for name in PREDICTIONS:
        sigma, curve = line(skip, name)
        numbers, _ = preconditioning.coefficients(name, torch.from_numpy(sigma))
        np.testing.assert_allclose(curve, numbers.skip.numpy())
    assert len(out.lines) == len(PREDICTIONS) + 1


def test_features_are_those_of_the_embedding_and_sinusoids_those_of_the_paper() -> None:
    angle = torch.tensor([0.0, math.pi / 4, math.pi / 2])
    found = embedding.features(angle)
    u = angle * 2 / math.pi
    warp = u**0.25
    assert found.shape == (3, 14)
    torch.testing.assert_close(found[:, :2], torch.stack([2 * u - 1, 2 * warp - 1], dim=1))
    torch.testing.assert_close(found[:, 3], torch.sin(2 * math.pi * warp), atol=1e-5, rtol=0)
    wave = embedding.sinusoidal(torch.tensor([0, 7]), 8)
    assert wave[0].tolist() == [0.0] * 4 + [1.0] * 4
    assert float(wave[1, 0]) == pytest.approx(math.sin(7))
    assert float(wave[1, 3]) == pytest.approx(math.sin(7e-4))


def test_noise_seen_smaller_falls_with_the_side_and_a_shift_makes_up_for_it() -> None:
    for side in resolution.SIDES:
        noise = resolution.noise(side)
        assert float(noise.std()) == pytest.approx(1, abs=0.02)
        assert resolution.left(noise) == pytest.approx(64 / side, rel=0.03)


def test_the_landscape_says_the_same_at_every_side() -> None:
    small, large = resolution.landscape(64), resolution.landscape(128)
    reduced = resolution.reduced(large, 64)
    assert float(small.mean()) == pytest.approx(0, abs=1e-9)
    assert float(small.std(correction=0)) == pytest.approx(1)
    torch.testing.assert_close(reduced / reduced.std(correction=0), small)


@pytest.mark.parametrize("scale", study.SCALES)
def test_the_variance_of_normal_data_becomes_the_square_of_the_scale_times_itself(scale: float) -> None:
    assert study.gaussian_ratio(scale, 1000) == pytest.approx(scale**2, rel=0.01, abs=1e-9)
    # and the error of a finite number of steps is of first order
    gaps = [abs(study.gaussian_ratio(scale, steps) - scale**2) for steps in (100, 200)]
    assert scale == 0 or gaps[1] / gaps[0] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("k", [0.5, 1.5])
def test_the_variance_follows_the_equation_of_the_docstring_from_any_start(k: float) -> None:
    # variance exploding, alpha = 1, from sigma^2 = 9 to 1/4: v = sigma^2, w = s^2 + v
    s2, first, last = 0.25, 9.25, 0.5

    def variance(steps: int) -> float:
        sigma = (torch.logspace(math.log2(first), math.log2(last), steps + 1, 2.0, dtype=torch.float64) - s2).sqrt()
        return moments(DDPM(scale=k).table(Level(torch.ones_like(sigma), sigma)), 0.0, math.sqrt(s2))[1]

    # of first order: two numbers of steps show the limit
    assert 2 * variance(200) - variance(100) == pytest.approx(k**2 * last + (1 - k**2) * last**2 / first, rel=1e-3)


def test_lower_and_upper_variance_hold_the_truth_between_them() -> None:
    for steps in (10, 50, 200):
        low, high = (study.gaussian_ratio(1.0, steps, kind) for kind in ("lower", "upper"))
        assert low < 1 < high


def test_too_little_noise_collapses_and_too_much_stays() -> None:
    found = {scale: study.spread(study.samples(scale, 400)) for scale in (0.0, 0.5, 1.0, 2.0)}
    exact = study.spread(study.MODES.sample(5, torch.arange(400)))
    assert exact.within == pytest.approx(1, abs=0.12)
    assert exact.apart < 0.08
    # without noise all samples end in the one or two heaviest of six modes, at a point
    assert found[0.0].within < 0.05 and found[0.0].apart > 0.5
    assert found[0.5].within == pytest.approx(0.25, abs=0.08)
    assert found[1.0].within == pytest.approx(1, abs=0.15) and found[1.0].apart < 0.08
    assert found[2.0].within > 2.5


def test_the_distance_is_that_of_normal_distributions() -> None:
    one = Mixture(torch.zeros(1, 2).double(), torch.ones(1).double(), torch.ones(1).double())
    exact = panel.quantiles(one, 4000)
    np.testing.assert_allclose(exact[:, 0], torch.special.ndtri((torch.arange(4000).double() + 0.5) / 4000), atol=1e-9)
    x = one.sample(0, torch.arange(4000))
    base = panel.distance(x, exact)
    assert base < 0.05
    # moved by d: the mean over directions of the squared projection is d^2 / 2
    moved = panel.distance(x + torch.tensor([3.0, 0.0]), exact)
    assert moved == pytest.approx(3 / math.sqrt(2), rel=0.02)
    assert panel.distance(2 * x, exact) == pytest.approx(1, abs=0.05)


def test_more_steps_and_higher_orders_come_nearer_to_the_data() -> None:
    data = panel.arms(6)
    exact = panel.quantiles(data, 1000)
    low, high = panel.floor(data, exact, rounds=4)
    assert 0 < low < high < 0.15

    def at(name: str, steps: int) -> float:
        return panel.distance(panel.drawn(data, panel.COMPARED[name], steps, 1000)[0], exact)

    for name in panel.COMPARED:
        assert at(name, 5) > 1.5 * at(name, 20) or name == "heun"
    assert at("ddim", 10) > 2 * at("dpm++2m", 10)
    assert at("ddim", 20) > 1.5 * at("heun", 10)
    assert at("dpm++2m", 50) < high
    assert panel.drawn(data, panel.COMPARED["heun"], 10, 1)[1] == 19


def test_data_of_the_panels_has_unit_variance() -> None:
    for data in (panel.arms(), study.MODES, diffusion_2d.LINE):
        mean = (data.weights[:, None] * data.means).sum(dim=0)
        square = (data.weights[:, None] * (data.means - mean) ** 2).sum(dim=0).mean() + (
            data.weights * data.stds**2
        ).sum()
        assert float(square) == pytest.approx(1, abs=0.12)
    assert float(diffusion_2d.swiss_roll(4000).var(dim=0).mean()) == pytest.approx(1, abs=0.15)


def test_the_swiss_roll_is_noised_to_the_levels_of_the_chain() -> None:
    x = diffusion_2d.swiss_roll(4000)
    levels = Chain().levels(torch.tensor(diffusion_2d.AT))
    for panel_of, alpha, sigma in zip(drawn("diffusion").axes, levels.alpha, levels.sigma, strict=True):
        points = torch.from_numpy(np.asarray(panel_of.collections[0].get_offsets()))
        noise = points - alpha * x
        assert float(noise.std()) == pytest.approx(float(sigma), rel=0.03)


def test_the_density_on_the_line_is_one_at_every_time() -> None:
    x = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    heat = diffusion_2d.density(TrigFlow(), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64), x)
    np.testing.assert_allclose(torch.trapezoid(heat, x, dim=0).numpy(), 1, atol=1e-6)
    normal = Gaussian(torch.zeros(1).double(), torch.ones(1).double())
    expected = normal.log_prob(x[:, None]).exp()
    torch.testing.assert_close(heat[:, -1], expected)
