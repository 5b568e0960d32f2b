"""Sampling: exact denoisers give back their distribution under every process; samples do not depend on the batch."""

from itertools import cycle

import pytest
import scipy.stats
import torch

from ptdiff.denoiser.oracle import Mixture
from ptdiff.errors import UnknownName
from ptdiff.modality.data import Data
from ptdiff.process import PROCESSES, Flow
from ptdiff.sampling.sampler import Plan, draw, spread_labels, walk
from ptdiff.solvers import SOLVERS

# two components, unit variance in all
MIXTURE = Mixture(torch.tensor([[-0.9], [0.9]]), torch.tensor([0.4359, 0.4359]), torch.tensor([0.5, 0.5]))
DATA = Data((1,), mean=(5.0,), scale=2.0)


def _distribution(x: float) -> float:
    z = (x - 5) / 2
    return 0.5 * sum(float(scipy.stats.norm.cdf(z, m, 0.4359)) for m in (-0.9, 0.9))


# every solver, and every process with some of them: the certificates hold the whole product
PAIRS = [pytest.param(process, solver, id=f"{solver}-{process}") for process, solver in zip(cycle(PROCESSES), SOLVERS)]


@pytest.mark.parametrize(("process", "solver"), PAIRS)
def test_exact_denoisers_give_back_their_distribution_in_world_units(process: str, solver: str) -> None:
    plan = Plan(PROCESSES[process](), SOLVERS[solver](), steps=60, seed=1)
    x = draw(MIXTURE, DATA, plan, torch.arange(2000), {}, (1,)).flatten().double()
    cdf = torch.tensor([_distribution(float(v)) for v in x.sort().values], dtype=torch.float64)
    gap = float((cdf - (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000).abs().max())
    # Kolmogorov-Smirnov at 0.1 % is 0.0436; first-order solvers add a bias of their own at 60 steps
    assert gap < (0.05 if SOLVERS[solver]().order > 1 else 0.08)


def test_a_sample_depends_on_seed_and_id_alone() -> None:
    plan = Plan(Flow(), SOLVERS["ddpm"](), steps=5, seed=3)
    both = draw(MIXTURE, DATA, plan, torch.tensor([4, 9]), {}, (1,))
    assert torch.equal(draw(MIXTURE, DATA, plan, torch.tensor([9]), {}, (1,))[0], both[1])
    other = draw(MIXTURE, DATA, Plan(Flow(), SOLVERS["ddpm"](), steps=5, seed=4), torch.tensor([9]), {}, (1,))
    assert not torch.equal(other[0], both[1])


def test_the_caller_may_stop_on_the_way() -> None:
    for state in walk(MIXTURE, Plan(Flow(), steps=10), torch.arange(2), (1,), {}):
        if state.step == 3:
            break
    assert state.level == pytest.approx((0.3, 0.7))


def test_an_unknown_spacing_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'karras'"):
        Plan(Flow(), spacing="karas").table()


def test_labels_are_spread_by_id() -> None:
    assert spread_labels(torch.tensor([0, 1, 2, 5]), 3)["label"].tolist() == [0, 1, 2, 2]
    assert spread_labels(torch.arange(3), 0) == {}
