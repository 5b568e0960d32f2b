"""Weights of interpolation: exact for polynomials, and digits kept for steps of every size."""

import math

import pytest
from scipy.integrate import quad

from ptdiff.solvers.weights import exponential_moments, interpolation, uniform_moments


@pytest.mark.parametrize("nodes", [[0.0], [0.0, -0.7], [0.0, -1.3, -1.9], [1.0, 0.0, -0.4, -3.0]])
def test_polynomials_through_the_nodes_are_integrated_exactly(nodes: list[float]) -> None:
    weights = interpolation(nodes, uniform_moments(len(nodes)))
    for power in range(len(nodes)):
        found = sum(w * node**power for w, node in zip(weights, nodes, strict=True))
        assert found == pytest.approx(1 / (power + 1), rel=1e-12)


def test_equal_steps_give_the_weights_of_adams_and_bashforth() -> None:
    weights = interpolation([0.0, -1.0, -2.0, -3.0], uniform_moments(4))
    assert weights == pytest.approx([55 / 24, -59 / 24, 37 / 24, -9 / 24], rel=1e-14)


@pytest.mark.parametrize("h", [1e-12, -1e-9, 1e-4, 0.3, -0.3, 1.999, 2.001, -1.999, -2.001, 12.0, -12.0])
def test_exponential_moments_are_the_integrals(h: float) -> None:
    for k, moment in enumerate(exponential_moments(h, 4)):
        exact, _ = quad(lambda x, k=k: math.exp(-h * (1 - x)) * x**k, 0, 1, epsabs=0, epsrel=1e-13)
        assert moment == pytest.approx(exact, rel=3e-13)


def test_both_formulas_of_the_moments_meet() -> None:
    below, above = exponential_moments(2 - 1e-14, 4), exponential_moments(2 + 1e-14, 4)
    assert below == pytest.approx(above, rel=1e-13)
