"""A tiny run to share, and a cache away from the user's."""

import sys
from pathlib import Path

import pytest

from ptdiff.model import Model, load
from ptdiff.training.train import train

sys.path.insert(0, str(Path(__file__).parent))  # for fake_hub


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two moons after five steps, evaluated."""
    path = tmp_path_factory.mktemp("run") / "moons"
    model: Model = train("points2d", steps=5, out=path, options={"count": 500})
    model.evaluate(n=50).save()
    return path


@pytest.fixture
def model(trained: Path) -> Model:
    """The model of that run."""
    return load(trained)
