"""Averages after the fact against the averages that were kept."""

import pytest
import torch

from ptdiff.run.posthoc import Profile, combine, exponent, missed, weights
from ptdiff.training.ema import Power


def path(n: int) -> torch.Tensor:
    """Weights of a run: a curve with a drift and wiggles of several lengths."""
    t = torch.arange(1, n + 1, dtype=torch.float64) / n
    return torch.stack([t.sqrt(), torch.sin(5 * t), torch.cos(23 * t) * (1 - t), t**3], dim=1)


def averaged(run: torch.Tensor, std: float) -> list[torch.Tensor]:
    schedule, average, all_ = Power(std), torch.zeros_like(run[0]), []
    for n, value in enumerate(run):
        decay = schedule.keep(n)
        average = average * decay + value * (1 - decay)
        all_.append(average)
    return all_


@pytest.mark.parametrize("std", [0.06, 0.075, 0.12, 0.15])
def test_an_average_that_was_not_kept_comes_out_of_the_snapshots(std: float) -> None:
    n = 4000
    run = path(n)
    kept = {width: averaged(run, width) for width in (0.05, 0.1)}
    profiles, snapshots = [], []
    for width, values in kept.items():
        for at in range(n // 16, n + 1, n // 16):
            profiles.append(Profile(at, width))
            snapshots.append({"w": values[at - 1]})
    made = combine(snapshots, weights(profiles, Profile(n, std)))["w"]
    truth = averaged(run, std)[-1]
    assert float((made - truth).norm() / truth.norm()) < 1e-3
    # it is not merely the nearest of those that were kept
    nearest = min(float((values[-1] - truth).norm() / truth.norm()) for values in kept.values())
    assert float((made - truth).norm() / truth.norm()) < nearest / 5


def test_a_snapshot_that_is_the_target_is_taken_as_it_is() -> None:
    profiles = [Profile(500, 0.05), Profile(1000, 0.05), Profile(1000, 0.1)]
    assert torch.allclose(weights(profiles, Profile(1000, 0.05)), torch.tensor([0.0, 1.0, 0.0]).double(), atol=1e-9)


@pytest.mark.parametrize("std", [0.01, 0.05, 0.1, 0.25])
def test_the_profile_has_the_width_it_is_named_by(std: float) -> None:
    gamma = exponent(std)
    t = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    profile = (gamma + 1) * t**gamma / 200_000
    mean = (profile * t).sum()
    assert float(((profile * (t - mean) ** 2).sum()).sqrt()) == pytest.approx(std, rel=1e-4)


@pytest.mark.parametrize("std", [0.0, 0.3, float("nan")])
def test_widths_that_no_profile_has_are_refused(std: float) -> None:
    with pytest.raises(ValueError, match="relative width"):
        Power(std)


def test_integers_are_those_of_the_last_snapshot() -> None:
    parts = [{"n": torch.tensor(k), "w": torch.tensor(float(k))} for k in (3, 7)]
    made = combine(parts, torch.tensor([0.5, 0.5]))
    assert int(made["n"]) == 7
    assert float(made["w"]) == 5.0


def test_a_target_before_all_snapshots_is_refused() -> None:
    with pytest.raises(ValueError, match="all snapshots are newer"):
        weights([Profile(100, 0.1)], Profile(50, 0.1))


def test_how_far_a_profile_is_missed_is_the_distance_of_the_profiles() -> None:
    snapshots, target = [Profile(500, 0.05), Profile(1000, 0.1)], Profile(1000, 0.2)
    coefficients = weights(snapshots, target)
    t = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200

    def profile(of: Profile) -> torch.Tensor:
        gamma = exponent(of.std)
        return torch.where(t <= of.updates, (gamma + 1) * t**gamma / of.updates ** (gamma + 1), 0)

    made = sum(c * profile(s) for c, s in zip(coefficients, snapshots, strict=True))
    expected = float((made - profile(target)).norm() / profile(target).norm())
    assert missed(snapshots, target, coefficients) == pytest.approx(expected, rel=1e-3)
    assert missed(snapshots, snapshots[1], weights(snapshots, snapshots[1])) == pytest.approx(0, abs=1e-6)
