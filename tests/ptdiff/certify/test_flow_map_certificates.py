"""Certificates of flow maps hold, and those of spoiled parts do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ptdiff.certify import flow_maps
from ptdiff.flow_map.exact import GaussianMap
from ptdiff.modality.data import Condition


@pytest.mark.slow
def test_all_certificates_of_flow_maps_hold() -> None:
    found = list(flow_maps.flow_map_certificates())
    assert len(found) >= 24
    assert [certificate.subject for certificate in found if not certificate.holds] == []


def test_a_wrong_map_fails_identities_and_density(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = flow_maps.MAPS["gaussian"]
    assert isinstance(exact, GaussianMap)

    class Wrong:
        def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
            return exact(x, t, s, cond) * (1 + 1e-4 * torch.sin(t - s)[:, None])

    monkeypatch.setattr(flow_maps, "MAPS", {"gaussian": exact})
    assert all(certificate.holds for certificate in flow_maps.identity_certificates())
    monkeypatch.setattr(flow_maps, "MAPS", {"gaussian": Wrong()})
    failed = {certificate.subject for certificate in flow_maps.identity_certificates() if not certificate.holds}
    assert {f"{name}, gaussian" for name in ("lagrangian", "eulerian", "meanflow", "semigroup")} <= failed
