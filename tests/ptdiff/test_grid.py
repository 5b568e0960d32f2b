"""Grids: they start at noise, end where they say, and are spaced as they say."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff.choices import choose
from ptdiff.errors import UnknownName
from ptdiff.grid import RATIO_MAX, RATIO_MIN, SPACINGS, End, grid
from ptdiff.grid.published import Given, IDDPMGrid, Leading, Linspace, Trailing, VEGrid, VPGrid
from ptdiff.grid.spacing import Beta, Exponential, Karras, LogSNR, Polyexponential
from ptdiff.process import EDM, PROCESSES, VE, Chain, Flow, Level, Process, Shifted, VPLinear

F64 = torch.float64
EACH = {name: cls() for name, cls in PROCESSES.items()} | {
    "chain without terminal SNR": Chain(zero_terminal_snr=True),
    "cosine chain": Chain(200, "cosine", zero_terminal_snr=True),
    "shifted chain": Shifted(Chain(1000, "scaled-linear", zero_terminal_snr=True), 3.0),
    "short VE": VE(0.1, 20.0, 3.0),
}


def check(level: Level, steps: int, end: End) -> None:
    assert level.alpha.shape == level.sigma.shape == (steps + 1,)
    assert level.alpha.dtype == level.sigma.dtype == F64
    assert (level.angle.diff() < 0).all()
    assert (level.sigma[:-1] > 0).all()
    assert (float(level.sigma[-1]) == 0) == (end == "zero")
    if end == "zero":
        assert float(level.alpha[-1]) == 1


@pytest.mark.parametrize(("process", "spacing"), list(itertools.product(EACH, SPACINGS)))
def test_a_grid_falls_strictly_from_noise_to_its_end(process: str, spacing: str) -> None:
    for steps, end in ((1, "zero"), (2, "sigma-min"), (30, "zero")):
        check(grid(EACH[process], steps, spacing, end), steps, end)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(EACH)), st.sampled_from(list(SPACINGS)), st.integers(1, 199), st.sampled_from(End.__args__))  # type: ignore[attr-defined]
def test_a_grid_of_any_length_falls_strictly(process: str, spacing: str, steps: int, end: End) -> None:
    check(grid(EACH[process], steps, spacing, end), steps, end)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("process", ["flow", "ve", "chain without terminal SNR"])
def test_two_hundred_steps_are_not_too_many(process: str, spacing: str) -> None:
    check(grid(EACH[process], 200, spacing), 200, "zero")


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("spacing", ["uniform", "quadratic", "beta", "trailing", "linspace", "levels"])
def test_spacings_stated_in_time_start_at_time_one(process: str, spacing: str) -> None:
    angle = EACH[process].ends[1]
    assert float(grid(EACH[process], 7, spacing).angle[0]) == pytest.approx(angle, rel=1e-14)


def test_the_ve_grid_is_the_schedule_of_edm() -> None:
    n, low, high, rho = 18, 0.002, 80.0, 7
    i = torch.arange(n, dtype=F64)
    edm = (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    for spacing in ("uniform", "karras"):
        sigma = grid(VE(low, high, rho), n, spacing).sigma
        assert torch.allclose(sigma[:-1], edm, rtol=1e-9)
        assert float(sigma[-1]) == 0
    published = grid(EDM(), n, Karras(high=160.0)).sigma
    assert torch.allclose(published[:-1] * 0.5, edm, rtol=1e-9)


@pytest.mark.parametrize("process", EACH)
def test_log_snr_grids_have_equal_steps_of_log_snr(process: str) -> None:
    steps = grid(EACH[process], 12, "log-snr").half_log_snr[:-1].diff()
    assert torch.allclose(steps, steps[0].expand_as(steps), rtol=1e-6)


@pytest.mark.parametrize("spacing", ["karras", "log-snr", "exponential", "polyexponential"])
def test_ratios_are_kept_inside_the_useful_range(spacing: str) -> None:
    level = grid(Flow(), 12, spacing)
    ratio = level.sigma[:-1] / level.alpha[:-1]
    assert float(ratio[0]) == pytest.approx(RATIO_MAX)
    assert float(ratio[-1]) == pytest.approx(RATIO_MIN)


def test_the_range_of_ratios_is_an_option_and_an_empty_one_is_refused() -> None:
    ratio = torch.tan(grid(Flow(), 5, LogSNR(0.1, 10.0)).angle[:-1])
    assert ratio == pytest.approx([10, 10**0.5, 1, 0.1**0.5, 0.1])
    with pytest.raises(ValueError, match=r"from 0\.002 to 80, which does not overlap 90 to 100"):
        grid(VE(), 5, LogSNR(90, 100))
    with pytest.raises(ValueError, match="must be below"):
        LogSNR(2, 1)


def test_karras_with_another_power() -> None:
    root = torch.tan(grid(Flow(), 12, Karras(rho=3.0)).angle[:-1]) ** (1 / 3)
    assert root.diff() == pytest.approx(root.diff()[0].expand(11), rel=1e-7)


@pytest.mark.parametrize("process", EACH)
def test_exponential_is_geometric_in_the_ratio_whatever_the_process(process: str) -> None:
    # k-diffusion: exp(linspace(log sigma_max, log sigma_min)), of a sigma for alpha = 1
    found, low, high = EACH[process], 0.05, 20.0
    ratio = torch.tan(grid(found, 12, Exponential(low, high)).angle[:-1])
    low, high = max(low, math.tan(found.ends[0])), min(high, math.tan(found.ends[1]))
    assert ratio == pytest.approx(np.exp(np.linspace(math.log(high), math.log(low), 12)), rel=1e-6)
    assert torch.equal(grid(found, 12, "exponential").sigma, grid(found, 12, "log-snr").sigma)


def test_polyexponential_bends_log_snr() -> None:
    assert grid(Flow(), 9, "polyexponential").sigma == pytest.approx(grid(Flow(), 9, "log-snr").sigma, rel=1e-9)
    ratio = torch.tan(grid(VE(), 9, Polyexponential(rho=2.0)).angle[:-1])
    ramp = torch.linspace(1, 0, 9, dtype=F64) ** 2
    assert torch.log(ratio / 0.002) == pytest.approx(ramp * math.log(40_000), abs=1e-9)


def test_beta_takes_quantiles_of_the_beta_distribution() -> None:
    t = Beta(0.6, 0.6).times(Flow(), 11)
    assert scipy.stats.beta.cdf(t.numpy(), 0.6, 0.6) == pytest.approx(np.linspace(1, 0, 11), abs=1e-12)
    assert Beta(1, 1).times(Flow(), 11) == pytest.approx(np.linspace(1, 0, 11), abs=1e-12)


@pytest.mark.parametrize(
    ("spacing", "indices"),
    [
        # Lin et al. 2023, table 2, for ten of a thousand, there counted from 1
        (Trailing(), [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (Leading(), [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]),
        (Linspace(), [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
    ],
)
def test_integer_spacings_are_those_of_the_table(spacing: Trailing | Leading | Linspace, indices: list[int]) -> None:
    chain = Chain(1000)
    exact, level = chain.levels(torch.tensor(indices)), grid(chain, 10, spacing)
    assert level.sigma[:-1] == pytest.approx(exact.sigma, rel=1e-10)
    assert level.alpha[:-1] == pytest.approx(exact.alpha, rel=1e-10)
    virtual = (torch.tensor(indices, dtype=F64) + 1) / 1000
    assert grid(Flow(), 10, spacing).sigma[:-1] == pytest.approx(virtual, rel=1e-12)


def test_a_chain_has_no_more_integers_than_steps() -> None:
    for spacing in (Trailing(), Leading(), Linspace()):
        check(grid(Chain(20), 20, spacing), 20, "zero")
        with pytest.raises(ValueError, match="only 20 distinct integer steps exist, not 21"):
            grid(Shifted(Chain(20)), 21, spacing)


def test_the_vp_grid_is_that_of_edms_table() -> None:
    n, i = 16, np.arange(16)
    t = 1 + i / (n - 1) * (1e-3 - 1)
    sigma = np.sqrt(np.exp(0.5 * 19.9 * t**2 + 0.1 * t) - 1)
    assert torch.tan(grid(Flow(), n, VPGrid()).angle[:-1]) == pytest.approx(sigma, rel=1e-9)
    inside = torch.tan(grid(VE(), n, VPGrid()).angle[:-1])
    assert [float(inside[0]), float(inside[-1])] == pytest.approx([80, sigma[-1]], rel=1e-6)


def test_the_ve_grid_of_edms_table_is_geometric() -> None:
    i = np.arange(16)
    assert torch.tan(grid(Flow(), 16, VEGrid()).angle[:-1]) == pytest.approx(100 * (0.02 / 100) ** (i / 15), rel=1e-9)
    # in units of data whose deviation is 0.5
    doubled = torch.tan(grid(Flow(), 16, VEGrid(low=0.04, high=200.0)).angle[:-1])
    assert doubled * 0.5 == pytest.approx(100 * (0.02 / 100) ** (i / 15), rel=1e-9)


def test_the_iddpm_grid_is_the_recursion_of_edms_table() -> None:
    m, c1, c2, j0, n = 1000, 0.001, 0.008, 8, 18

    def abar(j: int) -> float:
        return math.sin(math.pi / 2 * j / (m * (c2 + 1))) ** 2

    u = [0.0] * (m + 1)
    for j in range(m, 0, -1):
        u[j - 1] = math.sqrt((u[j] ** 2 + 1) / max(abar(j - 1) / abar(j), c1) - 1)
    sigma = [u[math.floor(j0 + (m - 1 - j0) / (n - 1) * i + 0.5)] for i in range(n)]
    assert torch.tan(grid(Flow(), n, IDDPMGrid()).angle[:-1]) == pytest.approx(sigma, rel=1e-9)
    with pytest.raises(ValueError, match="992 levels in the range of the process, not 993"):
        grid(Flow(), 993, IDDPMGrid())


def test_given_levels_are_visited_as_they_are() -> None:
    ratios = (14.6, 6.3, 2.1, 0.7, 0.03)
    level = grid(VPLinear(), 5, Given(ratios, "ratio"))
    assert torch.tan(level.angle[:-1]) == pytest.approx(ratios, rel=1e-9)
    times = (1.0, 0.9, 0.4, 0.0)
    assert grid(Flow(), 3, Given(times)).sigma.tolist() == list(times)
    assert grid(VE(), 4, Given(times)).sigma[:-1].tolist() == VE().sigma(torch.tensor(times, dtype=F64)).tolist()


def test_between_given_levels_the_logarithm_of_the_ratio_is_linear() -> None:
    ratio = torch.tan(grid(Flow(), 5, Given((100.0, 1.0, 0.1), "ratio")).angle[:-1])
    assert ratio == pytest.approx([100, 10, 1, 0.1**0.5, 0.1], rel=1e-9)


@pytest.mark.parametrize(
    ("values", "of", "message"),
    [
        ((1.0,), "time", "two or more"),
        ((0.2, 0.5), "time", "falling numbers"),
        ((0.5, 0.5), "time", "falling numbers"),
        ((1.5, 0.5), "time", r"in \[0, 1\]"),
        ((1.0, 0.0), "ratio", "clean end is added automatically"),
        ((math.nan, 0.1), "ratio", "falling numbers"),
    ],
)
def test_given_levels_that_make_no_sense_are_refused(values: tuple[float, ...], of: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Given(values, of)  # type: ignore[arg-type]


def test_given_ratios_that_the_process_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.002 to 80, which does not contain the values 100 to 1"):
        grid(VE(), 2, Given((100.0, 1.0), "ratio"))
    assert float(grid(VE(), 2, Given((80.0, 0.002), "ratio")).sigma[0]) == pytest.approx(80)


def test_a_grid_may_end_at_the_last_noisy_level() -> None:
    stopped = grid(VE(), 5, "karras", end="sigma-min")
    assert stopped.sigma == pytest.approx(grid(VE(), 6, "karras").sigma[:-1])
    assert float(stopped.sigma[-1]) == pytest.approx(0.002)
    assert grid(Flow(), 4, end="sigma-min").sigma.tolist() == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])


def test_the_clean_level_is_the_datum_itself_whatever_the_process() -> None:
    # a chain's least noisy level has alpha below one
    assert float(Chain().level(torch.zeros(1, dtype=F64)).alpha) < 1
    clean = grid(Chain(), 3)
    assert [float(clean.alpha[-1]), float(clean.sigma[-1])] == [1.0, 0.0]


def test_spacings_are_choices_with_options() -> None:
    made = choose("spacing", SPACINGS, {"name": "karras", "rho": 5})
    assert made == Karras(rho=5.0)
    assert torch.equal(grid(VE(), 6, Karras()).sigma, grid(VE(), 6, "karras").sigma)
    given_levels = choose("spacing", SPACINGS, {"name": "levels", "values": [10, 1, 0.1], "of": "ratio"})
    assert given_levels == Given((10.0, 1.0, 0.1), "ratio")


def test_wrong_names_and_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1"):
        grid(Flow(), 0)
    with pytest.raises(UnknownName, match="did you mean 'karras'"):
        grid(Flow(), 3, "karas")
    with pytest.raises(ValueError, match="zero or sigma-min"):
        grid(Flow(), 3, end="sigma_min")  # type: ignore[arg-type]


def test_levels_that_fall_together_are_refused() -> None:
    class Step(Process):
        """A process that stands still for the first half of its time."""

        def alpha(self, t: torch.Tensor) -> torch.Tensor:
            return torch.ones_like(t)

        def sigma(self, t: torch.Tensor) -> torch.Tensor:
            return torch.clamp(t, min=0.5)

    with pytest.raises(ValueError, match="does not give 10 steps of falling noise"):
        grid(Step(), 10)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Karras, {"rho": 0.0}),
        (Polyexponential, {"rho": -1.0}),
        (Beta, {"a": 0.0}),
        (Exponential, {"low": math.inf}),
        (VPGrid, {"epsilon": 0.0}),
        (IDDPMGrid, {"first": 999}),
        (Trailing, {"steps": 1}),
    ],
)
def test_options_outside_their_range_are_refused(cls: type, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        cls(**options)
