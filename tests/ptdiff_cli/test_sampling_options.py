"""The ways to sample that the command line offers, on a small trained run."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

Call = Callable[..., CompletedProcess[str]]


def drawn(ptdiff: Call, run: Path, out: Path, *options: object) -> tuple[np.ndarray, str]:
    done = ptdiff("sample", run, "-n", 6, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    with np.load(out) as file:
        return file["samples"], done.stderr


def test_the_cost_is_printed_before_and_counts_guidance_pairs(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    options = ["--solver", "ddim", "--steps", 7]
    assert "7 network calls each" in drawn(ptdiff, run, tmp_path / "a.npz", *options)[1]
    assert "14 network calls each" in drawn(ptdiff, run, tmp_path / "b.npz", *options, "--guidance", 2)[1]
    unlabelled = [*options, "--guidance", 2, "--label", "none"]
    assert " 7 network calls each" in drawn(ptdiff, run, tmp_path / "c.npz", *unlabelled)[1]


def test_an_adaptive_solver_reports_what_it_spent(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    samples, said = drawn(ptdiff, run, tmp_path / "a.npz", "--solver", "dopri5", "--set", "solver.rtol=1e-4")
    assert "an adaptive number of network calls each" in said
    assert "network calls for each sample" in said
    exact, _ = drawn(ptdiff, run, tmp_path / "b.npz", "--solver", "rk4", "--steps", 200)
    assert np.abs(samples - exact).max() < 0.02 * np.abs(exact).max()


def test_an_interval_of_guidance_costs_less(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    options = [
        "--solver",
        "ddim",
        "--steps",
        10,
        "--guidance",
        2,
        "--set",
        "guidance.low=0.5",
        "--set",
        "guidance.high=3",
    ]
    _, said = drawn(ptdiff, run, tmp_path / "a.npz", *options)
    # rho = t / (1 - t) lies in [0.5, 3] for t = 0.4, 0.5, 0.6 and 0.7
    assert "14 network calls each" in said


@pytest.mark.parametrize("rule", ["apg", "cfg-zero", "tcfg", "mambo"])
def test_every_rule_of_guidance_is_a_setting(ptdiff: Call, run: Path, tmp_path: Path, rule: str) -> None:
    plain, _ = drawn(ptdiff, run, tmp_path / "a.npz", "--steps", 5)
    guided, _ = drawn(ptdiff, run, tmp_path / "b.npz", "--steps", 5, "--set", f"guidance={rule}", "--guidance", 3)
    assert np.isfinite(guided).all()
    assert not np.array_equal(plain, guided)


def test_a_threshold_keeps_samples_within_world_limits(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    limits = ["--set", "threshold.name=static", "--set", "threshold.low=-0.5", "--set", "threshold.high=0.5"]
    samples, _ = drawn(ptdiff, run, tmp_path / "a.npz", *limits)
    assert np.abs(samples).max() <= 0.5 + 1e-5


def test_a_run_guided_away_from_itself_does_not_move(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    plain, _ = drawn(ptdiff, run, tmp_path / "a.npz", "--steps", 5)
    same, said = drawn(ptdiff, run, tmp_path / "b.npz", "--steps", 5, "--weak", run, "--guidance", 3)
    assert np.allclose(plain, same, atol=1e-5)
    assert "18 network calls each" in said


def test_stochastic_samples_stay_when_steps_double_along_a_path(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    gaps = {}
    for noise in ("path", "independent"):
        few, many = (
            drawn(
                ptdiff, run, tmp_path / f"{noise}{n}.npz", "--solver", "ddpm", "--steps", n, "--set", f"noise={noise}"
            )[0]
            for n in (60, 120)
        )
        gaps[noise] = float(np.abs(few - many).mean())
    assert gaps["path"] < 0.4 * gaps["independent"]


def test_a_grid_may_stop_at_a_noisy_level(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    options = ["--process", "ve", "--set", "process.sigma_min=0.3"]
    clean, _ = drawn(ptdiff, run, tmp_path / "a.npz", *options)
    noisy, _ = drawn(ptdiff, run, tmp_path / "b.npz", *options, "--set", "end=sigma-min")
    assert 0.02 < np.abs(clean - noisy).mean() < 1


def test_an_optimized_grid_is_nearer_to_the_flow_and_sample_takes_it(ptdiff: Call, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    options = ["--solver", "dpm++2m", "--steps", 5]
    done = ptdiff("optimize", run, *options, "-n", 32, "--candidates", 12, "--rounds", 3, "--out", file)
    assert done.returncode == 0, done.stderr
    rms = {row.split()[0]: float(row.split()[1]) for row in done.stdout.splitlines() if len(row.split()) == 2}
    assert rms["optimized"] < min(rms["uniform"], rms["log-snr"], rms["karras"])
    exact, _ = drawn(ptdiff, run, tmp_path / "a.npz", "--solver", "rk4", "--steps", 100)
    plain, _ = drawn(ptdiff, run, tmp_path / "b.npz", *options)
    best, _ = drawn(ptdiff, run, tmp_path / "c.npz", *options, "--spacing", file)
    assert np.abs(best - exact).mean() < np.abs(plain - exact).mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--solver", "dopri"], "did you mean 'dopri5'?"),
        (["--spacing", "karas"], "did you mean 'karras'?"),
        (["--spacing", "nowhere.yaml"], "nowhere.yaml"),
        (["--set", "guidance=cgf"], "did you mean 'cfg'?"),
        (["--set", "threshold=dinamic"], "did you mean 'dynamic'?"),
        (["--solver", "churn", "--set", "solver.base=huen"], "did you mean 'heun'?"),
        (["--solver", "churn", "--set", "solver.base=dopri5"], "unknown solver 'dopri5'"),
        (["--set", "noise=brown"], "noise"),
        (["--process", "ve", "--set", "process.sigma_max=2"], "too clean to start from noise"),
        (["--solver", "dopri5", "--trajectory"], "adaptive solver"),
    ],
)
def test_a_wrong_choice_is_one_line(ptdiff: Call, run: Path, options: list[str], message: str) -> None:
    done = ptdiff("sample", run, "-n", 2, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_list_shows_every_catalog_and_its_options(ptdiff: Call) -> None:
    names = ptdiff("list").stdout
    assert all(word in names for word in ("weighting", "spacing", "dopri5", "karras", "within-sets"))
    assert "gamma=5.0" in ptdiff("list", "weighting").stdout
    assert "phi=0.0" in ptdiff("list", "guidance").stdout
    assert "did you mean 'solver'?" in ptdiff("list", "solvr").stderr
