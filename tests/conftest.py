"""Fixtures shared by the tests in all folders."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def open3d() -> Any:
    """Open3D, for tests that need it: skipped if it cannot be imported, with what to install."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        from ptdiff.machine.libraries import why_no_open3d

        pytest.skip(why_no_open3d(error))
    return open3d
