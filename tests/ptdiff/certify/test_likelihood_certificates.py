"""Certificates of likelihoods hold, and fail when what they certify is spoiled."""

import math
from unittest import mock

import pytest
import torch

from ptdiff.certify import likelihoods
from ptdiff.certify.likelihoods import likelihood_certificates
from ptdiff.likelihood import chain as variational
from ptdiff.likelihood import divergence
from ptdiff.likelihood import flow as likelihood
from ptdiff.likelihood.divergence import Hutchinson


@pytest.mark.slow
def test_all_hold() -> None:
    found = list(likelihood_certificates())
    assert len(found) > 40
    assert [c for c in found if not c.holds] == []


def _exact() -> bool:
    return likelihoods._exact("mixture", likelihoods._mixture((8,)), torch.float64).holds


def _estimated() -> list[bool]:
    return [c.holds for c in likelihoods._estimated("mixture", likelihoods._mixture((8,)), Hutchinson(16))]


def test_a_spoiled_path_is_seen() -> None:
    assert _exact()
    nodes = likelihood.FlowPath.nodes

    def short(path: likelihood.FlowPath, steps: int) -> list[float]:
        return nodes(path, steps)[:-1]

    with mock.patch.object(likelihood.FlowPath, "nodes", short):
        assert not _exact()
    with mock.patch.object(likelihood.FlowPath, "nodes", lambda path, steps: nodes(path, 12)):
        assert not _exact()


def test_the_noise_that_a_process_starts_from_is_accounted_for() -> None:
    assert all(c.holds for c in likelihoods._stopped("chain", (8,)))
    with mock.patch.object(likelihood, "_along_score", lambda u, y, f: torch.zeros(len(y))):
        assert not all(c.holds for c in likelihoods._stopped("chain", (8,)))


def test_spoiled_levels_and_counts_are_seen() -> None:
    with mock.patch.object(likelihood._Flow, "_level", staticmethod(lambda u: (math.cos(u), 1.001 * math.sin(u)))):
        assert not _exact()
    assert likelihoods._calls("hutchinson", Hutchinson(2, chunk=1)).holds
    with mock.patch.object(Hutchinson, "products", return_value=3):
        assert not likelihoods._calls("hutchinson", Hutchinson(2, chunk=1)).holds


def test_spoiled_probes_are_seen() -> None:
    assert all(_estimated())
    signs = divergence._signs
    with mock.patch.object(divergence, "_signs", lambda *arguments: 1.05 * signs(*arguments)):
        assert not all(_estimated())
    with mock.patch.object(divergence, "_signs", lambda *arguments: torch.ones_like(signs(*arguments))):
        assert not all(_estimated())


@pytest.mark.parametrize("spoiled", [(1.02, 1, 1), (1, 1.1, 1), (1, 1, 1.1)])
def test_a_spoiled_variance_of_the_bound_is_seen(spoiled: tuple[float, float, float]) -> None:
    beta, used = variational._beta, []

    def wrong(s: tuple[float, float], t: tuple[float, float]) -> tuple[float, ...]:
        used.append(s)
        return tuple(value * factor for value, factor in zip(beta(s, t), spoiled, strict=True))

    with mock.patch.object(variational, "_beta", wrong):
        found = [next(likelihoods._bound(variance)).holds for variance in ("upper", "lower")]
    assert used
    assert not all(found)


def test_a_spoiled_prior_is_seen() -> None:
    prior = variational.prior_term
    with mock.patch.object(variational, "prior_term", lambda x, level: prior(x, level) + 0.2):
        assert not next(likelihoods._bound("upper")).holds
