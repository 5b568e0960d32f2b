"""The modalities that ship with ptdiff pass the same checks as a plugin of a stranger."""

from __future__ import annotations

from typing import Any

import pytest

from ptdiff.testing import check_modality

MODALITIES: dict[str, dict[str, Any]] = {
    "points2d": {"count": 512},
    "images": {"size": "tiny"},
    "pointcloud": {"shapes_per_class": 4, "points": 64, "dense": 256},
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *MODALITIES.items(),
        ("points2d", {"count": 512, "data": "swissroll-3d"}),
        ("images", {"size": "tiny", "augment": 0.2, "self_conditioning": True}),
        ("pointcloud", MODALITIES["pointcloud"] | {"rotate": True, "jitter": 0.01, "network": "latent"}),
        ("pointcloud", MODALITIES["pointcloud"] | {"task": "complete", "observed": 16}),
        ("pointcloud", MODALITIES["pointcloud"] | {"channels": ("xyz", "normals")}),
    ],
    ids=str,
)
def test_a_modality_that_ships_conforms(name: str, options: dict[str, Any]) -> None:
    assert [(finding.check, finding.problem) for finding in check_modality(name, options) if finding.problem] == []
