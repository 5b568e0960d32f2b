"""Pictures of the plane, drawn of the exact denoiser of two Gaussians: every field and density is known."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from ptdiff.denoiser.oracle import Mixture
from ptdiff.gallery.scene import Scene
from ptdiff.modality import Unsupported
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.model import Model
from ptdiff.pictures.plot import DPI
from ptdiff.process import Flow
from ptdiff.sampling.sampler import Plan
from ptdiff_points2d import Points2D, gallery


class Exact(nn.Module):
    def __init__(self, oracle: Mixture) -> None:
        super().__init__()
        self.oracle = oracle
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, x, level, cond):
        return self.oracle(x, level, cond)


@pytest.fixture(scope="module")
def scene() -> Scene:
    kind = Points2D(data="two-gaussians", count=4000)
    data = kind.dataset()
    # the formula of the distribution: deviation 0.5 around (-1.5, 0) and (1.5, 0)
    means = data.normalize(torch.tensor([[-1.5, 0.0], [1.5, 0.0]]))
    oracle = Mixture(means, torch.full((2,), 0.5 / data.scale), torch.full((2,), 0.5), torch.arange(2))
    return made(kind, data, Exact(oracle))


def made(kind: Points2D, data: Data, denoiser: nn.Module) -> Scene:
    plan = Plan(Flow(), steps=10)
    run = SimpleNamespace(path="a run", means=True)
    return Scene(Model(run, kind, data, denoiser, plan), count=400)


def drawn(name: str, scene: Scene) -> Figure:
    figure = Figure()
    scene.modality.gallery()[name].__wrapped__(figure, scene)
    return figure


@pytest.mark.parametrize("name", Points2D().gallery())
def test_every_picture_is_a_page_with_something_on_it(name: str, scene: Scene) -> None:
    picture = scene.modality.gallery()[name]
    page = picture(scene)
    assert page.dtype == np.uint8 and page.shape[1:] == (8 * DPI, 3)
    assert (page == 255).all(axis=2).mean() > 0.1
    assert (page < 250).any(axis=2).mean() > 0.02
    border = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
    assert (border == 255).all()
    assert picture.__doc__ and picture.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize("ratio", gallery.RATIOS)
def test_arrows_are_the_gradient_of_the_log_density(ratio: float, scene: Scene) -> None:
    level = gallery.unit_level(ratio)
    y = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(scene.denoiser.oracle.log_prob(y, level).sum(), y)
    found = gallery.score(scene, y.detach(), level)
    torch.testing.assert_close(found, level.sigma * gradient, rtol=1e-3, atol=1e-3)


def test_the_arrows_that_are_drawn_are_those(scene: Scene) -> None:
    for axes, ratio in zip(drawn("score-field", scene).axes, gallery.RATIOS, strict=True):
        arrows = axes.collections[-1]
        y = torch.from_numpy(np.asarray(arrows.get_offsets())).float()
        expected = gallery.score(scene, y, gallery.unit_level(ratio))
        np.testing.assert_allclose(np.stack([arrows.U, arrows.V], axis=1), expected.numpy(), rtol=1e-4, atol=1e-5)
        # the picture is not mirrored: where the data is, arrows are short
        modes = level_modes(scene, ratio)
        near = torch.cdist(y, modes).min(dim=1).values < 0.4
        assert expected[near].norm(dim=1).mean() < 0.6 * expected[~near].norm(dim=1).mean()


def level_modes(scene: Scene, ratio: float) -> torch.Tensor:
    return gallery.unit_level(ratio).alpha * scene.denoiser.oracle.means


def test_the_flow_moves_points_as_the_density_changes(scene: Scene) -> None:
    # continuity: d/du log p_u(y) along dy/du = f is -div f, with all three by automatic differentiation
    u = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[0.3, -0.2], [1.1, 0.4]], dtype=torch.float64, requires_grad=True)
    oracle = scene.denoiser.oracle

    def log_p(y: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        from ptdiff.process import Level

        return oracle.log_prob(y, Level(torch.cos(u), torch.sin(u)))

    level = gallery.unit_level(math.tan(0.4))
    velocity = -gallery.flow(scene, y.detach().float(), level).double()
    for i in range(2):
        in_time, in_place = torch.autograd.grad(log_p(y[i : i + 1], u).sum(), (u, y))
        divergence = 0.0
        for j in range(2):
            step = torch.zeros(1, 2)
            step[0, j] = 1e-2
            ahead, behind = (-gallery.flow(scene, y.detach()[i : i + 1].float() + s, level) for s in (step, -step))
            divergence += float((ahead - behind)[0, j]) / 2e-2
        along = float(in_time) + float((in_place[i] * velocity[i]).sum())
        assert along == pytest.approx(-divergence, abs=2e-2)


def test_the_likelihood_of_the_exact_denoiser_is_the_exact_one_in_world_units(scene: Scene) -> None:
    x = torch.tensor([[-1.5, 0.0], [1.2, 0.5], [0.0, 0.0], [2.0, -1.0]])
    exact = gallery.exact_nll(scene)
    assert exact is not None
    normal = [-0.5 * (((x - torch.tensor([m, 0.0])) / 0.5) ** 2).sum(dim=1) for m in (-1.5, 1.5)]
    expected = math.log(2) + math.log(2 * math.pi * 0.25) - torch.logaddexp(*normal)
    torch.testing.assert_close(exact(x).float(), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(gallery.nll(scene, x).float(), expected, rtol=0, atol=0.01)


def test_the_exact_density_is_that_of_the_noise_that_was_asked_for(scene: Scene) -> None:
    wide = made(Points2D(data="two-gaussians", count=2000, noise=1.0), scene.data, scene.denoiser)
    exact = gallery.exact_nll(wide)
    assert exact is not None
    # at the middle both modes count alike
    assert float(exact(torch.zeros(1, 2))) == pytest.approx(math.log(2 * math.pi) + 1.5**2 / 2)


def test_the_map_of_the_model_is_that_of_the_exact_density(scene: Scene) -> None:
    figure = drawn("nll-map", scene)
    model, exact = (np.asarray(axes.collections[0].get_array()) for axes in figure.axes[:2])
    np.testing.assert_allclose(model, exact, atol=0.05)
    assert exact.max() - exact.min() == pytest.approx(gallery.NATS)
    assert figure.axes[0].get_title(loc="center").startswith("model: ")


def test_without_a_formula_the_data_is_shown_beside_the_model(scene: Scene) -> None:
    kind = Points2D(data="checkerboard", count=2000)
    of = made(kind, scene.data, scene.denoiser)
    assert gallery.exact_nll(of) is None
    assert drawn("nll-map", of).axes[1].get_title(loc="center") == "training data"


def test_histograms_go_from_noise_to_the_two_modes(scene: Scene) -> None:
    figure = drawn("histograms", scene)
    titles = [axes.get_title(loc="center") for axes in figure.axes]
    assert titles[0] == "step 0 of 10" and titles[-1] == "step 10 of 10" and len(titles) == 8
    heats = [np.asarray(axes.collections[0].get_array()).reshape(90, 90) for axes in figure.axes]
    # the count of the middle columns: noise is there, data is not
    middle = [heat[:, 39:51].sum() / heat.sum() for heat in heats]
    assert middle[0] > 0.2 and middle[-1] < 0.05


def test_guidance_narrows_the_classes_and_needs_some(scene: Scene) -> None:
    labels = [axes.get_xlabel() for axes in drawn("guided", scene).axes]
    ratios = [float(label.split("×")[1]) for label in labels]
    # without the class both modes count as one; guidance of 1 is the data; above, classes shrink
    assert ratios[0] > 1.5 and ratios[1] == pytest.approx(1, abs=0.1) and ratios[1] > ratios[2] > ratios[3]
    unlabelled = Data(shape=(2,), train=TensorSplit(torch.randn(100, 2)))
    with pytest.raises(Unsupported, match="no"):
        drawn("guided", made(scene.modality, unlabelled, scene.denoiser))


def test_the_spread_is_that_around_the_means_of_the_classes() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [10.0, 5.0], [10.0, 7.0]])
    assert gallery.spread(x, torch.tensor([0, 0, 1, 1])) == pytest.approx(math.sqrt(4 / 8))


@pytest.mark.parametrize("name", Points2D().gallery())
def test_points_outside_of_the_plane_are_refused(name: str, scene: Scene) -> None:
    space = Data(shape=(3,), classes=("a",), train=TensorSplit(torch.randn(100, 3), torch.zeros(100).long()))
    with pytest.raises(Unsupported, match="plane"):
        scene.modality.gallery()[name](made(scene.modality, space, scene.denoiser))


@pytest.mark.parametrize("name", ["score-field", "flow-lines", "nll-map"])
def test_fields_of_a_network_trained_for_consistency_are_not_drawn(name: str, scene: Scene) -> None:
    with pytest.raises(Unsupported, match="consistency"):
        scene.modality.gallery()[name](replace(scene, model=replace(scene.model, run=SimpleNamespace(means=False))))
