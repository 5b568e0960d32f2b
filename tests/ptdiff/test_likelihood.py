"""Log densities of Gaussians and mixtures are those in closed form, for every shape, type and kind of divergence."""

import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.likelihood.divergence import Divergence, Exact, Hutchinson, HutchPlusPlus
from ptdiff.likelihood.flow import FlowPath, LogLikelihood, log_likelihood
from ptdiff.process import VE, Chain, Flow, Level, VPCosine, VPLinear

DTYPE = torch.float64
SHAPES = [(8,), (4, 3), (2, 2, 2)]


def mixture(shape: tuple[int, ...]) -> Mixture:
    """Five components with deviations of 0.2 to 0.5, the whole of mean zero and unit variance."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(5, *shape, generator=generator, dtype=DTYPE)
    stds = torch.tensor([0.2, 0.27, 0.35, 0.42, 0.5], dtype=DTYPE)
    weights = torch.tensor([0.3, 0.1, 0.25, 0.15, 0.2], dtype=DTYPE)
    wide = weights.reshape(-1, *[1] * len(shape))
    means = means - (wide * means).sum(dim=0)
    within, between = (weights * stds.square()).sum(), (wide * means.square()).sum() / means[0].numel()
    return Mixture(means * torch.sqrt((1 - within) / between), stds, weights)


def data(target: Mixture, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    chosen = torch.multinomial(target.weights, n, replacement=True, generator=generator)
    noise = torch.randn(n, *target.means.shape[1:], generator=generator, dtype=DTYPE)
    return target.means[chosen] + target.stds[chosen].reshape(-1, *[1] * (noise.ndim - 1)) * noise


def truth(target: Mixture, x: Tensor) -> Tensor:
    """log p(x), written out."""
    d = x[0].numel()
    gap = (x.flatten(1)[:, None] - target.means.flatten(1)[None]).square().sum(dim=2)
    each = -0.5 * gap / target.stds**2 - d * torch.log(target.stds * math.sqrt(2 * math.pi))
    return torch.logsumexp(torch.log(target.weights) + each, dim=1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_exact_density_of_a_mixture_in_few_hundred_calls(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    target = mixture(shape)
    x = data(target, 48).to(dtype)
    counted = Counted(target)
    found = log_likelihood(counted, x, divergence=Exact())
    assert found.nats.dtype == DTYPE
    assert float((found.nats - truth(target, x.double())).abs().max()) < 1e-3
    assert found.standard_error.abs().max() == 0
    assert found.prior_gap.abs().max() == 0
    assert float(found.step_error.max()) < 1e-3
    # 192 of the path and 96 of the check, before products with the Jacobian
    assert FlowPath().calls == 288
    assert found.calls == 288 * (1 + x[0].numel())


@pytest.mark.parametrize("kind", [Hutchinson(16), Hutchinson(16, "gaussian"), HutchPlusPlus(2, 12)])
@pytest.mark.parametrize("shape", SHAPES)
def test_estimates_lie_within_three_reported_standard_errors(shape: tuple[int, ...], kind: Divergence) -> None:
    target = mixture(shape)
    x = data(target, 64)
    found = log_likelihood(target, x, divergence=kind)
    gap = found.nats - truth(target, x)
    assert float((gap.abs() <= 3 * found.standard_error + 1e-3).double().mean()) > 0.95
    assert abs(float(gap.mean())) < 3 * float(found.standard_error.square().mean().sqrt()) / math.sqrt(64) + 1e-3
    assert 1e-3 < float(found.standard_error.mean()) < 2


def test_numbers_are_data_too() -> None:
    gaussian = Gaussian(torch.tensor(0.3, dtype=DTYPE), torch.tensor(0.5, dtype=DTYPE))
    x = torch.linspace(-1.5, 1.5, 7, dtype=DTYPE)
    expected = -0.5 * ((x - 0.3) / 0.5) ** 2 - math.log(0.5 * math.sqrt(2 * math.pi))
    for kind in (Exact(), Hutchinson(2), HutchPlusPlus(1, 2)):
        found = log_likelihood(gaussian, x, divergence=kind)
        assert torch.allclose(found.nats, expected, atol=1e-4)


@pytest.mark.parametrize("process", [Flow(), VPCosine(), VPLinear(), VE(sigma_max=4000.0)])
def test_the_density_does_not_depend_on_the_process(process: VPLinear) -> None:
    target = mixture((8,))
    x = data(target, 16)
    found = log_likelihood(target, x, divergence=Exact(), path=FlowPath(process))
    assert float((found.nats - truth(target, x)).abs().max()) < 2e-3


def test_the_prior_gap_bounds_what_the_mean_loses() -> None:
    # strong signal is left where this process ends
    target, path = mixture((8,)), FlowPath(VPLinear(beta_max=4.0))
    x = data(target, 400)
    found = log_likelihood(target, x, divergence=Exact(), path=path)
    lost = float((truth(target, x) - found.nats).mean())
    assert 0.02 < lost < float(found.prior_gap.mean())


def test_the_order_is_four_and_the_step_error_tells() -> None:
    target = mixture((8,))
    x = data(target, 32)
    expected = truth(target, x)

    def run(steps: int) -> LogLikelihood:
        return log_likelihood(target, x, divergence=Exact(), path=FlowPath(steps=steps, sigma_min=0))

    errors = [float((run(steps).nats - expected).abs().mean()) for steps in (40, 80)]
    assert math.log2(errors[0] / errors[1]) > 3.7
    assert 0.3 < float(run(40).step_error.mean()) / errors[0] < 3


def test_the_bias_of_the_clean_end_is_quadratic_and_may_be_none() -> None:
    gaussian = Gaussian(torch.zeros(3, dtype=DTYPE), torch.full((3,), 0.3, dtype=DTYPE))
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=DTYPE) * 0.3
    expected = (-0.5 * (x / 0.3) ** 2 - math.log(0.3 * math.sqrt(2 * math.pi))).sum(dim=1)

    def error(sigma_min: float) -> float:
        found = log_likelihood(gaussian, x, divergence=Exact(), path=FlowPath(steps=96, sigma_min=sigma_min))
        return float((found.nats - expected).abs().mean())

    assert error(0.02) / error(0.01) == pytest.approx(4, rel=0.02)
    assert error(1e-3) < 2e-5
    assert error(0) < 1e-6


def test_the_start_gap_leads_to_data_without_noise_in_fourth_order() -> None:
    target = mixture((8,))
    x = data(target, 16)
    expected = truth(target, x)

    def errors(sigma_min: float) -> tuple[float, float]:
        found = log_likelihood(target, x, divergence=Exact(), path=FlowPath(steps=240, sigma_min=sigma_min))
        assert found.sigma_min == sigma_min
        raw = found.nats - expected
        return float(raw.abs().mean()), float((raw + found.start_gap).abs().mean())

    coarse, fine = errors(0.04), errors(0.02)
    assert math.log2(coarse[0] / fine[0]) == pytest.approx(2, abs=0.2)
    assert math.log2(coarse[1] / fine[1]) == pytest.approx(4, abs=0.5)
    assert fine[1] < fine[0] / 20
    assert log_likelihood(target, x, path=FlowPath(steps=2, sigma_min=0)).start_gap.abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_chain_starts_noisy_and_says_what_that_costs(dtype: torch.dtype) -> None:
    target = mixture((8,))
    x = data(target, 48).to(dtype)
    found = log_likelihood(target, x, divergence=Exact(), path=FlowPath(Chain()))
    assert found.sigma_min == pytest.approx(0.01, rel=1e-3)
    raw = found.nats - truth(target, x.double())
    assert float(raw.abs().max()) > 3e-3
    assert float((raw + found.start_gap).abs().max()) < 1e-3


@pytest.mark.parametrize("sigma_min", [0.0, 1e-6, 1e-3])
@pytest.mark.parametrize("kind", [Exact(), Hutchinson(2), HutchPlusPlus(2, 2)])
def test_nothing_is_nan_at_both_ends_in_float32(sigma_min: float, kind: Divergence) -> None:
    target = mixture((2, 3))
    x = torch.cat([data(target, 6), torch.zeros(1, 2, 3), torch.full((1, 2, 3), 8.0)]).float()
    found = log_likelihood(target, x, divergence=kind, path=FlowPath(steps=16, sigma_min=sigma_min))
    for value in (found.nats, found.standard_error, found.step_error, found.start_gap, found.prior_gap):
        assert torch.isfinite(value).all()


@pytest.mark.parametrize("kind", [Exact(), Hutchinson(4), HutchPlusPlus(2, 2)])
def test_a_sample_has_its_value_alone_and_in_any_batch(kind: Divergence) -> None:
    target = mixture((4, 3))
    x, path = data(target, 9).float(), FlowPath(steps=8)
    together = log_likelihood(target, x, divergence=kind, path=path, seed=3)
    alone = log_likelihood(target, x[5:6], divergence=kind, path=path, seed=3, ids=torch.tensor([5]))
    other = log_likelihood(target, x[5:6], divergence=kind, path=path, seed=4, ids=torch.tensor([5]))
    assert float(alone.nats - together.nats[5]) == pytest.approx(0, abs=1e-4)
    assert float(alone.standard_error - together.standard_error[5]) == pytest.approx(0, abs=1e-4)
    assert isinstance(kind, Exact) == bool(torch.equal(alone.nats, other.nats))


def test_a_label_asks_for_the_density_of_its_class() -> None:
    target = mixture((8,))
    labelled = Mixture(target.means, target.stds, target.weights, torch.tensor([0, 0, 1, 1, 1]))
    x = data(target, 12)
    found = log_likelihood(labelled, x, {"label": torch.full((12,), 1)}, divergence=Exact())
    one = Mixture(target.means[2:], target.stds[2:], target.weights[2:] / target.weights[2:].sum())
    inside = found.nats > -30  # far from the class the density is steep, and so are the errors
    assert int(inside.sum()) >= 4
    assert torch.allclose(found.nats[inside], truth(one, x)[inside], atol=3e-3)


class _Pair:
    """Two evaluations a call, and it says so."""

    def __init__(self, denoiser: Mixture) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Tensor, level: Level, cond: dict[str, Tensor]) -> Tensor:
        return (self.denoiser(x, level, cond) + self.denoiser(x, level, {})) / 2

    def calls_at(self, level: tuple[float, float]) -> int:
        return 2


@pytest.mark.parametrize("kind", [Exact(chunk=1), Hutchinson(3, chunk=1), HutchPlusPlus(2, 2, chunk=1)])
def test_calls_are_counted_honestly(kind: Divergence) -> None:
    target = mixture((4,))
    labelled = Mixture(target.means, target.stds, target.weights, torch.tensor([0, 0, 1, 1, 1]))
    x, cond = data(target, 3), {"label": torch.ones(3, dtype=torch.long)}
    for sigma_min in (0.0, 1e-3):
        counted = Counted(labelled)
        found = log_likelihood(counted, x, cond, divergence=kind, path=FlowPath(steps=4, sigma_min=sigma_min))
        assert counted.rows == 3 * found.calls
    assert log_likelihood(_Pair(labelled), x, cond, divergence=kind, path=FlowPath(steps=4)).calls == 2 * found.calls


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Tensor:
        return self.layers(torch.cat([x, angle[:, None]], dim=1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("prediction", ["velocity", "flow", "x0"])
def test_a_network_defines_a_density_that_sums_to_one(prediction: str) -> None:
    torch.manual_seed(0)
    model = NetworkDenoiser(_Net(), prediction)
    # an x0 network that does not give x back at the clean end has no smooth flow there
    path = FlowPath(steps=64, sigma_min=0.3) if prediction == "x0" else FlowPath(steps=32)
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)) * 1.5
    found = log_likelihood(model, x, divergence=Exact(), path=path)
    proposal = -0.5 * (x.double() / 1.5).square().sum(dim=1) - 3 * math.log(1.5 * math.sqrt(2 * math.pi))
    weight = torch.exp(found.nats - proposal)
    error = float(weight.std()) / math.sqrt(len(x))
    assert float(weight.mean()) == pytest.approx(1, abs=4 * error)
    assert error < 0.1
    assert next(model.parameters()).grad is None


def test_eps_prediction_is_refused_at_pure_noise_alone() -> None:
    model = NetworkDenoiser(_Net(), "eps")
    with pytest.raises(ValueError, match="eps-prediction cannot start at pure noise"):
        log_likelihood(model, torch.zeros(2, 3))
    found = log_likelihood(model, torch.zeros(2, 3), path=FlowPath(VPLinear(), steps=4))
    assert torch.isfinite(found.nats).all()
    assert float(found.prior_gap.abs().max()) < 1e-3


def test_a_denoiser_without_derivative_is_refused() -> None:
    @torch.no_grad()
    def cut(x: Tensor, level: Level, cond: dict[str, Tensor]) -> Tensor:
        return x * level.alpha

    with pytest.raises(ValueError, match="cannot be differentiated"):
        log_likelihood(cut, torch.zeros(2, 3))


def test_a_path_starts_where_the_process_does() -> None:
    assert FlowPath(VE(sigma_min=0.01)).lowest == pytest.approx(0.01)
    assert FlowPath(VE(sigma_min=0.01), sigma_min=0.1).lowest == 0.1
    assert FlowPath(sigma_min=0).nodes(2)[::2] == [0.0, math.pi / 2]


@pytest.mark.parametrize("wrong", [{"steps": 7}, {"steps": 0}, {"sigma_min": -1.0}, {"sigma_min": math.nan}])
def test_paths_that_lead_nowhere_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        FlowPath(**wrong)  # type: ignore[arg-type]
