"""The two engines that render spheres."""

import pytest


@pytest.fixture(params=["numpy", "open3d"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine by name; Open3D's is skipped if it cannot be imported."""
    if request.param == "open3d":
        request.getfixturevalue("open3d")
    return str(request.param)
